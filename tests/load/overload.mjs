// Overloads the daemon in one way after the other; `overload` beside this file is the command.
//
// Lives here: what is started for an attack, the bounds, the row of the table. Not here: attacks (attacks/),
// the bystanders (`bystanders.mjs`).
// An attack is made twice. What the daemon holds after the second time but not after the first, it would hold more of
// after a third.

import { fork } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as pause } from 'node:timers/promises';
import { parseArgs } from 'node:util';

import { within } from '../support/wait.mjs';
import { Victim } from './victim.mjs';

/** In the quick form: so short that nobody has to wait long for what is given back. */
const QUICK_TIMEOUTS = {
  CLA_PUBLIC__PING_INTERVAL_MS: 1_000,
  CLA_PUBLIC__PING_TIMEOUT_MS: 1_500,
  CLA_PRESENCE__GRACE_MS: 500,
  CLA_LIMITS__IDENTIFY_TIMEOUT_MS: 2_500,
};

/** What the shipped configuration says. */
const TIMEOUTS = {
  CLA_PUBLIC__PING_INTERVAL_MS: 25_000,
  CLA_PUBLIC__PING_TIMEOUT_MS: 45_000,
  CLA_PRESENCE__GRACE_MS: 15_000,
};

/** The bound of the project, for changes that bystanders see. */
const MOST_P99_MS = 100;

/** On a machine that others use as well, all processes stand still now and then. The daemon's fault would show each time. */
const MOST_TRIES = 3;

/** Longest that one round of an attack may take. */
const MOST_ROUND_MS = 180_000;

/** How much more than at the start the daemon may hold once the attackers are forgotten. */
const MOST_LEFT_MIB = 8;

/** What the second round may leave behind more than the first. */
const MOST_GROWTH_MIB = 2;

const ORDER = ['abandoned', 'idle', 'flood', 'slow-readers', 'slow-requests', 'huge-frames', 'flapping', 'files'];

/** A process of this folder that one can talk to. */
class Helper {
  constructor(program, ...args) {
    this.name = program;
    this.child = fork(new URL(program, import.meta.url), args.map(String));
    this.ended = once(this.child, 'exit');
  }

  async hears() {
    const ended = this.ended.then(([code, signal]) => {
      throw new Error(`${this.name} ended (${code ?? signal})`);
    });
    const [message] = await Promise.race([once(this.child, 'message'), ended]);
    return message;
  }

  async ask(order) {
    const answered = this.hears();
    this.child.send(order);
    return answered;
  }

  async dismiss() {
    if (this.child.connected) this.child.send('leave');
    await this.ended;
  }

  kill() {
    this.child.kill('SIGKILL');
  }
}

class Trial {
  #victim;
  #bystanders;
  #attackers;
  complaints = [];
  /** Kept apart, because not only the daemon can be the cause of them. */
  delays = [];

  constructor(name, attack, quick) {
    this.name = name;
    this.attack = attack;
    this.size = quick ? attack.quick : attack.full;
    this.timeouts = quick ? QUICK_TIMEOUTS : TIMEOUTS;
  }

