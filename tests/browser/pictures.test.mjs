// The screenshots of the README: this test takes them, and fails when a page no longer looks like its screenshot.
//
//   TAKE_PICTURES=1 tests/run browser     takes new screenshots: look at them, and commit docs/img
//
// The test does not compare pixels. They depend on the fonts of the machine and on the version of Chromium, and a tolerance
// for fonts also accepts a moved or missing line. The look of a page follows from its elements, their classes, their text and
// the stylesheet. The test compares these with docs/img/pictures.json, which records them for each screenshot. Each record
// has the digest of its screenshot, so that a change of only one of the two is found.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { after, before, describe, test } from 'node:test';

import { assertItems, Frontend, launch, loseConnection, setUp } from '../support/browser.mjs';

const VIEWPORT = { width: 1200, height: 820 };
const FOLDER = new URL('../../docs/img/', import.meta.url);
const RECORDS = new URL('pictures.json', FOLDER);

describe('a screenshot in the README', () => {
  let browser, frontend;
  before(async () => ([browser, frontend] = await Promise.all([launch(), Frontend.start()])));
  after(() => Promise.all([browser.close(), frontend.stop()]));

  test('shows the admin app as it is', async (t) => {
    const setup = await setUp(t, browser);
    for (const [name, caseRef, usertype] of [
      ['adam', 'AB-1234-5678', 'operator'],
      ['Zoë', 'AB-1234-5678', 'operator'],
      ['priya', 'CD-9876-5432', 'provider'],
    ]) {
      const { viewers } = await frontend.openTab(setup, { name, caseRef, usertype });
      await assertItems(viewers, name === 'Zoë' ? ['adam', 'Zoë'] : [name]);
    }
    const tab = await frontend.openTab(setup, { name: 'ruth', caseRef: 'EF-2468-1357' });
    await assertItems(tab.viewers, ['ruth']);
    await loseConnection(setup, tab, 'ruth');
    const page = await setup.admin.newPage();
    await page.setViewportSize(VIEWPORT);
    await page.goto(`${setup.daemon.adminUrl}/admin/broadcast/`);
    await isAsInItsPicture(page, 'admin');
  });

  test('shows the demo as it is', async (t) => {
    const setup = await setUp(t, browser, { args: ['--demo'] });
    const ann = await openDemo(setup, 'ann');
    const zoe = await openDemo(setup, 'Zoë');
    await assertItems(zoe.locator('#viewers'), ['ann', 'Zoë (you)']);
    await assertItems(ann.locator('#viewers'), ['ann (you)', 'Zoë']);
    await setup.daemon.broadcast({ allClients: 'true' });
    await ann.locator('#messages').getByRole('listitem').waitFor();
    await ann.bringToFront();
    await isAsInItsPicture(ann, 'demo');
  });
});

/** Compares a page with the record of its screenshot; with TAKE_PICTURES, writes both. */
async function isAsInItsPicture(page, name) {
  const now = { stylesheet: await digestOfStylesheet(page), content: await outline(page) };
  const picture = new URL(`${name}.png`, FOLDER);
  const records = JSON.parse(await readFile(RECORDS, 'utf8').catch(() => '{}'));
  if (process.env.TAKE_PICTURES) {
    const taken = await page.screenshot({ animations: 'disabled' });
    await writeFile(picture, taken);
    records[name] = { picture: digest(taken), ...now };
    await writeFile(RECORDS, JSON.stringify(records, undefined, 1) + '\n');
    return;
  }
  const { picture: taken, ...then } = records[name] ?? {};
  const advice = `docs/img/${name}.png is out of date; take it anew with: TAKE_PICTURES=1 tests/run browser`;
  assert.deepEqual(now, then, advice);
  assert.equal(digest(await readFile(picture)), taken, advice);
}

/** The elements of a page with their classes and text. Ids and times, which differ between runs, are replaced. */
async function outline(page) {
  const lines = await page.evaluate(() => {
    const lines = [];
    const visit = (node, depth) => {
      const indent = ' '.repeat(depth);
      if (node.nodeType === Node.TEXT_NODE) {
        const text = node.textContent.replace(/\s+/g, ' ').trim();
        if (text) lines.push(`${indent}"${text}"`);
      } else if (node.nodeType === Node.ELEMENT_NODE) {
        const kind = [node.localName, ...node.classList].join('.');
        const state = ['hidden', 'checked', 'type'].filter((it) => node.hasAttribute(it));
        const attributes = state.map((it) => `[${it}=${node.getAttribute(it)}]`).join('');
        lines.push(indent + kind + attributes);
        node.childNodes.forEach((child) => visit(child, depth + 1));
      }
    };
    visit(document.body, 0);
    return lines;
  });
  return lines.map((line) => line.replace(/\b\d+ s\b/g, 'n s').replace(/[\w-]{16}(?=["\s])/g, 'id'));
}

/** Digest of the stylesheet as served. The rules that Chromium has parsed would differ between its versions. */
async function digestOfStylesheet(page) {
  const sheet = await page.locator('link[rel=stylesheet]').getAttribute('href');
  const response = await fetch(new URL(sheet, page.url()));
  return digest(await response.text());
}

function digest(bytes) {
  return createHash('sha256').update(bytes).digest('hex');
}

async function openDemo({ desk, daemon }, name) {
  const page = await desk.newPage();
  await page.setViewportSize(VIEWPORT);
  await page.goto(`${daemon.adminUrl}/demo/`);
  await page.getByLabel('Your name').fill(name);
  await page.getByRole('button', { name: 'Open case' }).click();
  return page;
}
