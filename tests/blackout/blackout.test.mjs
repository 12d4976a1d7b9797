// The network of a user on a case is cut: all packets are dropped, and later restored or not.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';

import { QUICK, RemoteBrowser, SHIPPED, withAdamAndEve } from './fixture.mjs';

/** Allowance for timers and for sending a list, on a busy machine. */
const MARGIN_MS = 1_000;
/** Time by which the last heartbeat before the cut may have been early. */
const EARLY_MS = 50;

describe('a user whose network is cut', () => {
  let remote;
  before(async () => (remote = await RemoteBrowser.launch()));
  after(() => remote.close());

  test('for good is removed after interval, time-out and grace, and not earlier', async (t) => {
    await withAdamAndEve(t, remote, QUICK, async ({ adam, tab, link, eve }) => {
      const { interval, timeout, grace } = QUICK;
      const [earliest, latest] = [timeout + grace - EARLY_MS, interval + timeout + grace + MARGIN_MS];
      await tab.afterHeartbeat();
      const cut = link.cut();
      await eve.isLost();
      const noticed = performance.now() - cut;
      eve.neverVanished();
      await adam.hears('peopleViewing', ['adam']);
      const gone = performance.now() - cut;
      t.diagnostic(`noticed after ${noticed | 0} ms, gone after ${gone | 0}; allowed: ${earliest} to ${latest} ms`);
      assert.ok(earliest <= gone, 'too early');
      assert.ok(gone <= latest, 'too late');
      assert.deepEqual(adam.screens.slice(-2), [['adam', 'eve'], ['adam']]);
      const { from_client, to_client } = link.restore();
      t.diagnostic(`dropped: ${from_client} packets from the client, ${to_client} to it`);
      assert.ok(from_client > 0, 'nothing was lost');
    });
  });

  for (const transports of ['polling,websocket', 'polling']) {
    test(`and restored after the daemon noticed takes over the place on the case, over ${transports}`, async (t) => {
      const settings = { ...QUICK, grace: 8_000, transports };
      await withAdamAndEve(t, remote, settings, async ({ office: { daemon }, tab, link, eve }) => {
        const old = await eve.connection();
        await tab.afterHeartbeat();
        const cut = link.cut();
        await daemon.notify('sent to a dead connection', 'operator');
        await eve.isLost();
        const noticed = performance.now();
        await daemon.notify('kept', 'operator');
        const { from_client, to_client } = link.restore();
        await eve.isBack(old);
        const back = performance.now();
        t.diagnostic(`noticed after ${(noticed - cut) | 0} ms, back ${(back - noticed) | 0} ms after the link was restored`);
        t.diagnostic(`dropped: ${from_client} packets from the client, ${to_client} to it`);
        await eve.followsAChange();
        const lists = eve.neverVanished();
        await tab.hears('notification', 'kept');
        const told = await tab.heard('notification');
        t.diagnostic(`adam received ${lists} lists, all with eve; eve received ${JSON.stringify(told)}`);
        // The dead connection may deliver its message too, if the client has not closed it by then.
        assert.ok(told.includes('sent to a dead connection'));
        assert.deepEqual(told.filter((it) => it === 'kept'), ['kept']);
        assert.equal(told.at(-1), 'kept');
        await eve.isThereOnce();
      });
    });
  }

  test('for less than the time-out keeps the connection, and nobody notices', async (t) => {
    await withAdamAndEve(t, remote, QUICK, async ({ office: { daemon }, tab, link, eve }) => {
      const old = await eve.connection();
      await tab.afterHeartbeat();
      const cut = link.cut();
      await daemon.notify('late', 'operator');
      // The length of the blackout is the thing tested. A second more, and TCP might retransmit only after the time-out.
      await pause(QUICK.timeout / 2);
      const { from_client, to_client } = link.restore();
      const lasted = performance.now() - cut;
      t.diagnostic(`blackout of ${lasted | 0} ms; lost: ${from_client} packets from the client, ${to_client} to it`);
      await tab.hears('notification', 'late');
      await eve.followsAChange();
      // After two heartbeats both ends would have noticed a dead connection.
      await tab.afterHeartbeat();
      await tab.afterHeartbeat();
      assert.equal(await eve.connection(), old);
      assert.deepEqual(await tab.heard('disconnect'), []);
      assert.deepEqual(await tab.heard('notification'), ['late']);
      t.diagnostic(`adam received ${eve.neverVanished()} lists, all with eve; the connection is the same`);
    });
  });

  test('and whose browser notices first is on the case at once, and stays when the daemon notices', async (t) => {
    await withAdamAndEve(t, remote, SHIPPED, async ({ office: { daemon }, tab, link, eve }) => {
      const old = await eve.connection();
      await link.isQuiet();
      link.cut();
      link.abortOnClient();
      await tab.hears('disconnect');
      link.restore();
      const restored = performance.now();
      await eve.isBack(old);
      t.diagnostic(`on the case ${(performance.now() - restored) | 0} ms after the link was restored`);
      const both = await eve.connections();
      assert.deepEqual(both.filter(([, { lost }]) => lost), [], 'the daemon noticed first, so the test shows nothing');
      assert.equal(both.length, 2);
      await eve.followsAChange();
      // The daemon notices now: the client's kernel answers the packet of a connection it does not know with a reset.
      await daemon.notify('to both', 'operator');
      await tab.hears('notification', 'to both');
      await eve.isThereOnce();
      assert.deepEqual(await tab.heard('notification'), ['to both']);
      t.diagnostic(`adam received ${eve.neverVanished()} lists, all with eve`);
    });
  });

  test('and whose browser notices first gets the message sent to the dead connection', async (t) => {
    await withAdamAndEve(t, remote, SHIPPED, async ({ office: { daemon }, tab, link, eve }) => {
      const old = await eve.connection();
      await link.isQuiet();
      link.cut();
      link.abortOnClient();
      await tab.hears('disconnect');
      await daemon.notify('sent to a dead connection', 'operator');
      link.restore();
      await eve.isBack(old);
      await eve.followsAChange();
      await eve.isThereOnce();
      t.diagnostic(`adam received ${eve.neverVanished()} lists, all with eve`);
      t.diagnostic(`eve received ${JSON.stringify(await tab.heard('notification'))}`);
      assert.deepEqual(await tab.heard('notification'), ['sent to a dead connection']);
    });
  });
});
