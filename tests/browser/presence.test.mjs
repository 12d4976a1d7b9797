// The case page of CHS in Chromium, with the browser build of the client that CHS ships, from another origin.

import { after, before, describe, test } from 'node:test';

import { assertItems, Frontend, launch, setUp } from '../support/browser.mjs';

describe('a case page', () => {
  let browser, frontend;
  before(async () => ([browser, frontend] = await Promise.all([launch(), Frontend.start()])));
  after(() => Promise.all([browser.close(), frontend.stop()]));

  for (const transports of ['polling', 'websocket', 'polling,websocket']) {
    test(`shows who else is there, and who has gone, over ${transports}`, async (t) => {
      const stage = await setUp(t, browser);
      const ann = await frontend.openTab(stage, { name: 'ann', transports });
      await assertItems(ann.viewers, ['ann']);
      const bob = await frontend.openTab(stage, { name: 'bob', transports });
      await assertItems(bob.viewers, ['ann', 'bob']);
      await assertItems(ann.viewers, ['ann', 'bob']);
      await bob.page.close();
      await assertItems(ann.viewers, ['ann']);
    });

    test(`shows names outside ASCII over ${transports}`, async (t) => {
      const stage = await setUp(t, browser);
      const names = ['Zoë Ω 😀 名前', 'é', 'Renée Müller-Þór ÿ', '<b>&amp;'];
      const tabs = [];
      for (const [at, name] of names.entries()) {
        tabs.push(await frontend.openTab(stage, { name, transports }));
        await assertItems(tabs[at].viewers, names.slice(0, at + 1));
      }
      for (const tab of tabs) await assertItems(tab.viewers, names);
    });
  }
});
