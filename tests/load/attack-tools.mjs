// Functions that several attacks share.
//
// Lives here: counting outcomes, repeating an action, sending as fast as the daemon reads. Not here: bytes (`wire.mjs`).

import { setTimeout as pause } from 'node:timers/promises';

/** Counts outcomes by name. */
export class Tally {
  #counts = {};

  add(what, count = 1) {
    this.#counts[what] = (this.#counts[what] ?? 0) + count;
  }

  get counts() {
    return this.#counts;
  }
}

/** Performs an action `count` times, at most `concurrency` at once. */
export async function many(count, concurrency, act) {
  let next = 0;
  const one = async () => {
    while (next < count) await act(next++);
  };
  await Promise.all(Array.from({ length: Math.min(count, concurrency) }, one));
}

/** Writes a chunk repeatedly, as fast as the daemon reads, until a time or the end of the connection. Returns the count. */
export async function pour(socket, chunk, until) {
  const over = pause(Math.max(0, until - performance.now()));
  const closed = new Promise((resolve) => socket.once('close', resolve));
  let times = 0;
  while (performance.now() < until && socket.writable) {
    const written = new Promise((resolve) => socket.write(chunk, resolve));
    await Promise.race([written, closed, over]);
    times += 1;
  }
  return times;
}
