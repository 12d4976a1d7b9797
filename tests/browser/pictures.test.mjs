// The pictures of the README: a test takes them, and fails once a page no longer looks like its picture.
//
//   TAKE_PICTURES=1 tests/run browser     takes them anew: look at them, and commit docs/img
//
// Not the pixels are compared. They depend on the fonts of the machine and on its version of Chromium, and a tolerance that lets
// other fonts pass also lets a moved or missing line pass. What a page looks like follows from its elements, their
// classes, their text and the stylesheet, so these are compared with docs/img/pictures.json, as they were when the picture
// was taken. Each record has the digest of its picture, so that neither is changed without the other.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { after, before, describe, test } from 'node:test';

import { assertItems, Frontend, launch, loseConnection, setUp } from '../support/browser.mjs';

const VIEWPORT = { width: 1200, height: 820 };
const FOLDER = new URL('../../docs/img/', import.meta.url);
const RECORDS = new URL('pictures.json', FOLDER);

describe('a picture of the README', () => {
  let browser, frontend;
  before(async () => ([browser, frontend] = await Promise.all([launch(), Frontend.start()])));
  after(() => Promise.all([browser.close(), frontend.stop()]));

  test('shows the admin app as it is', async (t) => {
    const stage = await setUp(t, browser);
    for (const [name, caseRef, usertype] of [
      ['adam', 'AB-1234-5678', 'operator'],
      ['Zoë', 'AB-1234-5678', 'operator'],
      ['priya', 'CD-9876-5432', 'provider'],
    ]) {
      const { viewers } = await frontend.openTab(stage, { name, caseRef, usertype });
      await assertItems(viewers, name === 'Zoë' ? ['adam', 'Zoë'] : [name]);
    }
    const tab = await frontend.openTab(stage, { name: 'ruth', caseRef: 'EF-2468-1357' });
    await assertItems(tab.viewers, ['ruth']);
    await loseConnection(stage, tab, 'ruth');
    const page = await stage.admin.newPage();
    await page.setViewportSize(VIEWPORT);
    await page.goto(`${stage.daemon.adminUrl}/admin/broadcast/`);
    await isAsInItsPicture(page, 'admin');
  });

  test('shows the demo as it is', async (t) => {
    const stage = await setUp(t, browser, { args: ['--demo'] });
    const ann = await openDemo(stage, 'ann');
    const zoe = await openDemo(stage, 'Zoë');
    await assertItems(zoe.locator('#viewers'), ['ann', 'Zoë (you)']);
    await assertItems(ann.locator('#viewers'), ['ann (you)', 'Zoë']);
    await stage.daemon.broadcast({ allClients: 'true' });
    await ann.locator('#messages').getByRole('listitem').waitFor();
    await ann.bringToFront();
    await isAsInItsPicture(ann, 'demo');
  });
});

/** Compares a page with the record of its picture, or takes both anew. */
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

/** The elements of a page with their classes, and its text, without what differs from one run to the next. */
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

/** As it is served: Chromium writes the rules that it has read in another way with each version. */
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
