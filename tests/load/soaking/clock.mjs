// The time of a soak: how long what may take, and when this machine was too slow to say anything about the daemon.
//
// Lives here: every span of time that a rule is about. Not here: the rules (`ledger.mjs`).

import { setTimeout as pause } from 'node:timers/promises';

/** What the daemon is told: heartbeats and grace that nobody has to wait long for. */
export const PING_INTERVAL = 1_500;
export const PING_TIMEOUT = 4_000;
export const GRACE = 3_000;

/** The longest that a dead line may go unnoticed. */
export const HEARTBEAT = PING_INTERVAL + PING_TIMEOUT;

/** The longest that a change may take from a page to the screens of others. Includes what is merged. */
export const DELAY = 2_500;

/** The longest that somebody may be listed who is gone without a word. */
export const GHOST = HEARTBEAT + GRACE + DELAY;

/** How long everything has to rest until all screens must show what is so. */
export const REST = GHOST;

/** A pause of this process, or an answer of the daemon, that takes longer says that the machine is busy elsewhere. */
const STALL = 200;

/** So does word from one page to another. */
export const LATE = 1_000;

/** How often that is looked at. */
const TICK = 100;

export const now = () => performance.now();

/** Whether this machine stands still, and when it did. */
class Stalls {
  /** When nothing can be said: until what was late has arrived, as `{ from, to }`. */
  spans = [];
  /** How long that was in all. */
  total = 0;
  /** What is being waited for: since when, and how long it may take. */
  #waits = new Set();
  #stopped = false;

  /** Watches until told to stop. `ask` waits for an answer of the daemon, `passOn` until one page has heard of another. */
  async watch({ ask, passOn }) {
    const nothing = async () => {};
    await Promise.all([this.#repeat(nothing, STALL), this.#repeat(ask, STALL), this.#repeat(passOn, LATE)]);
  }

  stop() {
    this.#stopped = true;
  }

  /** Whether nothing stood still since a moment, as far as is known yet. */
  none(since) {
    const late = ({ from, patience }) => now() - from > patience;
    return this.spans.every(({ to }) => to < since) && ![...this.#waits].some(late);
  }

  /** Whether something stood still at some time in a span. */
  touch({ from, to }) {
    return this.spans.some((span) => span.from <= to && from <= span.to);
  }

  /** Forgets what was before. */
  forget(before) {
    this.spans = this.spans.filter(({ to }) => to > before);
  }

  async #repeat(step, patience) {
    while (!this.#stopped) {
      const wait = { from: now(), patience };
      this.#waits.add(wait);
      await step();
      await pause(TICK);
      this.#waits.delete(wait);
      if (now() - wait.from < patience) continue;
      // What others have noticed already counts once.
      this.total += Math.max(0, now() - Math.max(wait.from, ...this.spans.map(({ to }) => to - DELAY)));
      this.spans.push({ from: wait.from, to: now() + DELAY });
    }
  }
}

export const stalls = new Stalls();
