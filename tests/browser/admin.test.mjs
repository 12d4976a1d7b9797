// The admin app as staff use it: with and without script, with the keyboard alone, and through the eyes of axe.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { assertAccessible, assertItems, Frontend, launch, loseConnection, photograph, setUp } from '../support/browser.mjs';

const OUT_OF_DATE = 'Your page is out of date, refresh it.';

describe('the broadcast form', () => {
  let browser, frontend;
  before(async () => ([browser, frontend] = await Promise.all([launch(), Frontend.start()])));
  after(() => Promise.all([browser.close(), frontend.stop()]));

  for (const javaScriptEnabled of [true, false]) {
    describe(javaScriptEnabled ? 'with script' : 'without script', () => {
      test('lists every connection with its user, user type, version and case', async (t) => {
        const stage = await office(t, { javaScriptEnabled });
        const form = await openForm(stage);
        const text = await form.page.locator('main').innerText();
        for (const told of ['ann', 'Zoë Ωραία', 'operator', 'provider', '2.0.1', 'AB-1234-5678', 'CD-1234-5678']) {
          assert.ok(text.includes(told), `${told} in:\n${text}`);
        }
        for (const id of await idsOf(stage, 'ann')) assert.ok(text.includes(id), `${id} in:\n${text}`);
        assert.equal(await form.connections.count(), 3);
      });

      test('sends to one chosen connection', async (t) => {
        const stage = await office(t, { javaScriptEnabled });
        const form = await openForm(stage);
        await form.connection(await idOf(stage, 'ann', 'CD-1234-5678')).check();
        await form.message.selectOption('1');
        await form.sendToSelected.click();
        assert.equal(await form.reached(), 1);
        await told(stage, ['annElsewhere']);
      });

      test('sends to all tabs of one user', async (t) => {
        const stage = await office(t, { javaScriptEnabled });
        const form = await openForm(stage);
        await form.user('ann').check();
        await form.message.selectOption('1');
        await form.sendToSelected.click();
        assert.equal(await form.reached(), 2);
        await told(stage, ['ann', 'annElsewhere']);
      });

      test('sends to all', async (t) => {
        const stage = await office(t, { javaScriptEnabled });
        const form = await openForm(stage);
        await form.message.selectOption('1');
        await form.sendToAll.click();
        assert.equal(await form.reached(), 3);
        await told(stage, ['ann', 'annElsewhere', 'zoe']);
      });
    });
  }

  test('sends to the tabs that were ticked, not to one that has come since', async (t) => {
    const stage = await office(t);
    const form = await openForm(stage);
    for (const id of await idsOf(stage, 'ann')) await form.connection(id).check();
    stage.tabs.annAgain = await frontend.openTab(stage, { name: 'ann', caseRef: 'EF-1234-5678' });
    await assertItems(stage.tabs.annAgain.viewers, ['ann']);
    await form.sendToSelected.click();
    assert.equal(await form.reached(), 2);
    await told(stage, ['ann', 'annElsewhere']);
  });

  test('unticks a user of whom a connection is unticked', async (t) => {
    const stage = await office(t);
    const form = await openForm(stage);
    await form.user('ann').check();
    await form.connection(await idOf(stage, 'ann', 'CD-1234-5678')).uncheck();
    await form.sendToSelected.click();
    assert.equal(await form.reached(), 1);
    await told(stage, ['ann']);
  });

  test('puts the focus on what became of it', async (t) => {
    const stage = await office(t);
    const form = await openForm(stage);
    await form.sendToSelected.click();
    await form.page.getByRole('alert').and(form.page.locator(':focus')).waitFor();
    assert.match(stage.complaints.pop(), /status of 400/);
    await assertAccessible(form.page);
    await form.sendToAll.click();
    await form.page.getByRole('status').and(form.page.locator(':focus')).waitFor();
  });

  test('can be filled in and sent with the keyboard alone', async (t) => {
    const stage = await office(t);
    const form = await openForm(stage);
    await tabTo(form.page, form.connection(await idOf(stage, 'Zoë Ωραία', 'AB-1234-5678')));
    await form.page.keyboard.press('Space');
    await tabTo(form.page, form.message);
    await form.page.keyboard.type(await form.message.locator('option[value="1"]').innerText());
    await tabTo(form.page, form.sendToSelected);
    await form.page.keyboard.press('Enter');
    assert.equal(await form.reached(), 1);
    await told(stage, ['zoe']);
  });

  for (const javaScriptEnabled of [true, false]) {
    test(`shows a lost connection and ends it by hand, ${javaScriptEnabled ? 'with' : 'without'} script`, async (t) => {
      const stage = await office(t, { javaScriptEnabled });
      await assertItems(stage.tabs.ann.viewers, ['ann', 'Zoë Ωραία']);
      const id = await idOf(stage, 'Zoë Ωραία', 'AB-1234-5678');
      await loseConnection(stage, stage.tabs.zoe, 'Zoë Ωραία');
      const { page } = await openForm(stage);
      const row = page.getByRole('row').filter({ hasText: id });
      await row.getByText(/^Lost \d+ s ago, kept for another \d+ s$/).waitFor();
      // Axe is a script.
      if (javaScriptEnabled) await assertAccessible(page);
      await photograph(page, 'admin-with-lost');
      await assertItems(stage.tabs.ann.viewers, ['ann', 'Zoë Ωραία']);
      await row.getByRole('button', { name: /^End/ }).click();
      await page.getByRole('status').filter({ hasText: 'Lost connection ended' }).waitFor();
      await assertItems(stage.tabs.ann.viewers, ['ann']);
      assert.equal(await page.getByText(id).count(), 0);
    });
  }

  test('does not end a lost connection when Enter is pressed in the form', async (t) => {
    const stage = await office(t);
    const id = await idOf(stage, 'Zoë Ωραία', 'AB-1234-5678');
    await loseConnection(stage, stage.tabs.zoe, 'Zoë Ωραία');
    const form = await openForm(stage);
    await form.connection(id).check();
    await form.connection(id).press('Enter');
    await form.page.getByRole('status').filter({ hasText: 'Kept for 1 lost connection' }).waitFor();
    assert.equal((await stage.daemon.connectionsOf('Zoë Ωραία')).length, 1);
  });

  test('is accessible when nobody is there, with people, and after sending', async (t) => {
    const stage = await setUp(t, browser);
    await assertAccessible((await openForm(stage)).page);
    await populate(stage);
    const form = await openForm(stage);
    await assertAccessible(form.page);
    await photograph(form.page, 'admin-with-people');
    await form.message.selectOption('1');
    await form.sendToAll.click();
    assert.equal(await form.reached(), 3);
    await assertAccessible(form.page);
    await photograph(form.page, 'admin-after-sending');
  });

  /** Three tabs of two people: ann has two cases open, Zoë one of them. */
  async function office(t, options) {
    const stage = await setUp(t, browser, options);
    await populate(stage);
    return stage;
  }

  async function populate(stage) {
    const ann = await frontend.openTab(stage, { name: 'ann' });
    await assertItems(ann.viewers, ['ann']);
    const annElsewhere = await frontend.openTab(stage, { name: 'ann', caseRef: 'CD-1234-5678' });
    await assertItems(annElsewhere.viewers, ['ann']);
    const zoe = await frontend.openTab(stage, { name: 'Zoë Ωραία', usertype: 'provider' });
    await assertItems(zoe.viewers, ['ann', 'Zoë Ωραία']);
    stage.tabs = { ann, annElsewhere, zoe };
  }
});

