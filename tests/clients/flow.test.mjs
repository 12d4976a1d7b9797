// Presence and messages for every client version over every choice of transports.

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, test } from 'node:test';

import { clients } from '../support/clients.mjs';
import { Office } from '../support/people.mjs';

const END = 'the end';

for (const client of clients) {
  describe(`socket.io-client ${client.title}`, () => {
    test('users on one case see each other in order of identify', async (t) => {
      const office = await Office.open(t);
      const ann = await office.arrives(client, 'ann', 'lobby');
      const bob = await office.arrives(client, 'bob', 'X');
      await ann.opens('X');
      await bob.hears('peopleViewing', ['ann', 'bob']);
      const cat = await office.arrives(client, 'cat', 'X');
      await ann.hears('peopleViewing', ['ann', 'bob', 'cat']);

      cat.leaves();
      await ann.hears('peopleViewing', ['ann', 'bob']);
      await bob.hears('peopleViewing', ['ann', 'bob']);

      assert.deepEqual(ann.screens, [['ann'], ['ann', 'bob'], ['ann', 'bob', 'cat'], ['ann', 'bob']]);
      assert.deepEqual(bob.screens, [['bob'], ['ann', 'bob'], ['ann', 'bob', 'cat'], ['ann', 'bob']]);
      assert.deepEqual(cat.screens, [['ann', 'bob', 'cat']]);
    });

    test('a stop that names another case leaves the case viewed', async (t) => {
      const office = await Office.open(t);
      const ann = await office.arrives(client, 'ann', 'X');
      const bob = await office.arrives(client, 'bob', 'X');
      bob.says('stopViewingCase', 'Y');
      await ann.hears('peopleViewing', ['ann']);
      await allReceiveTheEnd(office, [ann, bob]);
      assert.deepEqual(bob.screens, [['ann', 'bob']]);
      assert.deepEqual(await office.casesOf('bob'), [null]);
    });

    test('a switch to another case updates both cases, and later changes of the old one are not received', async (t) => {
      const office = await Office.open(t);
      const ann = await office.arrives(client, 'ann', 'X');
      const bob = await office.arrives(client, 'bob', 'Y');
      const cat = await office.arrives(client, 'cat', 'X');
      await cat.opens('Y');
      await ann.hears('peopleViewing', ['ann']);
      await bob.hears('peopleViewing', ['bob', 'cat']);

      const dan = await office.arrives(client, 'dan', 'X');
      await ann.hears('peopleViewing', ['ann', 'dan']);
      await allReceiveTheEnd(office, [ann, bob, cat, dan]);
      assert.deepEqual(cat.screens, [['ann', 'cat'], ['bob', 'cat']]);
    });

    test('two tabs of one user are listed once, until the last of them leaves', async (t) => {
      const office = await Office.open(t);
      const ann = await office.arrives(client, 'ann', 'X');
      const [first, second] = [await office.arrives(client, 'bob', 'X'), await office.arrives(client, 'bob', 'X')];
      first.leaves();
      await second.hears('peopleViewing', ['ann', 'bob']);
      second.leaves();
      await ann.hears('peopleViewing', ['ann']);
      assert.deepEqual(ann.screens, [['ann'], ['ann', 'bob'], ['ann']]);
    });

    test('a connection that identifies with another name is no longer listed under the first', async (t) => {
      const office = await Office.open(t);
      const ann = await office.arrives(client, 'ann', 'X');
      const bob = await office.arrives(client, 'bob', 'X');
      ann.identifies({ username: 'cat', usertype: 'operator', appVersion: '1.0' });
      await bob.hears('peopleViewing', ['bob', 'cat']);
      await ann.hears('peopleViewing', ['bob', 'cat']);
      assert.deepEqual(Object.keys(await office.daemon.peopleMap()).sort(), ['bob', 'cat']);
    });

    test('a plain string is accepted as the payload of identify', async (t) => {
      const office = await Office.open(t);
      const ann = await office.arrives(client, 'ann', 'X');
      ann.identifies('bob');
      await ann.hears('peopleViewing', ['bob']);
    });

    test('a notification reaches only its user type, as it was posted', async (t) => {
      const office = await Office.open(t);
      const operator = await office.arrives(client, 'ann', 'X');
      const provider = await office.arrives(
        client,
        { username: 'pat', usertype: 'provider', appVersion: '1.0' },
        'operator',
      );
      const forOperators = [
        { id: 7, type: 'warning', notification: 'Größe 😀 <b>名前</b>', description: '', end_time: null, nested: [{}, [1.5]] },
      ];
      await office.daemon.notify(forOperators, 'operator');
      await office.daemon.notify([], 'provider');
      await operator.hears('notification', forOperators);
      await provider.hears('notification', []);
      await allReceiveTheEnd(office, [operator, provider]);
      assert.deepEqual(operator.heard('notification'), [forOperators, END]);
      assert.deepEqual(provider.heard('notification'), [[], END]);
    });

    test('a system message reaches the chosen connection, or all', async (t) => {
      const office = await Office.open(t);
      const chosen = await office.arrives(client, 'ann', 'X');
      const other = await office.arrives(client, 'ann', 'Y');
      const socketID = (await office.daemon.connectionsOf('ann'))
        .filter(([, { caseViewed }]) => caseViewed === 'X')
        .map(([id]) => id);
      await office.daemon.broadcast({ selectedClients: 'true', socketID });
      await chosen.hears('systemMessage', '1');
      await office.daemon.broadcast({ allClients: 'true' });
      await allReceiveTheEnd(office, [chosen, other]);
      assert.deepEqual([chosen, other].map((tab) => tab.heard('systemMessage')), [['1', '1'], ['1']]);
    });

    test('after a restart of the daemon every user is on the case again, and no list lacked one', async (t) => {
      const stateDir = mkdtempSync(path.join(tmpdir(), 'places-'));
      t.after(() => rmSync(stateDir, { recursive: true }));
      const office = await Office.open(t, { env: { CLA_PRESENCE__STATE_DIR: stateDir } });
      const ann = await office.arrives(client, 'ann', 'X');
      const bob = await office.arrives(client, 'bob', 'X');
      await ann.hears('peopleViewing', ['ann', 'bob']);
      await office.daemon.stop();
      await Promise.all([ann.hears('disconnect'), bob.hears('disconnect')]);
      await office.daemon.start();
      // Both only identify; neither opens the case again.
      for (const person of [ann, bob]) await person.hears('peopleViewing', ['ann', 'bob']);
      const cat = await office.arrives(client, 'cat', 'X');
      for (const person of [ann, bob, cat]) await person.shows(['ann', 'bob', 'cat']);
      assert.deepEqual(ann.screens, [['ann'], ['ann', 'bob'], ['ann', 'bob', 'cat']]);
      assert.deepEqual(bob.screens, [['ann', 'bob'], ['ann', 'bob', 'cat']]);
    });

    test('after a restart of the daemon every client reconnects by itself', async (t) => {
      const office = await Office.open(t);
      const ann = await office.arrives(client, 'ann', 'X');
      const bob = await office.arrives(client, 'bob', 'X');
      await office.daemon.stop();
      // A client does not reconnect by itself after "io server disconnect".
      for (const person of [ann, bob]) assert.notEqual(await person.hears('disconnect'), 'io server disconnect');

      await office.daemon.start();
      await ann.opens('X');
      await bob.opens('X');
      const names = bob.screens.at(-1);
      assert.deepEqual([...names].sort(), ['ann', 'bob']);
      await ann.shows(names);
      await Promise.all([ann.settles(), bob.settles()]);
    });
  });
}

/** Sends a final notification and waits until all have received it, and with it everything sent before. */
async function allReceiveTheEnd(office, people) {
  for (const userType of ['operator', 'provider']) await office.daemon.notify(END, userType);
  await Promise.all(people.map((person) => person.hears('notification', END)));
}
