// What several attacks need.
//
// Lives here: counting, doing something many times, sending as fast as it is taken. Not here: bytes (`wire.mjs`).

import { setTimeout as pause } from 'node:timers/promises';

/** Counts what happened, by name. */
export class Tally {
  #counts = {};

  add(what, count = 1) {
    this.#counts[what] = (this.#counts[what] ?? 0) + count;
  }

  get counts() {
    return this.#counts;
  }
}

/** Does something `count` times, at most `abreast` at once. */
export async function many(count, abreast, act) {
  let next = 0;
  const one = async () => {
    while (next < count) await act(next++);
  };
  await Promise.all(Array.from({ length: Math.min(count, abreast) }, one));
}

/** Writes the same again and again, as fast as it is taken, until the time is over or the connection is. Returns how often. */
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