/** The form by the names that it sends, which are part of the contract; its status by its role. */
async function openForm({ admin, daemon }) {
  const page = await admin.newPage();
  const response = await page.goto(`${daemon.adminUrl}/admin/broadcast/`);
  assert.equal(response.status(), 200);
  return {
    page,
    connections: page.locator('input[type=checkbox][name=socketID]'),
    connection: (id) => page.locator(`input[type=checkbox][name=socketID][value="${id}"]`),
    user: (name) => page.locator(`input[type=checkbox][name=username][value="${name}"]`),
    message: page.locator('select[name=msg]'),
    sendToSelected: page.locator('button[name=selectedClients][value=true]'),
    sendToAll: page.locator('button[name=allClients][value=true]'),
    /** How many connections the page says were reached. */
    reached: async () => {
      const text = await page.getByRole('status').filter({ hasText: /\d/ }).innerText();
      return Number(text.match(/\d+/)[0]);
    },
  };
}

/** Waits until these tabs show the system message, and checks that the others do not. */
async function told({ tabs, daemon }, names) {
  for (const name of names) await tabs[name].message.filter({ hasText: OUT_OF_DATE }).waitFor();
  for (const [name, { message }] of Object.entries(tabs)) {
    assert.equal(await message.textContent(), names.includes(name) ? OUT_OF_DATE : '', name);
  }
}

async function idsOf({ daemon }, username) {
  return (await daemon.connectionsOf(username)).map(([id]) => id);
}

async function idOf({ daemon }, username, caseRef) {
  return (await daemon.connectionsOf(username)).find(([, { caseViewed }]) => caseViewed === caseRef)[0];
}

/** Presses Tab until the element has the focus. */
async function tabTo(page, locator) {
  const focused = () => locator.evaluate((element) => element === document.activeElement);
  for (let presses = 0; !(await focused()); presses += 1) {
    assert.ok(presses < 50, `50 presses of Tab do not reach ${locator}`);
    await page.keyboard.press('Tab');
  }
}
