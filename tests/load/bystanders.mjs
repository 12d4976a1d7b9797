// The process of the bystanders: pairs of users, each pair on its own case, who must not notice any attack.
//
// Lives here: the pairs, and measuring their delays. Not here: bounds (`overload.mjs`).
// One user of each pair, the switcher, opens and leaves the case. The other, the watcher, must see each of these changes.
//
//   node bystanders.mjs PORT PING_INTERVAL_MS
//
// Sends {ready} when all pairs see each other. `begin` resets the measurements, `report` returns and resets them.

import { event, frame, identify, listen, member } from './wire.mjs';

const PAIRS = 4;

/** Time between two changes, longer than the time within which the daemon merges changes of one case. */
const INTERVAL_MS = 100;

/** Time after which a change counts as missed. */
const MISSED_MS = 5_000;

const [port, pingInterval] = process.argv.slice(2).map(Number);
let latencies = [];
let missed = 0;
let closed = 0;

class Pair {
  #case;
  #switcher;
  #name;
  #isOnCase = true;
  #waiting;
  /** Time of the next change. */
  #due;

  constructor(number) {
    this.#case = `bystanders ${number}`;
    this.#name = `switcher ${number}`;
    this.number = number;
  }

  async meet() {
    this.#switcher = await this.#arrive(this.#name);
    const watcher = await this.#arrive(`watcher ${this.number}`);
    const met = new Promise((resolve) => (this.#waiting = resolve));
    listen(watcher, (text) => this.#see(text));
    watcher.write(frame(event('startViewingCase', this.#case)));
    await met;
  }

  /** Starts the changes, a quarter of an interval after those of the previous pair. */
  start() {
    this.#due = performance.now() + (this.number * INTERVAL_MS) / PAIRS;
    this.#scheduleNext();
  }

  async #arrive(name) {
    // Half of the pairs use Engine.IO 3, as CHS does, half use 4.
    const version = this.number % 2 === 0 ? 3 : 4;
    const { socket } = await member(port, { version, from: 1 + this.number, pingInterval });
    socket.on('close', () => (closed += 1));
    socket.write(Buffer.concat([identify(name), event('startViewingCase', this.#case)].map((packet) => frame(packet))));
    return socket;
  }

  #scheduleNext() {
    setTimeout(() => this.#change(), Math.max(0, this.#due - performance.now()));
  }

  /** Makes a change and measures its delay. After a late change, from the time it was due, so that a stall counts for each. */
  async #change() {
    const now = performance.now();
    const begun = this.wasLate ? this.#due : now;
    this.#isOnCase = !this.#isOnCase;
    const seen = new Promise((resolve) => (this.#waiting = resolve));
    this.#switcher.write(frame(event('startViewingCase', this.#isOnCase ? this.#case : `${this.#case}, away`)));
    const timer = setTimeout(() => this.#waiting?.(), MISSED_MS);
    const news = await seen;
    clearTimeout(timer);
    if (news) latencies.push(performance.now() - begun);
    else missed += 1;
    this.#due += INTERVAL_MS;
    this.wasLate = performance.now() > this.#due;
    this.#scheduleNext();
  }

  #see(text) {
    if (!text.includes('"peopleViewing"') || text.includes(`"${this.#name}"`) !== this.#isOnCase) return;
    this.#waiting?.(true);
    this.#waiting = undefined;
  }
}

process.on('message', (order) => {
  if (order === 'report') process.send({ latencies, missed, closed });
  [latencies, missed] = [[], 0];
});
// The parent process has ended.
process.on('disconnect', () => process.exit(1));

const pairs = Array.from({ length: PAIRS }, (_, number) => new Pair(number));
await Promise.all(pairs.map((pair) => pair.meet()));
pairs.forEach((pair) => pair.start());
process.send({ ready: true });
