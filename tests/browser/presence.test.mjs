// The CHS case page in Chromium, from another origin than the daemon, with the browser build of the client that CHS uses.

import { after, before, describe, test } from 'node:test';

import { assertItems, Frontend, launch, setUp } from '../support/browser.mjs';

describe('a case page', () => {
  let browser, frontend;
  before(async () => ([browser, frontend] = await Promise.all([launch(), Frontend.start()])));
  after(() => Promise.all([browser.close(), frontend.stop()]));

  for (const transports of ['polling', 'websocket', 'polling,websocket']) {
    test(`shows users who arrive and leave, over ${transports}`, async (t) => {
      const setup = await setUp(t, browser);
      const ann = await frontend.openTab(setup, { name: 'ann', transports });
      await assertItems(ann.viewers, ['ann']);
      const bob = await frontend.openTab(setup, { name: 'bob', transports });
      await assertItems(bob.viewers, ['ann', 'bob']);
      await assertItems(ann.viewers, ['ann', 'bob']);
      await bob.page.close();
      await assertItems(ann.viewers, ['ann']);
    });

    test(`shows names outside ASCII over ${transports}`, async (t) => {
      const setup = await setUp(t, browser);
      const names = ['Zoë Ω 😀 名前', 'é', 'Renée Müller-Þór ÿ', '<b>&amp;'];
      const tabs = [];
      for (const [at, name] of names.entries()) {
        tabs.push(await frontend.openTab(setup, { name, transports }));
        await assertItems(tabs[at].viewers, names.slice(0, at + 1));
      }
      for (const tab of tabs) await assertItems(tab.viewers, names);
    });
  }
});
