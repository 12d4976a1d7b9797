// All processes of a user's browser are stopped, as on a machine that swaps. Its kernel still acknowledges incoming data
// until the receive buffers are full.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';

import { chs } from '../support/clients.mjs';
import { resident } from '../support/process.mjs';
import { CASE, QUICK, RemoteBrowser, withAdamAndEve } from './fixture.mjs';

/** Allowance for timers and for sending a list, on a busy machine. */
const MARGIN_MS = 1_000;
/** Time by which the last heartbeat before the freeze may have been early. */
const EARLY_MS = 50;
/** Number and size of messages that fill every buffer on the way to the browser. */
const MESSAGES = 100;
const MESSAGE_BYTES = 200_000;
/** Bound on memory growth: the library's queue (128 messages) and the registry's messages (4 MiB), with 50 % margin. */
const MAX_GROWTH_KIB = (1.5 * (128 * MESSAGE_BYTES + 4 * 1024 * 1024)) / 1024;
const OTHER_CASE = 'CD-1234-5678';

describe('a user whose browser is frozen', () => {
  let remote;
  before(async () => (remote = await RemoteBrowser.launch()));
  after(() => remote.close());

  test('for good is removed in time and costs little memory, while the case changes and messages are posted', async (t) => {
    // Lists are not merged, so that as many as possible queue for her; the event limit does not stop cain.
    const env = { CLA_PUBLIC__MERGE_INTERVAL_MS: 0, CLA_LIMITS__EVENTS_BURST: 100_000 };
    const settings = { ...QUICK, env };
    await withAdamAndEve(t, remote, settings, async ({ office, adam, tab, eve }) => {
      const { daemon } = office;
      const { interval, timeout, grace } = QUICK;
      const latest = interval + timeout + grace + MARGIN_MS;
      const cain = await office.arrives(chs, 'cain', CASE);
      const old = await eve.connection();
      const memory = { before: resident(daemon.pid), peak: 0 };
      await tab.afterHeartbeat();
      const processes = remote.freeze();
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
          // The queues of the others stay empty.
          await Promise.all([adam.hears('notification'), cain.hears('notification')]);
        }
        memory.peak = Math.max(memory.peak, resident(daemon.pid));
      }
      const gone = performance.now() - frozen;
      t.diagnostic(`${processes} processes stopped; ${switches} switches, ${messages} messages of ${MESSAGE_BYTES} B`);
      const unread = [...daemon.log.matchAll(/it does not read conn\.id=(\S+)/g)].map(([, id]) => id);
      const [why, earliest] = unread.length ? ['for not reading', grace] : ['for silence', timeout + grace - EARLY_MS];
      t.diagnostic(`gone after ${gone | 0} ms, closed ${why}; allowed: ${earliest} to ${latest} ms`);
      assert.ok(earliest <= gone, 'too early');
      assert.ok(gone <= latest, 'too late');
      assert.ok(switches >= 200 && messages >= 20, 'too little happened');
      assert.deepEqual(unread.filter((id) => id !== old), [], 'the daemon also closed others for not reading');
      assert.deepEqual(await eve.connections(), []);
      const growth = memory.peak - memory.before;
      t.diagnostic(`resident: ${memory.before} KiB before, ${growth} more at most; allowed: ${MAX_GROWTH_KIB} more`);
      assert.ok(growth <= MAX_GROWTH_KIB, 'too much memory');

      remote.thaw();
      const thawed = performance.now();
      await eve.isThere(old);
      const [[, { caseViewed }]] = await eve.connections();
      t.diagnostic(`reconnected ${(performance.now() - thawed) | 0} ms after the thaw, on case ${caseViewed}`);
      // A page sends its case only when it is loaded.
      assert.equal(caseViewed, null);
      await tab.page.reload();
      await cain.shows(['adam', 'cain', 'eve']);
    });
  });

  test('for less than the grace takes over its place on the case', async (t) => {
    await withAdamAndEve(t, remote, { ...QUICK, grace: 8_000 }, async ({ office: { daemon }, tab, eve }) => {
      const old = await eve.connection();
      await tab.afterHeartbeat();
      remote.freeze();
      const frozen = performance.now();
      await eve.isLost();
      const noticed = performance.now();
      await daemon.notify('kept', 'operator');
      remote.thaw();
      await eve.isBack(old);
      const back = performance.now();
      t.diagnostic(`noticed after ${(noticed - frozen) | 0} ms, back ${(back - noticed) | 0} ms after the thaw`);
      await tab.hears('notification', 'kept');
      await eve.followsAChange();
      await eve.isThereOnce();
      assert.deepEqual(await tab.heard('notification'), ['kept']);
      t.diagnostic(`adam received ${eve.neverVanished()} lists, all with eve`);
    });
  });

  test('for less than the time-out keeps its connection', async (t) => {
    await withAdamAndEve(t, remote, QUICK, async ({ office: { daemon }, tab, eve }) => {
      const old = await eve.connection();
      await tab.afterHeartbeat();
      remote.freeze();
      await daemon.notify('late', 'operator');
      await pause(QUICK.timeout / 2);
      remote.thaw();
      await tab.hears('notification', 'late');
      await eve.followsAChange();
      await tab.afterHeartbeat();
      await tab.afterHeartbeat();
      assert.equal(await eve.connection(), old);
      t.diagnostic(`adam received ${eve.neverVanished()} lists, all with eve`);
    });
  });
});