  /** Two rounds, then the end of the daemon. Returns what the row is made of. */
  async run() {
    this.#victim = await Victim.start({ files: this.size.files, env: this.timeouts });
    try {
      const interval = this.timeouts.CLA_PUBLIC__PING_INTERVAL_MS;
      this.#bystanders = new Helper('bystanders.mjs', this.#victim.ports.public, interval);
      await this.#bystanders.hears();
      this.before = await this.#victim.atRest();
      this.rounds = [await this.#round(), await this.#round()];
      this.#judgeMemory();
      await this.#victim.letsSomebodyIn();
      this.#bystanders.kill();
      this.counted = await this.#victim.stop();
      return this;
    } finally {
      [this.#bystanders, this.#attackers, this.#victim].forEach((started) => started?.kill());
    }
  }

  async #round() {
    const settings = { ...this.#victim.ports, pingInterval: this.timeouts.CLA_PUBLIC__PING_INTERVAL_MS, ...this.size };
    this.#bystanders.child.send('begin');
    this.#victim.watch(this.attack.mostMiB);
    this.#attackers = new Helper('attackers.mjs', this.name, JSON.stringify(settings));
    const over = Promise.race([this.#attackers.hears(), this.#victim.trouble]);
    const { tally } = await within(over, () => 'the attack to be over', MOST_ROUND_MS);
    const seen = await this.#bystanders.ask('report');
    const watched = this.#victim.unwatch();
    await this.#attackers.dismiss();
    this.#judge(seen, watched);
    await this.#recover();
    return { tally, seen, watched, after: await this.#victim.settled() };
  }

  #judge({ latencies, missed, closed }, { health }) {
    const p99 = quantile(latencies, 0.99);
    if (!(p99 < MOST_P99_MS)) this.delays.push(`bystanders waited ${p99.toFixed(0)} ms for one change in a hundred`);
    if (missed > 0) this.complaints.push(`bystanders missed ${missed} changes`);
    if (closed > 0) this.complaints.push(`${closed} bystanders lost their connection`);
    if (health.failures.length > 0) {
      this.complaints.push(`/readyz was not answered ${health.failures.length} times: ${health.failures[0]}`);
    }
  }

  /** Waits until the daemon knows nobody but the bystanders any more, and has given back their files. */
  async #recover() {
    const heartbeat = this.timeouts.CLA_PUBLIC__PING_INTERVAL_MS + this.timeouts.CLA_PUBLIC__PING_TIMEOUT_MS;
    const deadline = performance.now() + heartbeat + this.timeouts.CLA_PRESENCE__GRACE_MS + 10_000;
    for (;;) {
      const left = await this.#victim.strangers(this.before);
      if (left.length === 0) break;
      if (performance.now() > deadline) {
        this.complaints.push(`not given back: ${left.join(', ')}`);
        break;
      }
      await pause(250);
    }
  }

  #judgeMemory() {
    const [first, second] = this.rounds.map(({ after }) => after.mib);
    const { mib: start } = this.before;
    const left = second - start;
    if (left > MOST_LEFT_MIB) this.complaints.push(`${mib(left)} MiB more than at the start are left, bound ${MOST_LEFT_MIB}`);
    if (second - first > MOST_GROWTH_MIB) this.complaints.push(`the second round left ${mib(second - first)} MiB more than the first`);
  }

  row() {
    const latencies = this.rounds.flatMap(({ seen }) => seen.latencies);
    const bystanders = [0.5, 0.99, 1].map((q) => quantile(latencies, q).toFixed(1)).join(' / ');
    const health = this.rounds.map(({ watched }) => watched.health);
    const slowest = Math.max(...health.map((checks) => checks.slowest)).toFixed(0);
    const unanswered = health.flatMap(({ failures }) => failures).length;
    const peak = Math.max(...this.rounds.map(({ watched }) => watched.peak));
    const after = this.rounds.map((round) => mib(round.after.mib)).join(' / ');
    const told = this.rounds.map(({ tally }) => list(tally)).join('; again: ');
    return [
      `\`tests/load/overload ${this.name}\``,
      this.attack.what(this.size),
      bystanders,
      unanswered > 0 ? `${slowest}, ${unanswered} not answered` : slowest,
      `${mib(peak)} (${this.attack.mostMiB})`,
      `${mib(this.before.mib)} / ${after}`,
      told,
      list(this.counted),
    ].join(' | ');
  }
}

function quantile(values, q) {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))] ?? NaN;
}

const mib = (number) => number.toFixed(1);
const list = (counts) =>
  Object.entries(counts)
    .sort()
    .map(([what, count]) => `${what} ${count.toLocaleString('en')}`)
    .join(', ') || 'nothing';

/** Makes an attack, again if it was only slow, prints its row, and returns what was wrong. */
async function hold(name, attack) {
  for (let tries = 1; ; tries += 1) {
    const trial = new Trial(name, attack, values.quick);
    try {
      await trial.run();
    } catch (error) {
      return [...trial.complaints, error.message];
    }
    const onlySlow = trial.delays.length > 0 && trial.complaints.length === 0;
    if (onlySlow && tries < MOST_TRIES) continue;
    console.log(`| ${trial.row()} |`);
    return [...trial.complaints, ...trial.delays];
  }
}

const { values, positionals } = parseArgs({ options: { quick: { type: 'boolean', default: false } }, allowPositionals: true });
const unknown = positionals.filter((name) => !ORDER.includes(name));
if (unknown.length > 0) {
  console.error(`no attack ${unknown}; there are: ${ORDER.join(', ')}`);
  process.exit(64);
}
let broken = 0;
for (const name of positionals.length > 0 ? positionals : ORDER) {
  const { default: attack } = await import(`./attacks/${name}.mjs`);
  const complaints = await hold(name, attack);
  broken += complaints.length;
  complaints.forEach((complaint) => console.error(`${name}: ${complaint}`));
}
process.exit(broken > 0 ? 1 : 0);
