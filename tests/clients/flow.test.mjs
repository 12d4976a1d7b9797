// What every client version must live through, over every choice of transports.

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
    test('people on one case see each other in order of identify', async (t) => {
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
      await everybodyHearsTheEnd(office, [ann, bob]);
      assert.deepEqual(bob.screens, [['ann', 'bob']]);
      assert.deepEqual(await office.casesOf('bob'), [null]);
    });

    test('a switch to another case tells both cases, and only the new one is heard of', async (t) => {
      const office = await Office.open(t);
      const ann = await office.arrives(client, 'ann', 'X');
      const bob = await office.arrives(client, 'bob', 'Y');
      const cat = await office.arrives(client, 'cat', 'X');
      await cat.opens('Y');
      await ann.hears('peopleViewing', ['ann']);
      await bob.hears('peopleViewing', ['bob', 'cat']);

      const dan = await office.arrives(client, 'dan', 'X');
      await ann.hears('peopleViewing', ['ann', 'dan']);
      await everybodyHearsTheEnd(office, [ann, bob, cat, dan]);
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

    test('a connection that takes another name leaves no ghost of the first', async (t) => {
      const office = await Office.open(t);
      const ann = await office.arrives(client, 'ann', 'X');
      const bob = await office.arrives(client, 'bob', 'X');
      ann.identifies({ username: 'cat', usertype: 'operator', appVersion: '1.0' });
      await bob.hears('peopleViewing', ['bob', 'cat']);
      await ann.hears('peopleViewing', ['bob', 'cat']);
      assert.deepEqual(Object.keys(await office.daemon.peopleMap()).sort(), ['bob', 'cat']);
    });

    test('a bare string identifies as well', async (t) => {
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
      await everybodyHearsTheEnd(office, [operator, provider]);
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
      await everybodyHearsTheEnd(office, [chosen, other]);
      assert.deepEqual([chosen, other].map((tab) => tab.heard('systemMessage')), [['1', '1'], ['1']]);
    });

    test('after a restart of the daemon everybody is on their case again, and nobody was missing meanwhile', async (t) => {
      const stateDir = mkdtempSync(path.join(tmpdir(), 'places-'));
      t.after(() => rmSync(stateDir, { recursive: true }));
      const office = await Office.open(t, { env: { CLA_PRESENCE__STATE_DIR: stateDir } });
      const ann = await office.arrives(client, 'ann', 'X');
      const bob = await office.arrives(client, 'bob', 'X');
      await ann.hears('peopleViewing', ['ann', 'bob']);
      await office.daemon.stop();
      await Promise.all([ann.hears('disconnect'), bob.hears('disconnect')]);
      await office.daemon.start();
      // Neither says anything but who they are.
      for (const person of [ann, bob]) await person.hears('peopleViewing', ['ann', 'bob']);
      const cat = await office.arrives(client, 'cat', 'X');
      for (const person of [ann, bob, cat]) await person.shows(['ann', 'bob', 'cat']);
      assert.deepEqual(ann.screens, [['ann'], ['ann', 'bob'], ['ann', 'bob', 'cat']]);
      assert.deepEqual(bob.screens, [['ann', 'bob'], ['ann', 'bob', 'cat']]);
    });

    test('a restart of the daemon brings everybody back by themselves', async (t) => {
      const office = await Office.open(t);
      const ann = await office.arrives(client, 'ann', 'X');
      const bob = await office.arrives(client, 'bob', 'X');
      await office.daemon.stop();
      // A client that is told "io server disconnect" never comes back by itself.
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

/** Sends a last word to all: whoever has heard it has heard everything that was sent before. */
async function everybodyHearsTheEnd(office, people) {
  for (const userType of ['operator', 'provider']) await office.daemon.notify(END, userType);
  await Promise.all(people.map((person) => person.hears('notification', END)));
}
