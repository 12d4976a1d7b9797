// Events about the case that a page sends while its client is not connected, or before it has identified.
//
// Clients 2.5 and 4.x send buffered events before the page's `connect` handler runs, and so before `identify`. Clients 1.7 and
// 3.1 send them after it.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { clients } from '../support/clients.mjs';
import { Office } from '../support/people.mjs';

for (const client of clients) {
  describe(`client ${client.title}`, { concurrency: 4 }, () => {
    test('a case that is opened before the first connect is viewed', async (t) => {
      const office = await Office.open(t);
      const ann = office.comes(client, 'ann');
      ann.says('startViewingCase', 'X');
      await ann.hears('peopleViewing', ['ann']);
      assert.deepEqual(await office.casesOf('ann'), ['X']);
    });

    test('the last of several cases that are opened before the first connect is viewed', async (t) => {
      const office = await Office.open(t);
      const bob = await office.arrives(client, 'bob', 'X');
      const ann = office.comes(client, 'ann');
      ann.says('startViewingCase', 'X');
      ann.says('stopViewingCase', 'X');
      ann.says('startViewingCase', 'Y');
      await ann.shows(['ann']);
      assert.deepEqual(await office.casesOf('ann'), ['Y']);
      await bob.opens('X');
      assert.deepEqual(bob.screens.at(-1), ['bob']);
    });

    test('a user who switches to another case while disconnected is on that case only', async (t) => {
      const { office, ann, bob } = await annIsDisconnected(t, client);
      ann.says('stopViewingCase', 'X');
      ann.says('startViewingCase', 'Y');
      await ann.hears('peopleViewing', ['ann']);
      await bob.hears('peopleViewing', ['bob']);
      assert.deepEqual(await office.casesOf('ann'), ['Y']);
      assert.deepEqual(bob.screens, [['bob'], ['bob', 'ann'], ['bob']]);
    });

    test('a user who closes the case while disconnected is not on it again', async (t) => {
      const { office, ann, bob } = await annIsDisconnected(t, client);
      ann.says('stopViewingCase', 'X');
      await bob.hears('peopleViewing', ['bob']);
      await ann.opens('Y');
      await bob.opens('X');
      assert.deepEqual(bob.screens, [['bob'], ['bob', 'ann'], ['bob']]);
    });
  });
}

// Clients 1.x and 2.x add the query to the namespace and the URL, 3.x and 4.x to the URL only.
for (const client of clients) {
  for (const [kind, query] of [['an object', { token: 'a b&c', eio: '3' }], ['a string', 'token=x&page=1']]) {
    test(`client ${client.title} can connect with ${kind} as \`query\``, async (t) => {
      const office = await Office.open(t);
      const ann = await office.arrives({ ...client, options: { query } }, 'ann', 'X');
      const bob = await office.arrives(client, 'bob', 'X');
      await ann.shows(['ann', 'bob']);
      await bob.shows(['ann', 'bob']);
    });
  }
}

/** Bob and ann view case X, and ann's client has just lost its connection. */
async function annIsDisconnected(t, client) {
  const office = await Office.open(t);
  const bob = await office.arrives(client, 'bob', 'X');
  const ann = await office.arrives(client, 'ann', 'X');
  await bob.shows(['bob', 'ann']);
  ann.cutOff();
  await ann.hears('disconnect');
  return { office, ann, bob };
}
