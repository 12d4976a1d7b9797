// The daemon's metrics in a real StatsD server.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { isDeepStrictEqual } from 'node:util';

import { clients } from '../support/clients.mjs';
import { freePorts } from '../support/daemon.mjs';
import { Office } from '../support/people.mjs';
import { within } from '../support/wait.mjs';

const client = clients[0];

test('gauges follow users and versions, and are zero when all have left', async (t) => {
  const { office, statsd } = await officeWithStatsd(t);
  const ann = await office.arrives(client, { username: 'ann', usertype: 'operator', appVersion: '2.0.1-rc_3' }, 'X');
  await statsd.shows({ people_connected: 1, 'fe_version.2.0.1-rc_3': 1 });
  const tab = await office.arrives(client, { username: 'ann', usertype: 'operator', appVersion: '2.0.2' }, 'X');
  const bob = await office.arrives(client, { username: 'bob', usertype: 'provider', appVersion: '2.0.2' }, 'X');
  await statsd.shows({ people_connected: 2, 'fe_version.2.0.1-rc_3': 1, 'fe_version.2.0.2': 2 });
  for (const person of [ann, tab, bob]) person.leaves();
  await statsd.shows({ people_connected: 0, 'fe_version.2.0.1-rc_3': 0, 'fe_version.2.0.2': 0 });
});

test('a version made up by a browser cannot forge a gauge', async (t) => {
  const { office, statsd } = await officeWithStatsd(t);
  const ann = await office.arrives(client, { username: 'ann', usertype: 'operator', appVersion: '1:9|g|@2 #a' }, 'X');
  ann.identifies({ username: 'ann', usertype: 'operator', appVersion: '1\npeople_connected:99|g' });
  await ann.opens('Y');
  await office.arrives(client, 'bob', 'X');
  await statsd.shows({ people_connected: 2, 'fe_version.1_9_g__2__a': 1, 'fe_version.1.0': 1 });
  assert.equal(statsd.badLines, 0);
});

async function officeWithStatsd(t) {
  const statsd = await Statsd.start(t);
  const env = { STATSD_HOST: '127.0.0.1', STATSD_PORT: String(statsd.port) };
  return { statsd, office: await Office.open(t, { env }) };
}

/** The npm package `statsd` in its own process. */
class Statsd {
  #lines;
  #flush;

  static async start(t) {
    const statsd = new Statsd();
    const [port, managementPort] = await freePorts(2);
    statsd.port = port;
    const folder = await mkdtemp(join(tmpdir(), 'cla-statsd-'));
    const config = {
      address: '127.0.0.1',
      port,
      mgmt_address: '127.0.0.1',
      mgmt_port: managementPort,
      flushInterval: 100,
      backends: [fileURLToPath(new URL('statsd-backend.cjs', import.meta.url))],
    };
    await writeFile(join(folder, 'config.js'), JSON.stringify(config));
    const program = fileURLToPath(new URL('../support/node_modules/statsd/stats.js', import.meta.url));
    const child = spawn(process.execPath, ['--no-deprecation', program, join(folder, 'config.js')], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    t.after(async () => {
      child.kill();
      await once(child, 'close');
      await rm(folder, { recursive: true });
    });
    statsd.#lines = createInterface(child.stdout)[Symbol.asyncIterator]();
    await within(statsd.#nextFlush(), () => 'the first flush of StatsD');
    return statsd;
  }

  /** Waits until the daemon's gauges in StatsD are exactly these. */
  async shows(gauges) {
    const seen = async () => {
      while (!isDeepStrictEqual(this.#gauges(), gauges)) await this.#nextFlush();
    };
    const compared = () => `StatsD to show ${JSON.stringify(gauges)}; it shows ${JSON.stringify(this.#gauges())}`;
    await within(seen(), compared);
  }

  get badLines() {
    return this.#flush.counters['statsd.bad_lines_seen'];
  }

  #gauges() {
    const ours = Object.entries(this.#flush.gauges).filter(([name]) => /^(people_connected|fe_version\.)/.test(name));
    return Object.fromEntries(ours);
  }

  async #nextFlush() {
    for (;;) {
      const { value, done } = await this.#lines.next();
      assert.ok(!done, 'StatsD ended');
      if (!value.startsWith('{')) continue;
      this.#flush = JSON.parse(value);
      return;
    }
  }
}
