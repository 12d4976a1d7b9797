// The demo page, which shows without CHS what the daemon does.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { assertAccessible, assertItems, launch, photograph, setUp } from '../support/browser.mjs';

describe('the demo page', () => {
  let browser;
  before(async () => (browser = await launch()));
  after(() => browser.close());

  test('shows two tabs to each other', async (t) => {
    const stage = await setUp(t, browser, { args: ['--demo'] });
    const ann = await openCase(stage, 'ann');
    await assertItems(ann.viewers, ['ann (you)']);
    const zoe = await openCase(stage, 'Zoë Ωραία');
    await assertItems(zoe.viewers, ['ann', 'Zoë Ωραία (you)']);
    await assertItems(ann.viewers, ['ann (you)', 'Zoë Ωραία']);
    await assertAccessible(ann.page);
    await photograph(ann.page, 'demo');
    await zoe.page.close();
    await assertItems(ann.viewers, ['ann (you)']);
  });

  test('says that its list is one of the past while the daemon is gone', async (t) => {
    const stage = await setUp(t, browser, { args: ['--demo'] });
    const ann = await openCase(stage, 'ann');
    await assertItems(ann.viewers, ['ann (you)']);
    const stale = ann.page.getByText('Not connected: the list is the last one');
    assert.ok(await stale.isHidden());
    await stage.daemon.stop();
    await stale.waitFor({ state: 'visible' });
    await assertAccessible(ann.page);
    await photograph(ann.page, 'demo-gone');
    // The browser says in its console that it could not connect, which is no complaint here.
    stage.complaints.length = 0;
    await stage.daemon.start();
    await stale.waitFor({ state: 'hidden' });
    await assertItems(ann.viewers, ['ann (you)']);
    stage.complaints.length = 0;
  });

  test('tells where it is when it starts', async (t) => {
    const { daemon, desk } = await setUp(t, browser, { args: ['--demo'] });
    const [address] = daemon.log.match(/http:\S+\/demo\//) ?? [];
    const page = await desk.newPage();
    await page.goto(address);
    assert.equal(await page.title(), 'Who else has this case open? - CLA presence');
  });

  test('is not there unless it is asked for', async (t) => {
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
