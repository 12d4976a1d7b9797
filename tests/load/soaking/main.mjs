// A soak: rounds of mixed traffic, each followed by a rest and a comparison.
//
//   node main.mjs [MINUTES] [--seed NUMBER]
//
// Lives here: the rounds, the figures, the result. The rules are at the top of `model.mjs`.
// Exits with 1 after the first comparison that finds a difference, and prints it. The printed seed repeats the same events
// in the same order; their times depend on the machine.

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { parseArgs } from 'node:util';

import { Daemon } from '../../support/daemon.mjs';
import { files, resident } from '../../support/process.mjs';
import { Statsd } from '../../support/statsd.mjs';
import { Attackers } from './attackers.mjs';
import { audit } from './audit.mjs';
import { DELAY, GRACE, now, PING_INTERVAL, PING_TIMEOUT, REST, stalls } from './clock.mjs';
import { complaints, growth } from './memory-and-log.mjs';
import { counts, trouble } from './page.mjs';
import { Staff } from './staff.mjs';
import { Traffic } from './traffic.mjs';

/** Approximate length of a round with its rest in a long soak. */
const ROUND = 60_000;

/** Approximate time to connect all pages at the start and to remove them at the end. */
const AROUND = 12_000;

/** Approximate time until all actions of a round have ended. */
const ENDING = 3_000;

/** Largest share of the time that may be lost to stalls of the machine. Beyond it the soak shows nothing. */
const MAX_STALLED = 0.5;

/** At most one connection in this number may break without a cut by the test. */
const CONNECTIONS_PER_LOSS = 200;

/** Time-out of a rest, if connections keep breaking. */
const LONGEST_REST = 60_000;

/** Number of files that may be about to be closed while pages poll. At the end there may be none. */
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
const attackers = new Attackers(port);
const begun = now();
const before = { files: await filesAtRest(), resident: resident(daemon.pid) };
let traffic;
const watching = stalls.watch({ ask: () => staff.asks(), passOn: async () => traffic?.passesOn() });
traffic = await Traffic.begin({ seed, port, staff, attackers });
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
// Until lost places have lapsed and the daemon has closed the connections of attackers.
await pause(REST);
assert.deepEqual(await staff.people(), {}, 'people are left after all pages have left');
assert.ok((await filesAtRest()) <= before.files, 'more files are open at the end than at the start');
const after = resident(daemon.pid);
await daemon.stop();
statsd.close();
summarise();
const grown = growth(samples);
const complained = complaints(daemon.log);
assert.equal(grown, null);
assert.deepEqual(complained, [], 'the log has warnings or errors');
const connections = counts.connections + counts.reconnects;
const { unexplained } = counts;
assert.ok(unexplained * CONNECTIONS_PER_LOSS <= connections, `${unexplained} of ${connections} connections broke without a cut`);
assert.ok(stalls.total < (now() - begun) * MAX_STALLED, 'the machine stalled for too long to show anything');

/**
 * Number of open files without those of connections: the median of 41 samples. Polling connections come and go between
 * samples, and the daemon may be writing a file.
 */
async function filesAtRest(traffic) {
  const samples = [];
  for (let n = 0; n < 41; n += 1) {
    samples.push(files(daemon.pid) - (traffic?.connections ?? 0));
    await pause(25);
  }
  return samples.sort((one, other) => one - other)[20];
}

/** Waits without events until all screens must be right. */
async function rests() {
  const begun = now();
  do await pause(REST - Math.min(now() - trouble.last, now() - begun));
  while (now() - trouble.last < REST && now() - begun < LONGEST_REST);
}

function report(wrong) {
  console.error(`after ${seconds()} s, seed ${seed}, ${wrong.length} differences:`);
  wrong.slice(0, 5).forEach((account) => console.error(account));
  process.exit(1);
}

function summarise() {
  const { connections, reconnects, unplanned, unexplained, sent, lists, messages } = counts;
  const kinds = ['lost', 'resumed', 'flicker_suppressed', 'lapsed'];
  const places = kinds.map((kind) => `${statsd.counters[`presence.${kind}`] ?? 0} ${kind}`);
  const attacks = Object.entries(attackers.counts).map(([kind, count]) => `${count} ${kind}`);
  console.log(
    `${seconds()} s, ${connections} pages, ${reconnects} reconnects, ${unplanned} of them without a cut by the test, ` +
      `${unexplained} of these while the machine did not stall`,
  );
  console.log(`${sent} events sent, ${lists} lists and ${messages} messages received, ${staff.requests} requests of staff`);
  console.log(`places: ${places.join(', ')}`);
  console.log(`attacks: ${attacks.join(', ')}`);
  console.log(`resident: ${before.resident} KiB at the start, ${samples.join(' ')} at rest, ${after} after all pages have left`);
  console.log(`the machine stalled for ${Math.round(stalls.total)} ms`);
}

function seconds() {
  return Math.round((now() - begun) / 1_000);
}
