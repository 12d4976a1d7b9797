// The admin app as staff use it: with and without script, with the keyboard alone, and its accessibility according to axe.

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
        const setup = await office(t, { javaScriptEnabled });
        const form = await openForm(setup);
        const text = await form.page.locator('main').innerText();
        for (const part of ['ann', 'Zoë Ωραία', 'operator', 'provider', '2.0.1', 'AB-1234-5678', 'CD-1234-5678']) {
          assert.ok(text.includes(part), `${part} in:\n${text}`);
        }
        for (const id of await idsOf(setup, 'ann')) assert.ok(text.includes(id), `${id} in:\n${text}`);
        assert.equal(await form.connections.count(), 3);
      });

      test('sends to one chosen connection', async (t) => {
        const setup = await office(t, { javaScriptEnabled });
        const form = await openForm(setup);
        await form.connection(await idOf(setup, 'ann', 'CD-1234-5678')).check();
        await form.message.selectOption('1');
        await form.sendToSelected.click();
        assert.equal(await form.reached(), 1);
        await assertMessageOnlyIn(setup, ['annElsewhere']);
      });

      test('sends to all tabs of one user', async (t) => {
        const setup = await office(t, { javaScriptEnabled });
        const form = await openForm(setup);
        await form.user('ann').check();
        await form.message.selectOption('1');
        await form.sendToSelected.click();
        assert.equal(await form.reached(), 2);
        await assertMessageOnlyIn(setup, ['ann', 'annElsewhere']);
      });

      test('sends to all', async (t) => {
        const setup = await office(t, { javaScriptEnabled });
        const form = await openForm(setup);
        await form.message.selectOption('1');
        await form.sendToAll.click();
        assert.equal(await form.reached(), 3);
        await assertMessageOnlyIn(setup, ['ann', 'annElsewhere', 'zoe']);
      });
    });
  }

  test('sends to the tabs that were ticked, not to one that has connected since', async (t) => {
    const setup = await office(t);
    const form = await openForm(setup);
    for (const id of await idsOf(setup, 'ann')) await form.connection(id).check();
    setup.tabs.annAgain = await frontend.openTab(setup, { name: 'ann', caseRef: 'EF-1234-5678' });
    await assertItems(setup.tabs.annAgain.viewers, ['ann']);
    await form.sendToSelected.click();
    assert.equal(await form.reached(), 2);
    await assertMessageOnlyIn(setup, ['ann', 'annElsewhere']);
  });

  test('unticks a user when one of its connections is unticked', async (t) => {
    const setup = await office(t);
    const form = await openForm(setup);
    await form.user('ann').check();
    await form.connection(await idOf(setup, 'ann', 'CD-1234-5678')).uncheck();
    await form.sendToSelected.click();
    assert.equal(await form.reached(), 1);
    await assertMessageOnlyIn(setup, ['ann']);
  });

  test('puts the focus on the result', async (t) => {
    const setup = await office(t);
    const form = await openForm(setup);
    await form.sendToSelected.click();
    await form.page.getByRole('alert').and(form.page.locator(':focus')).waitFor();
    assert.match(setup.complaints.pop(), /status of 400/);
    await assertAccessible(form.page);
    await form.sendToAll.click();
    await form.page.getByRole('status').and(form.page.locator(':focus')).waitFor();
  });

  test('can be filled in and sent with the keyboard alone', async (t) => {
    const setup = await office(t);
    const form = await openForm(setup);
    await tabTo(form.page, form.connection(await idOf(setup, 'Zoë Ωραία', 'AB-1234-5678')));
    await form.page.keyboard.press('Space');
    await tabTo(form.page, form.message);
    await form.page.keyboard.type(await form.message.locator('option[value="1"]').innerText());
    await tabTo(form.page, form.sendToSelected);
    await form.page.keyboard.press('Enter');
    assert.equal(await form.reached(), 1);
    await assertMessageOnlyIn(setup, ['zoe']);
  });

  for (const javaScriptEnabled of [true, false]) {
    test(`shows a lost connection and ends it by hand, ${javaScriptEnabled ? 'with' : 'without'} script`, async (t) => {
      const setup = await office(t, { javaScriptEnabled });
      await assertItems(setup.tabs.ann.viewers, ['ann', 'Zoë Ωραία']);
      const id = await idOf(setup, 'Zoë Ωραία', 'AB-1234-5678');
      await loseConnection(setup, setup.tabs.zoe, 'Zoë Ωραία');
      const { page } = await openForm(setup);
      const row = page.getByRole('row').filter({ hasText: id });
      await row.getByText(/^Lost \d+ s ago, kept for another \d+ s$/).waitFor();
      // Axe is a script.
      if (javaScriptEnabled) await assertAccessible(page);
      await photograph(page, 'admin-with-lost');
      await assertItems(setup.tabs.ann.viewers, ['ann', 'Zoë Ωραία']);
      await row.getByRole('button', { name: /^End/ }).click();
      await page.getByRole('status').filter({ hasText: 'Lost connection ended' }).waitFor();
      await assertItems(setup.tabs.ann.viewers, ['ann']);
      assert.equal(await page.getByText(id).count(), 0);
    });
  }

  test('does not end a lost connection when Enter is pressed in the form', async (t) => {
    const setup = await office(t);
    const id = await idOf(setup, 'Zoë Ωραία', 'AB-1234-5678');
    await loseConnection(setup, setup.tabs.zoe, 'Zoë Ωραία');
    const form = await openForm(setup);
    await form.connection(id).check();
    await form.connection(id).press('Enter');
    await form.page.getByRole('status').filter({ hasText: 'Kept for 1 lost connection' }).waitFor();
    assert.equal((await setup.daemon.connectionsOf('Zoë Ωραία')).length, 1);
  });

  test('is accessible without users, with users, and after sending', async (t) => {
    const setup = await setUp(t, browser);
    await assertAccessible((await openForm(setup)).page);
    await populate(setup);
    const form = await openForm(setup);
    await assertAccessible(form.page);
    await photograph(form.page, 'admin-with-people');
    await form.message.selectOption('1');
    await form.sendToAll.click();
    assert.equal(await form.reached(), 3);
    await assertAccessible(form.page);
    await photograph(form.page, 'admin-after-sending');
  });

  /** Three tabs of two users: ann has two cases open, Zoë one of the two. */
  async function office(t, options) {
    const setup = await setUp(t, browser, options);
    await populate(setup);
    return setup;
  }

  async function populate(setup) {
    const ann = await frontend.openTab(setup, { name: 'ann' });
    await assertItems(ann.viewers, ['ann']);
    const annElsewhere = await frontend.openTab(setup, { name: 'ann', caseRef: 'CD-1234-5678' });
    await assertItems(annElsewhere.viewers, ['ann']);
    const zoe = await frontend.openTab(setup, { name: 'Zoë Ωραία', usertype: 'provider' });
    await assertItems(zoe.viewers, ['ann', 'Zoë Ωραία']);
    setup.tabs = { ann, annElsewhere, zoe };
  }
});

/** Opens the form. Its fields are located by the names that it sends, which are part of the contract. */
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
    /** Number of connections reached, from the text of the page. */
    reached: async () => {
      const text = await page.getByRole('status').filter({ hasText: /\d/ }).innerText();
      return Number(text.match(/\d+/)[0]);
    },
  };
}

/** Waits until the named tabs show the system message, and checks that the others do not. */
async function assertMessageOnlyIn({ tabs, daemon }, names) {
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
