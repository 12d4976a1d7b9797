// Runs one attack after another on a daemon. The command is `overload` beside this file.
//
// Lives here: the processes of an attack, the bounds, the row of the table. Not here: attacks (attacks/), the bystanders
// (`bystanders.mjs`).
// Each attack runs twice: a leak shows as more memory after the second round than after the first.

import { fork } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as pause } from 'node:timers/promises';
import { parseArgs } from 'node:util';

import { within } from '../support/wait.mjs';
import { AttackedDaemon } from './attacked-daemon.mjs';

/** Short time-outs for `--quick`, after which the daemon releases the resources of attackers. */
const QUICK_TIMEOUTS = {
  CLA_PUBLIC__PING_INTERVAL_MS: 1_000,
  CLA_PUBLIC__PING_TIMEOUT_MS: 1_500,
  CLA_PRESENCE__GRACE_MS: 500,
  CLA_LIMITS__IDENTIFY_TIMEOUT_MS: 2_500,
};

/** Time-outs of the shipped configuration. */
const TIMEOUTS = {
  CLA_PUBLIC__PING_INTERVAL_MS: 25_000,
  CLA_PUBLIC__PING_TIMEOUT_MS: 45_000,
  CLA_PRESENCE__GRACE_MS: 15_000,
};

/** Bound on the 99th percentile of the bystanders' delays. */
const MAX_P99_MS = 100;

/** Number of tries. On a shared machine all processes stall now and then; an error of the daemon shows in every try. */
const MAX_TRIES = 3;

/** Time-out of one round of an attack. */
const MAX_ROUND_MS = 180_000;

/** Bound on memory after the attack, beyond that at the start. */
const MAX_LEFT_MIB = 8;

/** Bound on memory after the second round, beyond that after the first. */
const MAX_GROWTH_MIB = 2;

const ORDER = ['abandoned', 'idle', 'flood', 'slow-readers', 'full-sockets', 'slow-requests', 'huge-frames', 'flapping', 'files'];

/** A child process that runs a program of this folder and exchanges messages. */
class Child {
  constructor(program, ...args) {
    this.name = program;
    this.child = fork(new URL(program, import.meta.url), args.map(String));
    this.ended = once(this.child, 'exit');
  }

  async nextMessage() {
    const ended = this.ended.then(([code, signal]) => {
      throw new Error(`${this.name} ended (${code ?? signal})`);
    });
    const [message] = await Promise.race([once(this.child, 'message'), ended]);
    return message;
  }

  async ask(order) {
    const answered = this.nextMessage();
    this.child.send(order);
    return answered;
  }

  async dismiss() {
    if (this.child.connected) this.child.send('end');
    await this.ended;
  }

  kill() {
    this.child.kill('SIGKILL');
  }
}

class Trial {
  #daemon;
  #bystanders;
  #attackers;
  complaints = [];
  /** Complaints about delays, which a busy machine can cause as well. */
  delays = [];

  constructor(name, attack, quick) {
    this.name = name;
    this.attack = attack;
    this.size = quick ? attack.quick : attack.full;
    this.timeouts = quick ? QUICK_TIMEOUTS : TIMEOUTS;
  }

