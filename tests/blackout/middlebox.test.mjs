// Chromium behind a network that lets no websocket live, with nginx before the daemon.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { Middlebox, modes } from '../support/middlebox.mjs';
import { until } from '../support/wait.mjs';
import { CASE, FarBrowser, PATIENT, play, SITE } from './stage.mjs';

/** nginx, as the middlebox reaches it. */
const NGINX = 'http://10.99.0.1';

describe('Chromium behind a network that lets no websocket live', () => {
  let far;
  before(async () => (far = await FarBrowser.launch()));
  after(() => far.close());

  test('is on its case by polling, sees every change and is never dropped', async (t) => {
    await play(t, far, PATIENT, async ({ office: { daemon }, adam }) => {
      const tabs = await Promise.all(modes.map((mode) => visits(t, far, mode)));
      // Every websocket has come to nothing, also those that were given up only when their probe was overdue.
      const failed = `upgrade_total{outcome="failed"} ${modes.length}\n`;
      for (let isThere = true; !(await metrics(daemon)).includes(failed); isThere = !isThere) {
        adam.says(isThere ? 'stopViewingCase' : 'startViewingCase', CASE);
        await Promise.all(tabs.map((tab) => shows(tab, 'adam', !isThere)));
      }
      assert.match(await metrics(daemon), /presence_total\{event="lost"\} 0\n/);
      for (const { mode, tab, box } of tabs) {
        assert.deepEqual(await tab.heard('disconnect'), [], mode);
        assert.equal(box.upgrades, 1, `behind ${mode} a websocket was tried once`);
      }
    });
  });
});

/** Somebody opens the case through a middlebox. */
async function visits(t, far, mode) {
  const box = await Middlebox.open(t, mode, NGINX);
  const tab = await far.visits(`${SITE}:${new URL(box.url).port}`, mode);
  await tab.listen('polling');
  return { mode, tab, box };
}

/** Waits until the page lists somebody, or no longer does. */
function shows({ mode, tab }, name, listed) {
  const names = () => tab.viewers.getByRole('listitem').allTextContents();
  const isListed = async () => (await names()).includes(name) === listed;
  return until(`${name} to be ${listed ? '' : 'un'}listed behind ${mode}`, isListed, { observe: names });
}

async function metrics(daemon) {
  return (await fetch(`${daemon.adminUrl}/metrics`)).text();
}
