// The browser of somebody on a case stands still, with all its processes: a lid that was closed, a machine that swaps.
// Its system goes on acknowledging what is sent to it, until there is no room left.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';

import { chs } from '../support/clients.mjs';
import { resident } from '../support/process.mjs';
import { CASE, FarBrowser, play, QUICK } from './stage.mjs';

/** What timers and a list on its way to a colleague may take, on a machine that has more to do. */
const MARGIN_MS = 1_000;
/** How early a heartbeat may come that was the last one before the browser stood still. */
const EARLY_MS = 50;
/** As many and as large as fill every buffer on the way to her. */
const MESSAGES = 100;
const MESSAGE_BYTES = 200_000;
/** What a queue of the library holds, 128 messages, and what the registry remembers, 4 MiB, with half as much again. */
const MOST_GROWTH_KIB = (1.5 * (128 * MESSAGE_BYTES + 4 * 1024 * 1024)) / 1024;
const OTHER_CASE = 'CD-1234-5678';

describe('somebody whose browser stands still', () => {
  let far;
  before(async () => (far = await FarBrowser.launch()));
  after(() => far.close());

  test('is gone within the bound and costs little memory, while the case flaps and messages are posted', async (t) => {
    // Every list is sent, so that as much as possible has to wait for her, and nobody is too fast.
    const env = { CLA_PUBLIC__MERGE_INTERVAL_MS: 0, CLA_LIMITS__EVENTS_BURST: 100_000 };
    const settings = { ...QUICK, env };
    await play(t, far, settings, async ({ office, adam, tab, eve }) => {
      const { daemon } = office;
      const { interval, timeout, grace } = QUICK;
      const latest = interval + timeout + grace + MARGIN_MS;
      const cain = await office.arrives(chs, 'cain', CASE);
      const old = await eve.connection();
      const memory = { before: resident(daemon.pid), peak: 0 };
      await tab.afterHeartbeat();
      const processes = far.freeze();
      const frozen = performance.now();

      let [switches, messages] = [0, 0];
      while (adam.heard('peopleViewing').at(-1).includes('eve')) {
        assert.ok(performance.now() - frozen <= latest, 'she is still there');
        await cain.opens(OTHER_CASE);
        await cain.opens(CASE);
        switches += 2;
        if (messages < MESSAGES) {
          await daemon.notify('x'.repeat(MESSAGE_BYTES), 'operator');
          messages += 1;
          // Nobody else shall have a queue.
          await Promise.all([adam.hears('notification'), cain.hears('notification')]);
        }
        memory.peak = Math.max(memory.peak, resident(daemon.pid));
      }
      const gone = performance.now() - frozen;
      t.diagnostic(`${processes} processes stopped; ${switches} switches, ${messages} messages of ${MESSAGE_BYTES} B`);
      const unread = [...daemon.log.matchAll(/it does not read conn\.id=(\S+)/g)].map(([, id]) => id);
      const [why, earliest] = unread.length ? ['for not reading', grace] : ['for silence', timeout + grace - EARLY_MS];
      t.diagnostic(`gone after ${gone | 0} ms, given up ${why}; allowed: ${earliest} to ${latest} ms`);
      assert.ok(earliest <= gone, 'too early');
      assert.ok(gone <= latest, 'too late');
      assert.ok(switches >= 200 && messages >= 20, 'too little happened');
      assert.deepEqual(unread.filter((id) => id !== old), [], 'others were slow, too');
      assert.deepEqual(await eve.connections(), []);
      const growth = memory.peak - memory.before;
      t.diagnostic(`resident: ${memory.before} KiB before, ${growth} more at most; allowed: ${MOST_GROWTH_KIB} more`);
      assert.ok(growth <= MOST_GROWTH_KIB, 'too much memory');

      far.thaw();
      const thawed = performance.now();
      await eve.isThere(old);
      const [[, { caseViewed }]] = await eve.connections();
      t.diagnostic(`back by herself ${(performance.now() - thawed) | 0} ms after the thaw, on case ${caseViewed}`);
      // Her page says which case it shows only when it is loaded.
      assert.equal(caseViewed, null);
      await tab.page.reload();
      await cain.shows(['adam', 'cain', 'eve']);
    });
  });

  test('for less than the grace is on the case again as if nothing had been', async (t) => {
    await play(t, far, { ...QUICK, grace: 8_000 }, async ({ office: { daemon }, tab, eve }) => {
      const old = await eve.connection();
      await tab.afterHeartbeat();
      far.freeze();
      const frozen = performance.now();
      await eve.isLost();
      const noticed = performance.now();
      await daemon.notify('kept', 'operator');
      far.thaw();
      await eve.isBack(old);
      const back = performance.now();
      t.diagnostic(`noticed after ${(noticed - frozen) | 0} ms, back ${(back - noticed) | 0} ms after the thaw`);
      await tab.hears('notification', 'kept');
      await eve.followsAChange();
      await eve.isThereOnce();
      assert.deepEqual(await tab.heard('notification'), ['kept']);
      t.diagnostic(`adam was told ${eve.neverVanished()} lists, all with eve`);
    });
  });

  test('for less than the time-out has its connection still', async (t) => {
    await play(t, far, QUICK, async ({ office: { daemon }, tab, eve }) => {
      const old = await eve.connection();
      await tab.afterHeartbeat();
      far.freeze();
      await daemon.notify('late', 'operator');
      await pause(QUICK.timeout / 2);
      far.thaw();
      await tab.hears('notification', 'late');
      await eve.followsAChange();
      await tab.afterHeartbeat();
      await tab.afterHeartbeat();
      assert.equal(await eve.connection(), old);
      t.diagnostic(`adam was told ${eve.neverVanished()} lists, all with eve`);
    });
  });
});