  /** Runs two rounds, and stops the daemon. */
  async run() {
    this.#daemon = await AttackedDaemon.start({ files: this.size.files, env: this.timeouts });
    try {
      const interval = this.timeouts.CLA_PUBLIC__PING_INTERVAL_MS;
      this.#bystanders = new Child('bystanders.mjs', this.#daemon.ports.public, interval);
      await this.#bystanders.nextMessage();
      this.before = await this.#daemon.atRest();
      this.rounds = [await this.#round(), await this.#round()];
      this.#checkMemory();
      await this.#daemon.assertAcceptsClients();
      this.#bystanders.kill();
      this.counted = await this.#daemon.stop();
    } finally {
      [this.#bystanders, this.#attackers, this.#daemon].forEach((started) => started?.kill());
    }
  }

  async #round() {
    const settings = { ...this.#daemon.ports, pingInterval: this.timeouts.CLA_PUBLIC__PING_INTERVAL_MS, ...this.size };
    this.#bystanders.child.send('begin');
    this.#daemon.watch(this.attack.maxMiB);
    this.#attackers = new Child('attackers.mjs', this.name, JSON.stringify(settings));
    const over = Promise.race([this.#attackers.nextMessage(), this.#daemon.failure]);
    const { tally } = await within(over, () => 'the end of the attack', MAX_ROUND_MS);
    const seen = await this.#bystanders.ask('report');
    const watched = this.#daemon.unwatch();
    await this.#attackers.dismiss();
    this.#checkRound(seen, watched);
    await this.#recover();
    return { tally, seen, watched, after: await this.#daemon.settled() };
  }

  #checkRound({ latencies, missed, closed }, { health }) {
    const p99 = quantile(latencies, 0.99);
    if (!(p99 < MAX_P99_MS)) this.delays.push(`bystanders waited ${p99.toFixed(0)} ms for one change in a hundred`);
    if (missed > 0) this.complaints.push(`bystanders missed ${missed} changes`);
    if (closed > 0) this.complaints.push(`${closed} bystanders lost their connection`);
    if (health.failures.length > 0) {
      this.complaints.push(`/readyz was not answered ${health.failures.length} times: ${health.failures[0]}`);
    }
  }

  /** Waits until the daemon has released everything of the attackers. */
  async #recover() {
    const heartbeat = this.timeouts.CLA_PUBLIC__PING_INTERVAL_MS + this.timeouts.CLA_PUBLIC__PING_TIMEOUT_MS;
    const deadline = performance.now() + heartbeat + this.timeouts.CLA_PRESENCE__GRACE_MS + 10_000;
    for (;;) {
      const left = await this.#daemon.leftovers(this.before);
      if (left.length === 0) break;
      if (performance.now() > deadline) {
        this.complaints.push(`not released: ${left.join(', ')}`);
        break;
      }
      await pause(250);
    }
  }

  #checkMemory() {
    const [first, second] = this.rounds.map(({ after }) => after.mib);
    const { mib: start } = this.before;
    const left = second - start;
    if (left > MAX_LEFT_MIB) this.complaints.push(`${mib(left)} MiB more than at the start, bound ${MAX_LEFT_MIB}`);
    if (second - first > MAX_GROWTH_MIB) this.complaints.push(`the second round left ${mib(second - first)} MiB more than the first`);
  }

  row() {
    const latencies = this.rounds.flatMap(({ seen }) => seen.latencies);
    const bystanders = [0.5, 0.99, 1].map((q) => quantile(latencies, q).toFixed(1)).join(' / ');
    const health = this.rounds.map(({ watched }) => watched.health);
    const slowest = Math.max(...health.map((checks) => checks.slowest)).toFixed(0);
    const unanswered = health.flatMap(({ failures }) => failures).length;
    const peak = Math.max(...this.rounds.map(({ watched }) => watched.peak));
    const after = this.rounds.map((round) => mib(round.after.mib)).join(' / ');
    const outcomes = this.rounds.map(({ tally }) => list(tally)).join('; again: ');
    return [
      `\`tests/load/overload ${this.name}\``,
      this.attack.describe(this.size),
      bystanders,
      unanswered > 0 ? `${slowest}, ${unanswered} not answered` : slowest,
      `${mib(peak)} (${this.attack.maxMiB})`,
      `${mib(this.before.mib)} / ${after}`,
      outcomes,
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

/** Runs an attack, again if only delays were wrong. Prints its row and returns the complaints. */
async function runAttack(name, attack) {
  for (let tries = 1; ; tries += 1) {
    const trial = new Trial(name, attack, values.quick);
    try {
      await trial.run();
    } catch (error) {
      return [...trial.complaints, error.message];
    }
    const onlySlow = trial.delays.length > 0 && trial.complaints.length === 0;
    if (onlySlow && tries < MAX_TRIES) continue;
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
  const complaints = await runAttack(name, attack);
  broken += complaints.length;
  complaints.forEach((complaint) => console.error(`${name}: ${complaint}`));
}
process.exit(broken > 0 ? 1 : 0);
