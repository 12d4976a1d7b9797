// The network of somebody on a case is gone, at once and without a packet to say so, and comes back or does not.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';

import { FarBrowser, PATIENT, play, QUICK } from './stage.mjs';

/** What timers and a list on its way to a colleague may take, on a machine that has more to do. */
const MARGIN_MS = 1_000;
/** How early a heartbeat may come that was the last one before the cut. */
const EARLY_MS = 50;

describe('somebody whose network is gone', () => {
  let far;
  before(async () => (far = await FarBrowser.launch()));
  after(() => far.close());

  test('for good vanishes when interval, time-out and grace are over, and no sooner', async (t) => {
    await play(t, far, QUICK, async ({ adam, tab, cable, eve }) => {
      const { interval, timeout, grace } = QUICK;
      const [earliest, latest] = [timeout + grace - EARLY_MS, interval + timeout + grace + MARGIN_MS];
      await tab.afterHeartbeat();
      const cut = cable.cut();
      await eve.isLost();
      const noticed = performance.now() - cut;
      eve.neverVanished();
      await adam.hears('peopleViewing', ['adam']);
      const gone = performance.now() - cut;
      t.diagnostic(`noticed after ${noticed | 0} ms, gone after ${gone | 0}; allowed: ${earliest} to ${latest} ms`);
      assert.ok(earliest <= gone, 'too early');
      assert.ok(gone <= latest, 'too late');
      assert.deepEqual(adam.screens.slice(-2), [['adam', 'eve'], ['adam']]);
      const { from_client, to_client } = cable.mend();
      t.diagnostic(`lost on the way: ${from_client} packets from the client, ${to_client} to it`);
      assert.ok(from_client > 0, 'nothing was lost');
    });
  });

  for (const transports of ['polling,websocket', 'polling']) {
    test(`and is back after it was noticed is on the case as if nothing had been, over ${transports}`, async (t) => {
      await play(t, far, { ...QUICK, grace: 8_000, transports }, async ({ office: { daemon }, tab, cable, eve }) => {
        const old = await eve.connection();
        await tab.afterHeartbeat();
        const cut = cable.cut();
        await daemon.notify('said to a dead line', 'operator');
        await eve.isLost();
        const noticed = performance.now();
        await daemon.notify('kept', 'operator');
        const { from_client, to_client } = cable.mend();
        await eve.isBack(old);
        const back = performance.now();
        t.diagnostic(`noticed after ${(noticed - cut) | 0} ms, back ${(back - noticed) | 0} ms after it was mended`);
        t.diagnostic(`lost on the way: ${from_client} packets from the client, ${to_client} to it`);
        await eve.followsAChange();
        const lists = eve.neverVanished();
        await tab.hears('notification', 'kept');
        const told = await tab.heard('notification');
        t.diagnostic(`adam was told ${lists} lists, all with eve; eve was told ${JSON.stringify(told)}`);
        // What was said to the dead line may also come out of it at last, if the client has not given it up by then.
        assert.ok(told.includes('said to a dead line'));
        assert.deepEqual(told.filter((it) => it === 'kept'), ['kept']);
        assert.equal(told.at(-1), 'kept');
        await eve.isThereOnce();
      });
    });
  }

  test('for less than the time-out has noticed nothing, and nobody else has', async (t) => {
    await play(t, far, QUICK, async ({ office: { daemon }, tab, cable, eve }) => {
      const old = await eve.connection();
      await tab.afterHeartbeat();
      const cut = cable.cut();
      await daemon.notify('late', 'operator');
      // Time itself is on trial. With a second more TCP might wait for longer than is left before it sends again.
      await pause(QUICK.timeout / 2);
      const { from_client, to_client } = cable.mend();
      const lasted = performance.now() - cut;
      t.diagnostic(`blackout of ${lasted | 0} ms; lost: ${from_client} packets from the client, ${to_client} to it`);
      await tab.hears('notification', 'late');
      await eve.followsAChange();
      // Two heartbeats later everybody knows who has survived.
      await tab.afterHeartbeat();
      await tab.afterHeartbeat();
      assert.equal(await eve.connection(), old);
      assert.deepEqual(await tab.heard('disconnect'), []);
      assert.deepEqual(await tab.heard('notification'), ['late']);
      t.diagnostic(`adam was told ${eve.neverVanished()} lists, all with eve; the connection is the same`);
    });
  });

  test('and whose browser notices first is on the case at once, and stays when the dead line is noticed', async (t) => {
    await play(t, far, PATIENT, async ({ office: { daemon }, tab, cable, eve }) => {
      const old = await eve.connection();
      await cable.isQuiet();
      cable.cut();
      cable.abortOnClient();
      await tab.hears('disconnect');
      cable.mend();
      const mended = performance.now();
      await eve.isBack(old);
      t.diagnostic(`on the case ${(performance.now() - mended) | 0} ms after it was mended`);
      const both = await eve.connections();
      assert.deepEqual(both.filter(([, { lost }]) => lost), [], 'the daemon knew, so nothing was shown');
      assert.equal(both.length, 2);
      await eve.followsAChange();
      // The dead line is noticed now, for the client's system knows nothing of it any more and says so.
      await daemon.notify('to both', 'operator');
      await tab.hears('notification', 'to both');
      await eve.isThereOnce();
      assert.deepEqual(await tab.heard('notification'), ['to both']);
      t.diagnostic(`adam was told ${eve.neverVanished()} lists, all with eve`);
    });
  });

  test('and whose browser notices first gets what was said to the dead line', async (t) => {
    await play(t, far, PATIENT, async ({ office: { daemon }, tab, cable, eve }) => {
      const old = await eve.connection();
      await cable.isQuiet();
      cable.cut();
      cable.abortOnClient();
      await tab.hears('disconnect');
      await daemon.notify('said to a dead line', 'operator');
      cable.mend();
      await eve.isBack(old);
      await eve.followsAChange();
      await eve.isThereOnce();
      t.diagnostic(`adam was told ${eve.neverVanished()} lists, all with eve`);
      t.diagnostic(`eve was told ${JSON.stringify(await tab.heard('notification'))}`);
      assert.deepEqual(await tab.heard('notification'), ['said to a dead line']);
    });
  });
});
