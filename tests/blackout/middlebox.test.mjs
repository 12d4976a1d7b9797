// Chromium behind a proxy that breaks websockets, and nginx in front of the daemon.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { Middlebox, modes } from '../support/middlebox.mjs';
import { until } from '../support/wait.mjs';
import { CASE, RemoteBrowser, SHIPPED, SITE, withAdamAndEve } from './fixture.mjs';

/** Address of nginx for the proxy. */
const NGINX = 'http://10.99.0.1';

describe('Chromium behind a proxy that breaks websockets', () => {
  let remote;
  before(async () => (remote = await RemoteBrowser.launch()));
  after(() => remote.close());

  test('is on its case by polling, sees every change and is never disconnected', async (t) => {
    await withAdamAndEve(t, remote, SHIPPED, async ({ office: { daemon }, adam }) => {
      const tabs = await Promise.all(modes.map((mode) => opensCase(t, remote, mode)));
      // Until every websocket has failed, including those that the daemon closes after the time-out of the probe.
      const failed = `upgrade_total{outcome="failed"} ${modes.length}\n`;
      for (let isThere = true; !(await metrics(daemon)).includes(failed); isThere = !isThere) {
        adam.says(isThere ? 'stopViewingCase' : 'startViewingCase', CASE);
        await Promise.all(tabs.map((tab) => shows(tab, 'adam', !isThere)));
      }
      assert.match(await metrics(daemon), /presence_total\{event="lost"\} 0\n/);
      for (const { mode, tab, box } of tabs) {
        assert.deepEqual(await tab.heard('disconnect'), [], mode);
        assert.equal(box.upgrades, 1, `websockets requested behind ${mode}`);
      }
    });
  });
});

/** Opens the case through a middlebox. */
async function opensCase(t, remote, mode) {
  const box = await Middlebox.open(t, mode, NGINX);
  const tab = await remote.loads(`${SITE}:${new URL(box.url).port}`, mode);
  await tab.listen('polling');
  return { mode, tab, box };
}

/** Waits until the page lists a user, or no longer lists the user. */
function shows({ mode, tab }, name, listed) {
  const names = () => tab.viewers.getByRole('listitem').allTextContents();
  const isListed = async () => (await names()).includes(name) === listed;
  return until(`${name} to be ${listed ? '' : 'un'}listed behind ${mode}`, isListed, { observe: names });
}

async function metrics(daemon) {
  return (await fetch(`${daemon.adminUrl}/metrics`)).text();
}
