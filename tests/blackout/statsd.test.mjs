// A name server that does not answer: users notice nothing, and StatsD receives everything once it answers.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';

import { chs } from '../support/clients.mjs';
import { answerTo } from '../support/name-server.mjs';
import { Office } from '../support/people.mjs';
import { Statsd } from '../support/statsd.mjs';
import { LIMIT_MS, within } from '../support/wait.mjs';

/** An address of this machine that nothing else listens on. */
const NAME_SERVER = '127.0.0.53';

/** Time until the daemon resolves an unknown StatsD host again, with a margin. */
const NEXT_LOOKUP_MS = 12_000 + LIMIT_MS;

test('a silent name server disturbs nobody, and StatsD receives everything once it answers', async (t) => {
  const names = await NameServer.open(t);
  const statsd = await Statsd.listen();
  t.after(() => statsd.close());
  const env = { SITE_HOSTNAME: 'chs.example.org', STATSD_HOST: 'statsd.example.org', STATSD_PORT: statsd.port };
  const office = await Office.open(t, { env });
  const ann = await office.arrives(chs, 'ann', 'X');
  const bob = await office.arrives(chs, 'bob', 'X');
  await ann.hears('peopleViewing', ['ann', 'bob']);
  ann.says('identify', null);
  bob.says('startViewingCase', 'Y');
  await ann.hears('peopleViewing', ['ann']);
  assert.ok(names.queries > 0, 'the daemon did not resolve the name');

  names.beginToAnswer();
  // The daemon resolves the name at the first change after its wait.
  const changes = setInterval(() => bob.says('startViewingCase', 'Y'), 500);
  t.after(() => clearInterval(changes));
  const received = async () => {
    while (statsd.gauges.people_connected !== 2 || statsd.counters['frame_rejected.malformed'] !== 1) await statsd.news();
  };
  await within(received(), () => `${JSON.stringify(statsd.gauges)} ${JSON.stringify(statsd.counters)}`, NEXT_LOOKUP_MS);
  assert.equal(office.daemon.log.match(/ WARN /g).length, 1, office.daemon.log);
});

test('a silent name server does not delay a stop', async (t) => {
  const names = await NameServer.open(t);
  const office = await Office.open(t, { env: { STATSD_HOST: 'statsd.example.org' } });
  await office.arrives(chs, 'ann', 'X');
  assert.ok(names.queries > 0, 'the daemon did not resolve the name');
  const begun = performance.now();
  await office.daemon.stop();
  // A resolver gives up after ten seconds.
  assert.ok(performance.now() - begun < 5_000, `it took ${Math.round(performance.now() - begun)} ms`);
  await office.daemon.start();
});

/** The only name server in this mount namespace. It is silent at first; later it resolves every name to 127.0.0.1. */
class NameServer {
  queries = 0;
  #socket;
  #answers = false;

  static async open(t) {
    const server = new NameServer();
    server.#socket = createSocket('udp4').on('message', (query, from) => server.#hears(query, from));
    await once(server.#socket.bind(53, NAME_SERVER), 'listening');
    // Visible only in the mount namespace of this layer.
    const file = path.join(mkdtempSync(path.join(tmpdir(), 'names-')), 'resolv.conf');
    writeFileSync(file, `nameserver ${NAME_SERVER}\n`);
    execFileSync('mount', ['--bind', file, '/etc/resolv.conf']);
    t.after(() => {
      execFileSync('umount', ['/etc/resolv.conf']);
      server.#socket.close();
    });
    return server;
  }

  beginToAnswer() {
    this.#answers = true;
  }

  #hears(query, { port, address }) {
    this.queries += 1;
    if (!this.#answers) return;
    this.#socket.send(answerTo(query), port, address);
  }
}
