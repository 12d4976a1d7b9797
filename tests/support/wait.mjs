// Waiting with a time-out.
//
// Lives here: waiting for a promise, and polling a condition. Not here: anything that knows the daemon.
// This file imports only Node.js, because it also runs inside the throw-away systems of tests/package.

import { setTimeout as pause } from 'node:timers/promises';
import { inspect } from 'node:util';

/** Default time-out of every wait in milliseconds. Only a failing test reaches it. */
export const LIMIT_MS = 10_000;

const POLL_MS = 10;

/** Waits for a promise with a time-out. `describe` returns the text of the error; it is called only after the time-out. */
export async function within(promise, describe, limitMs = LIMIT_MS) {
  let timer;
  const limit = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`waited ${limitMs} ms for ${describe()}`)), limitMs);
  });
  try {
    return await Promise.race([promise, limit]);
  } finally {
    clearTimeout(timer);
  }
}

/** Polls until `condition` is true. The error after the time-out contains `description` and the result of `observe`. */
export async function until(description, condition, { observe, limitMs = LIMIT_MS } = {}) {
  const deadline = performance.now() + limitMs;
  while (!(await condition())) {
    if (performance.now() > deadline) {
      const observed = observe ? `; observed: ${inspect(await observe(), { depth: 5 })}` : '';
      throw new Error(`waited ${limitMs} ms for ${description}${observed}`);
    }
    await pause(POLL_MS);
  }
}
