// A TCP relay between one browser and the daemon, which can break, delay or silence the connections.
//
// Lives here: forwarding bytes, and failing to. Not here: the reaction of a page (`page.mjs`).
// Invariant: a relay without a fault changes neither the order of bytes nor the way in which a connection ends.

import { once } from 'node:events';
import net from 'node:net';

export class Relay {
  #target;
  #server;
  #pairs = new Set();
  #accepts = true;
  #paused = false;
  #silent = false;

  /** Starts a relay to a port of this machine. */
  static async start(port) {
    const relay = new Relay();
    relay.#target = port;
    relay.#server = net.createServer({ allowHalfOpen: true, pauseOnConnect: true }, (near) => relay.#relay(near));
    await once(relay.#server.listen(0, '127.0.0.1'), 'listening');
    return relay;
  }

  /** Address for the client. */
  get url() {
    return `http://127.0.0.1:${this.#server.address().port}`;
  }

  /** Number of open connections from the relay to the daemon. */
  get connections() {
    return [...this.#pairs].filter(({ far }) => !far.destroyed).length;
  }

  /** Resets every connection, as a network failure does, and refuses new ones until `accept`. */
  reset(ending = 'resetAndDestroy') {
    this.#accepts = false;
    for (const { near, far } of this.#pairs) {
      near.resetAndDestroy();
      far[ending]();
    }
  }

  /** Closes every connection to the daemon with a FIN, as nginx does, and refuses new ones until `accept`. */
  close() {
    this.reset('destroy');
  }

  /** Accepts new connections and forwards their bytes. */
  accept() {
    this.#accepts = true;
    this.#silent = false;
  }

  /** Drops all bytes from now on, without an error at either end. Connections that are open now stay silent for good. */
  silence() {
    this.#silent = true;
    for (const pair of this.#pairs) pair.silent = true;
  }

  /** Stops forwarding until `resume`. */
  pause() {
    this.#paused = true;
    for (const { near, far } of this.#pairs) [near, far].forEach((end) => end.pause());
  }

  resume() {
    this.#paused = false;
    for (const { near, far } of this.#pairs) [near, far].forEach((end) => end.resume());
  }

  async remove() {
    this.reset();
    await once(this.#server.close(), 'close');
  }

  #relay(near) {
    if (!this.#accepts) return near.on('error', () => {}).resetAndDestroy();
    const far = net.connect({ port: this.#target, host: '127.0.0.1', allowHalfOpen: true });
    const pair = { near, far, silent: this.#silent };
    this.#pairs.add(pair);
    for (const [end, other] of [
      [near, far],
      [far, near],
    ]) {
      end.setNoDelay(true);
      end.on('data', (bytes) => pair.silent || other.write(bytes));
      end.on('end', () => (pair.silent ? end.destroy() : other.end()));
      end.on('error', () => {});
      end.on('close', (failed) => {
        if (failed && !pair.silent) other.destroy();
        if (near.destroyed && far.destroyed) this.#pairs.delete(pair);
      });
      if (!this.#paused) end.resume();
    }
  }
}
