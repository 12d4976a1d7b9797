// Clients behind a proxy that breaks websockets stay connected by polling, as with the Node.js server.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';

import { Middlebox, modes } from '../support/middlebox.mjs';
import { clients } from '../support/clients.mjs';
import { Office } from '../support/people.mjs';

const upgrading = clients.filter(({ transports }) => transports.length === 2);

/** Longer than the daemon's time-out for the probe of a websocket. */
const BEYOND_THE_PROBE_MS = 11_000;

describe('behind a proxy that breaks websockets', { concurrency: true }, () => {
  for (const mode of modes) {
    for (const client of upgrading) {
      test(`${mode}: ${client.version} is connected at once, receives every list and is never disconnected`, async (t) => {
        const office = await Office.open(t);
        const box = await Middlebox.open(t, mode, office.daemon.publicUrl);
        const colleague = await office.arrives(client, 'bob', 'X');

        const started = performance.now();
        const ann = office.comes(client, 'ann', box.url);
        await ann.opens('X');
        const connectedAfter = performance.now() - started;
        assert.ok(connectedAfter < 5000, `connected after ${connectedAfter} ms`);

        for (const at of Array(11).keys()) {
          await pause(BEYOND_THE_PROBE_MS / 11);
          colleague.says(at % 2 ? 'startViewingCase' : 'stopViewingCase', 'X');
          await ann.hears('peopleViewing', at % 2 ? ['bob', 'ann'] : ['ann']);
        }
        assert.equal(box.upgrades, 1, 'websockets requested');
        assert.deepEqual(ann.heard('disconnect'), []);
        assert.equal(ann.heard('connect').length, 1);
        // One poll for each list and each answer, and one or two noops; with `mute`, ten noops a second.
        const polls = box.pollsSince(started);
        assert.ok(polls <= (mode === 'mute' ? 130 : 25), `${polls} polls for 12 lists in ${BEYOND_THE_PROBE_MS} ms`);
      });
    }
  }
});
