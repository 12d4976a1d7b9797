// Pages that come back and say only `identify`: the `Referer` of their first request names the case that they show.
//
// In Node.js the header is set by an option of the client. Browsers set it by themselves (tests/package/survive.bash,
// tests/blackout). A client that uses nothing but websockets sends none in a browser.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';

import { chs, clients } from '../support/clients.mjs';
import { Office } from '../support/people.mjs';
import { until } from '../support/wait.mjs';

const CASE = 'AB-1234-5678';
const OTHER_CASE = 'CD-1234-5678';
/** The time within which a page is on its case after it has identified. */
const BACK_MS = 5_000;
/** Longer than the daemon waits for the word of a page. */
const SILENCE_MS = 2_000;
/** No page counts as a returning one only because the daemon has just started. */
const LATER = { CLA_PRESENCE__RESTART_GRACE_MS: 1 };

for (const client of clients.filter(({ transports }) => transports[0] === 'polling')) {
  describe(`client ${client.title}`, { concurrency: 4 }, () => {
    test('all are on their case again when a daemon that knows nobody takes the place of another', async (t) => {
      const office = await Office.open(t);
      const people = [];
      for (const name of ['ann', 'bob', 'cat']) people.push(await office.arrives(from(client, CASE), name, CASE));
      await office.daemon.stop();
      const before = people.map((person) => person.heard('connect').length);
      await office.daemon.start();
      await Promise.all(people.map((person) => person.hears('connect')));
      const identified = performance.now();
      const areBack = async () => Object.values(await office.daemon.peopleMap()).filter(isOnCase).length === 3;
      await until('all to be on their case', areBack, { observe: () => office.daemon.peopleMap() });
      const took = performance.now() - identified;
      t.diagnostic(`on their case ${took | 0} ms after their connect`);
      assert.ok(took < BACK_MS, `${took} ms`);
      assert.deepEqual(people.map((person) => person.heard('connect').length), before.map((count) => count + 1));
      for (const name of ['ann', 'bob', 'cat']) assert.deepEqual(await entriesOf(office, name), ['after_start']);
    });
  });
}

describe('a page of CHS', { concurrency: 4 }, () => {
  test('that says its case in time is on the case that it says', async (t) => {
    const office = await Office.open(t);
    const ann = office.comes(from(chs, CASE), 'ann');
    await ann.opens(OTHER_CASE);
    await pause(SILENCE_MS);
    assert.deepEqual(await office.casesOf('ann'), [OTHER_CASE]);
    assert.deepEqual(await entriesOf(office, 'ann'), ['opened']);
  });

  test('is on its case again after an absence, and others are told once', async (t) => {
    const office = await Office.open(t, { env: { ...LATER, CLA_PRESENCE__GRACE_MS: 200 } });
    const bob = await office.arrives(chs, 'bob', CASE);
    const ann = await office.arrives(slow(from(chs, CASE), 1_000), 'ann', CASE);
    ann.isCut();
    await bob.hears('peopleViewing', ['bob']);
    await bob.hears('peopleViewing', ['bob', 'ann']);
    assert.deepEqual(await entriesOf(office, 'ann'), ['after_absence']);
    await pause(SILENCE_MS);
    assert.deepEqual(bob.screens, [['bob'], ['bob', 'ann'], ['bob'], ['bob', 'ann']]);
  });

  test('is on no case if another user has logged in meanwhile', async (t) => {
    const office = await Office.open(t, { env: { ...LATER, CLA_PRESENCE__GRACE_MS: 200 } });
    const bob = await office.arrives(chs, 'bob', CASE);
    const ann = await office.arrives(slow(from(chs, CASE), 1_000), 'ann', CASE);
    ann.isCut();
    await bob.hears('peopleViewing', ['bob']);
    const eve = office.comes(from(chs, CASE), 'eve');
    await eve.hears('connect');
    await pause(SILENCE_MS);
    assert.deepEqual(await office.casesOf('eve'), [null]);
  });

  test('is not on its case again after a clean close', async (t) => {
    const office = await Office.open(t, { env: LATER });
    const ann = await office.arrives(from(chs, CASE), 'ann', CASE);
    ann.leaves();
    const again = office.comes(from(chs, CASE), 'ann');
    await again.hears('connect');
    await pause(SILENCE_MS);
    assert.deepEqual(await office.casesOf('ann'), [null]);
  });

  test('may have two connections, and both are on the case again', async (t) => {
    const office = await Office.open(t);
    const both = [0, 1].map(() => office.comes(from(chs, CASE), 'ann'));
    await Promise.all(both.map((connection) => connection.opens(CASE)));
    await office.daemon.stop();
    await office.daemon.start();
    await Promise.all(both.map((connection) => connection.hears('connect')));
    await pause(SILENCE_MS);
    assert.deepEqual(await office.casesOf('ann'), [CASE, CASE]);
    const bob = await office.arrives(chs, 'bob', CASE);
    assert.deepEqual(bob.screens.at(-1), ['ann', 'bob']);
  });
});

/** A client whose page has the address of a case. */
function from(client, caseRef) {
  const extraHeaders = { Referer: `http://localhost/call_centre/${caseRef}/diagnosis/` };
  return { ...client, options: { ...client.options, extraHeaders, transportOptions: { polling: { extraHeaders } } } };
}

/** A client that waits before it connects again. */
function slow(client, ms) {
  return { ...client, options: { ...client.options, reconnectionDelay: ms, reconnectionDelayMax: ms } };
}

async function entriesOf(office, username) {
  return (await office.daemon.connectionsOf(username)).map(([, { entry }]) => entry);
}

function isOnCase({ connections }) {
  return Object.values(connections).some(({ caseViewed }) => caseViewed === CASE);
}
