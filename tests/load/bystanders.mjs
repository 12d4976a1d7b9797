// The process of the bystanders: pairs of people on cases of their own, who must not notice any attack.
//
// Lives here: the pairs and how long they wait for news of each other. Not here: bounds (`overload.mjs`).
// In each pair one goes to the case and away from it, and the other has to see each of these changes.
//
//   node bystanders.mjs PORT PING_INTERVAL_MS
//
// Says {ready} once all see each other. Told to `begin` or to `report`, it forgets or tells what it has measured.

import { event, frame, identify, listen, member } from './wire.mjs';

const PAIRS = 4;

/** Between two changes: more than the time for which the daemon merges those of one case. */
const INTERVAL_MS = 100;

/** Longest that a change is waited for. */
const MISSED_MS = 5_000;

const [port, pingInterval] = process.argv.slice(2).map(Number);
let latencies = [];
let missed = 0;
let closed = 0;

class Pair {
  #case;
  #walker;
  #name;
  #there = true;
  #waiting;
  /** When the next change is to be made. */
  #due;

  constructor(number) {
    this.#case = `bystanders ${number}`;
    this.#name = `walker ${number}`;
    this.number = number;
  }

  async meet() {
    this.#walker = await this.#arrive(this.#name);
    const watcher = await this.#arrive(`watcher ${this.number}`);
    const met = new Promise((resolve) => (this.#waiting = resolve));
    listen(watcher, (text) => this.#see(text));
    watcher.write(frame(event('startViewingCase', this.#case)));
    await met;
  }

  /** A quarter of an interval apart, so that the pairs do not all ask at once. */
  start() {
    this.#due = performance.now() + (this.number * INTERVAL_MS) / PAIRS;
    this.#later();
  }

  async #arrive(name) {
    // Half of them speak as CHS does, half as newer clients.
    const version = this.number % 2 === 0 ? 3 : 4;
    const { socket } = await member(port, { version, from: 1 + this.number, pingInterval });
    socket.on('close', () => (closed += 1));
    socket.write(Buffer.concat([identify(name), event('startViewingCase', this.#case)].map((packet) => frame(packet))));
    return socket;
  }

  #later() {
    setTimeout(() => this.#change(), Math.max(0, this.#due - performance.now()));
  }

  /** One that is late because the change before it was counts from when it was due, or a stall would count only once. */
  async #change() {
    const now = performance.now();
    const begun = this.wasLate ? this.#due : now;
    this.#there = !this.#there;
    const seen = new Promise((resolve) => (this.#waiting = resolve));
    this.#walker.write(frame(event('startViewingCase', this.#there ? this.#case : `${this.#case}, away`)));
    const timer = setTimeout(() => this.#waiting?.(), MISSED_MS);
    const news = await seen;
    clearTimeout(timer);
    if (news) latencies.push(performance.now() - begun);
    else missed += 1;
    this.#due += INTERVAL_MS;
    this.wasLate = performance.now() > this.#due;
    this.#later();
  }

  #see(text) {
    if (!text.includes('"peopleViewing"') || text.includes(`"${this.#name}"`) !== this.#there) return;
    this.#waiting?.(true);
    this.#waiting = undefined;
  }
}

process.on('message', (order) => {
  if (order === 'report') process.send({ latencies, missed, closed });
  [latencies, missed] = [[], 0];
});
// Whoever started this is gone.
process.on('disconnect', () => process.exit(1));

const pairs = Array.from({ length: PAIRS }, (_, number) => new Pair(number));
await Promise.all(pairs.map((pair) => pair.meet()));
pairs.forEach((pair) => pair.start());
process.send({ ready: true });
