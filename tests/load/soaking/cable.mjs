// The cable between one browser and the daemon: a relay of TCP connections that can be pulled, held up, or die.
//
// Lives here: what happens to bytes. Not here: what a page makes of it (`page.mjs`).
// Invariant: a cable that is in order changes nothing, neither the order of bytes nor how a connection ends.

import { once } from 'node:events';
import net from 'node:net';

export class Cable {
  #target;
  #server;
  #pairs = new Set();
  #plugged = true;
  #held = false;
  #dead = false;

  /** Lays a cable to a port of this machine. */
  static async lay(port) {
    const cable = new Cable();
    cable.#target = port;
    cable.#server = net.createServer({ allowHalfOpen: true, pauseOnConnect: true }, (near) => cable.#relay(near));
    await once(cable.#server.listen(0, '127.0.0.1'), 'listening');
    return cable;
  }

  /** Where a client connects to. */
  get url() {
    return `http://127.0.0.1:${this.#server.address().port}`;
  }

  /** How many connections the daemon has over it. */
  get connections() {
    return [...this.#pairs].filter(({ far }) => !far.destroyed).length;
  }

  /** Ends every connection as a network does, without a word, and lets nobody connect until it is plugged in again. */
  pull(ending = 'resetAndDestroy') {
    this.#plugged = false;
    for (const { near, far } of this.#pairs) {
      near.resetAndDestroy();
      far[ending]();
    }
  }

  /** Does so in the manner of nginx, which closes its connections in order. */
  close() {
    this.pull('destroy');
  }

  /** Whoever connects from now on is served. */
  plugIn() {
    this.#plugged = true;
    this.#dead = false;
  }

  /** From now on no byte passes, and neither end is told. What is connected then stays so for good. */
  die() {
    this.#dead = true;
    for (const pair of this.#pairs) pair.dead = true;
  }

  /** Holds everything up until it is let go. */
  hold() {
    this.#held = true;
    for (const { near, far } of this.#pairs) [near, far].forEach((end) => end.pause());
  }

  letGo() {
    this.#held = false;
    for (const { near, far } of this.#pairs) [near, far].forEach((end) => end.resume());
  }

  async remove() {
    this.pull();
    await once(this.#server.close(), 'close');
  }

  #relay(near) {
    if (!this.#plugged) return near.on('error', () => {}).resetAndDestroy();
    const far = net.connect({ port: this.#target, host: '127.0.0.1', allowHalfOpen: true });
    const pair = { near, far, dead: this.#dead };
    this.#pairs.add(pair);
    for (const [end, other] of [
      [near, far],
      [far, near],
    ]) {
      end.setNoDelay(true);
      end.on('data', (bytes) => pair.dead || other.write(bytes));
      end.on('end', () => (pair.dead ? end.destroy() : other.end()));
      end.on('error', () => {});
      end.on('close', (failed) => {
        if (failed && !pair.dead) other.destroy();
        if (near.destroyed && far.destroyed) this.#pairs.delete(pair);
      });
      if (!this.#held) end.resume();
    }
  }
}
