// The times of a soak: the limits of the rules, and the stalls of this machine, during which nothing can be shown.
//
// Lives here: every limit in milliseconds that a rule uses. Not here: the rules (`model.mjs`).

import { setTimeout as pause } from 'node:timers/promises';

/** Settings of the daemon: short heartbeats and grace. */
export const PING_INTERVAL = 1_500;
export const PING_TIMEOUT = 4_000;
export const GRACE = 3_000;

/** Longest time until the daemon notices a dead connection. */
export const HEARTBEAT = PING_INTERVAL + PING_TIMEOUT;

/** Longest time from a change on one page to the screens of others, merging included. */
export const DELAY = 2_500;

/** Longest time that a user may be listed after a connection was lost. */
export const MAX_STALE = HEARTBEAT + GRACE + DELAY;

/** Time without events after which all screens must be right. */
export const REST = MAX_STALE;

/** A pause of this process or an answer of the daemon that takes longer is a stall of the machine. */
const STALL = 200;

/** A change that takes longer from one page to another is a stall of the machine too. */
export const LATE = 1_000;

/** Time between two such measurements. */
const TICK = 100;

export const now = () => performance.now();

/** The stalls of this machine. */
class Stalls {
  /** Spans of the stalls, `{ from, to }`. Each lasts until everything that was late has arrived. */
  spans = [];
  /** Length of all stalls. */
  total = 0;
  /** The waits under way: `{ from, limit }`. */
  #waits = new Set();
  #stopped = false;

  /** Measures until `stop`. `ask` waits for an answer of the daemon, `passOn` for a change from one page to another. */
  async watch({ ask, passOn }) {
    const nothing = async () => {};
    await Promise.all([this.#repeat(nothing, STALL), this.#repeat(ask, STALL), this.#repeat(passOn, LATE)]);
  }

  stop() {
    this.#stopped = true;
  }

  /** Whether no stall is known since a moment. */
  none(since) {
    const late = ({ from, limit }) => now() - from > limit;
    return this.spans.every(({ to }) => to < since) && ![...this.#waits].some(late);
  }

  /** Whether a stall overlaps with a span. */
  touch({ from, to }) {
    return this.spans.some((span) => span.from <= to && from <= span.to);
  }

  /** Forgets the stalls that ended before a moment. */
  forget(before) {
    this.spans = this.spans.filter(({ to }) => to > before);
  }

  async #repeat(step, limit) {
    while (!this.#stopped) {
      const wait = { from: now(), limit };
      this.#waits.add(wait);
      await step();
      await pause(TICK);
      this.#waits.delete(wait);
      if (now() - wait.from < limit) continue;
      // A stall that several measurements notice counts once.
      this.total += Math.max(0, now() - Math.max(wait.from, ...this.spans.map(({ to }) => to - DELAY)));
      this.spans.push({ from: wait.from, to: now() + DELAY });
    }
  }
}

export const stalls = new Stalls();
