// A page that is left for another one, and to which the user goes back. Browsers keep such pages in memory.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';

import { CASE, QUICK, RemoteBrowser, SITE, withAdamAndEve } from './fixture.mjs';

/** No page counts as a returning one only because the daemon has just started. */
const LATER = { CLA_PRESENCE__RESTART_GRACE_MS: 1 };
/** Allowance for timers and for sending a list, on a busy machine. */
const MARGIN_MS = 1_000;

describe('a user who leaves the page for another one and goes back', () => {
  let remote;
  before(async () => (remote = await RemoteBrowser.launch()));
  after(() => remote.close());

  for (const transports of ['polling,websocket', 'polling']) {
    test(`after heartbeat and grace is listed until then, and on the case again, over ${transports}`, async (t) => {
      await withAdamAndEve(t, remote, { ...QUICK, env: LATER, transports }, async ({ adam, tab, eve }) => {
        const left = await leave(tab);
        await adam.hears('peopleViewing', ['adam']);
        const gone = performance.now() - left;
        const latest = QUICK.interval + QUICK.timeout + QUICK.grace + MARGIN_MS;
        t.diagnostic(`gone after ${gone | 0} ms; allowed: ${latest} ms`);
        assert.ok(gone < latest, 'too late');
        await goBack(tab);
        await eve.isOn(CASE);
        const [[, { entry }]] = await eve.connections();
        assert.equal(entry, 'after_absence');
      });
    });
  }

  test('is gone at once if the page has `Cache-Control: no-store`, and going back loads it', async (t) => {
    await withAdamAndEve(t, remote, { ...QUICK, grace: 8_000, env: LATER }, async ({ adam, eve }) => {
      const zoe = await remote.loads(SITE, 'zoe', 'polling,websocket', CASE, 'no-store');
      await zoe.listen('websocket');
      await adam.shows(['adam', 'eve', 'zoe']);
      const left = await leave(zoe);
      await adam.shows(['adam', 'eve']);
      t.diagnostic(`gone after ${(performance.now() - left) | 0} ms`);
      assert.ok(performance.now() - left < MARGIN_MS, 'too late');
      await goBack(zoe);
      await adam.shows(['adam', 'eve', 'zoe']);
      await eve.isThereOnce();
    });
  });
});

/** Shows another page of the site in the tab. */
async function leave(tab) {
  const left = performance.now();
  await tab.page.goto(`${SITE}/socket.io.js`);
  return left;
}

/** Playwright waits in vain for the load of a page from memory. */
async function goBack(tab) {
  await tab.page.evaluate(() => setTimeout(() => history.back(), 10));
  await pause(100);
}
