// A soak: rounds of mixed traffic, each followed by a rest in which everything is compared.
//
//   node main.mjs [MINUTES] [--seed NUMBER]
//
// Lives here: the rounds, the figures, the verdict. The rules are told at the top of `ledger.mjs`.
// Ends with 1 at the first rest that finds something wrong, and says what. The seed that it prints makes the same
// things happen in the same order; how long each takes is up to the machine.

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { parseArgs } from 'node:util';

import { Daemon } from '../../support/daemon.mjs';
import { files, resident } from '../../support/process.mjs';
import { Statsd } from '../../support/statsd.mjs';
import { audit } from './audit.mjs';
import { DELAY, GRACE, now, PING_INTERVAL, PING_TIMEOUT, REST, stalls } from './clock.mjs';
import { counts, trouble } from './page.mjs';
import { Staff } from './staff.mjs';
import { Strangers } from './strangers.mjs';
import { Traffic } from './traffic.mjs';
import { complaints, growth } from './vitals.mjs';

/** A round with its rest takes about this long in a long soak. */
const ROUND = 60_000;

/** About how long it takes until everybody is there and, in the end, until nothing is left of them. */
const AROUND = 12_000;

/** About how long it takes in each round until everything that has begun is over. */
const ENDING = 3_000;

/** No more of the time may be lost to a machine that is busy elsewhere, or nothing was shown. */
const LOST_TIME = 0.5;

/** No more than one line in so many may break that nobody cut: the daemon must not hang up on whoever behaves. */
const UNPLANNED = 200;

/** A rest is given up on after this time, if lines keep breaking. */
const LONGEST_REST = 60_000;

/** So many files may be on the point of being closed while somebody polls. At the end none may be. */
const SLACK_FILES = 5;

const { values, positionals } = parseArgs({ options: { seed: { type: 'string' } }, allowPositionals: true });
const minutes = Number(positionals[0] ?? 30);
const seed = Number(values.seed ?? Math.floor(Math.random() * 2 ** 31));
if (positionals.length > 1 || !(minutes > 0) || !Number.isInteger(seed)) {
  console.error('usage: tests/load/soak [MINUTES] [--seed NUMBER]');
  process.exit(64);
}
console.log(`seed ${seed}`);

const stateDir = mkdtempSync(path.join(tmpdir(), 'soak-'));
process.on('exit', () => rmSync(stateDir, { recursive: true }));
const statsd = await Statsd.listen();
const daemon = await Daemon.start({
  env: {
    CLA_LOG__FORMAT: 'json',
    CLA_SITE_HOSTNAME: 'chs.example.org',
    CLA_PRESENCE__GRACE_MS: GRACE,
    CLA_PRESENCE__STATE_DIR: stateDir,
    CLA_PUBLIC__PING_INTERVAL_MS: PING_INTERVAL,
    CLA_PUBLIC__PING_TIMEOUT_MS: PING_TIMEOUT,
    STATSD_PORT: statsd.port,
  },
});
const staff = new Staff(daemon.adminUrl);
const port = new URL(daemon.publicUrl).port;
const strangers = new Strangers(port);
const begun = now();
const before = { files: await filesAtRest(), resident: resident(daemon.pid) };
let traffic;
const watching = stalls.watch({ ask: () => staff.asks(), passOn: async () => traffic?.passesOn() });
traffic = await Traffic.begin({ seed, port, staff, strangers });
const samples = [];

const rounds = Math.max(2, Math.round((minutes * 60_000) / ROUND));
const length = Math.max(5_000, (minutes * 60_000 - AROUND) / rounds - ENDING - REST);
let from = now();
for (let round = 1; round <= rounds; round += 1) {
  await traffic.runs(length, round);
  await rests();
  const wrong = await audit({ traffic, staff, statsd, from });
  samples.push(resident(daemon.pid));
  if (wrong.length > 0) report(wrong);
  const besides = await filesAtRest(traffic);
  assert.ok(besides <= before.files + SLACK_FILES, `${besides} open files besides connections, ${before.files} before`);
  console.log(
    `${seconds()} s: ${traffic.present.length} connections as the model says, ` +
      `${staff.posts.length} messages delivered, ${samples.at(-1)} KiB resident`,
  );
  from = now();
  staff.posts.splice(0);
  await traffic.forgets(from - DELAY);
  stalls.forget(from - DELAY);
}

stalls.stop();
await watching;
await traffic.ends();
// What is left of lost places and of the connections of strangers.
await pause(REST);
assert.deepEqual(await staff.people(), {}, 'people after everybody has gone');
assert.ok((await filesAtRest()) <= before.files, 'more files are open after everybody has gone than before');
const after = resident(daemon.pid);
await daemon.stop();
statsd.close();
summarise();
const grown = growth(samples);
const complained = complaints(daemon.log);
assert.equal(grown, null);
assert.deepEqual(complained, [], 'the log');
const lines = counts.connections + counts.reconnects;
assert.ok(counts.unexplained * UNPLANNED <= lines, `${counts.unexplained} lines of ${lines} broke that nobody cut`);
assert.ok(stalls.total < (now() - begun) * LOST_TIME, 'the machine stood still for too long to show anything');

/**
 * The open files besides those of connections, which come and go while somebody polls: the median of some looks. When
 * nobody does, the daemon may be just writing a file.
 */
async function filesAtRest(traffic) {
  const looks = [];
  for (let n = 0; n < 41; n += 1) {
    looks.push(files(daemon.pid) - (traffic?.connections ?? 0));
    await pause(25);
  }
  return looks.sort((one, other) => one - other)[20];
}

/** Nothing happens for as long as it takes to settle whatever has happened. */
async function rests() {
  const begun = now();
  do await pause(REST - Math.min(now() - trouble.last, now() - begun));
  while (now() - trouble.last < REST && now() - begun < LONGEST_REST);
}

function report(wrong) {
  console.error(`after ${seconds()} s, seed ${seed}, ${wrong.length} things are wrong:`);
  wrong.slice(0, 5).forEach((account) => console.error(account));
  process.exit(1);
}

function summarise() {
  const { connections, reconnects, unplanned, unexplained, said, lists, messages } = counts;
  const kinds = ['lost', 'resumed', 'flicker_suppressed', 'lapsed'];
  const places = kinds.map((kind) => `${statsd.counters[`presence.${kind}`] ?? 0} ${kind}`);
  const came = Object.entries(strangers.counts).map(([kind, count]) => `${count} ${kind}`);
  console.log(
    `${seconds()} s, ${connections} pages, ${reconnects} reconnects, ${unplanned} of them after a loss that nobody meant, ` +
      `${unexplained} while the machine was not busy`,
  );
  console.log(`${said} events said, ${lists} lists and ${messages} messages heard, ${staff.requests} requests of staff`);
  console.log(`places: ${places.join(', ')}`);
  console.log(`strangers: ${came.join(', ')}`);
  console.log(`resident: ${before.resident} KiB at first, ${samples.join(' ')} at rest, ${after} after all have gone`);
  console.log(`the machine stood still for ${Math.round(stalls.total)} ms`);
}

function seconds() {
  return Math.round((now() - begun) / 1_000);
}
