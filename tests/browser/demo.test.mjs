// The demo page, which shows presence without CHS.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { assertAccessible, assertItems, launch, photograph, setUp } from '../support/browser.mjs';

describe('the demo page', () => {
  let browser;
  before(async () => (browser = await launch()));
  after(() => browser.close());

  test('shows two tabs to each other', async (t) => {
    const setup = await setUp(t, browser, { args: ['--demo'] });
    const ann = await openCase(setup, 'ann');
    await assertItems(ann.viewers, ['ann (you)']);
    const zoe = await openCase(setup, 'Zoë Ωραία');
    await assertItems(zoe.viewers, ['ann', 'Zoë Ωραία (you)']);
    await assertItems(ann.viewers, ['ann (you)', 'Zoë Ωραία']);
    await assertAccessible(ann.page);
    await photograph(ann.page, 'demo');
    await zoe.page.close();
    await assertItems(ann.viewers, ['ann (you)']);
  });

  test('marks its list as outdated while the daemon is down', async (t) => {
    const setup = await setUp(t, browser, { args: ['--demo'] });
    const ann = await openCase(setup, 'ann');
    await assertItems(ann.viewers, ['ann (you)']);
    const stale = ann.page.getByText('Not connected: the list is the last one');
    assert.ok(await stale.isHidden());
    await setup.daemon.stop();
    await stale.waitFor({ state: 'visible' });
    await assertAccessible(ann.page);
    await photograph(ann.page, 'demo-gone');
    // The failed attempts to connect are console errors that the test expects.
    setup.complaints.length = 0;
    await setup.daemon.start();
    await stale.waitFor({ state: 'hidden' });
    await assertItems(ann.viewers, ['ann (you)']);
    setup.complaints.length = 0;
  });

  test('has its address in the log of the daemon', async (t) => {
    const { daemon, desk } = await setUp(t, browser, { args: ['--demo'] });
    const [address] = daemon.log.match(/http:\S+\/demo\//) ?? [];
    const page = await desk.newPage();
    await page.goto(address);
    assert.equal(await page.title(), 'Who else has this case open? - CLA presence');
  });

  test('does not exist without --demo', async (t) => {
    const { daemon } = await setUp(t, browser);
    assert.equal((await fetch(`${daemon.adminUrl}/demo/`)).status, 404);
  });
});

async function openCase({ desk, daemon }, name) {
  const page = await desk.newPage();
  await page.goto(`${daemon.adminUrl}/demo/`);
  await page.getByLabel('Your name').fill(name);
  await page.getByLabel('Case reference').fill('AB-1234-5678');
  await page.getByRole('button', { name: 'Open case' }).click();
  return { page, viewers: page.locator('#viewers') };
}
