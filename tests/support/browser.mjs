// Chromium for every browser test.
//
// Lives here: starting Chromium, contexts that record console errors, axe, screenshots, a web server with the case page of
// CHS (`chs.html`).
// Not here: expectations about pages (the tests).
// Invariant: a console error, an uncaught exception or a violation of the content security policy fails the test.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import http from 'node:http';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';

import { AxeBuilder } from '@axe-core/playwright';
import { chromium } from 'playwright-core';

import { Daemon } from './daemon.mjs';
import { LIMIT_MS, until } from './wait.mjs';

const require = createRequire(import.meta.url);

const ARGS = ['--no-sandbox', '--disable-background-networking', '--disable-component-update', '--no-first-run'];

/** Starts one Chromium, which a test file shares among its tests. */
export function launch() {
  return chromium.launch({ executablePath: '/usr/bin/chromium', args: ARGS });
}

/** Starts Chromium through a wrapper script. Returns the browser, and the Playwright server that owns its process. */
export async function launchThrough(executablePath, args) {
  const server = await chromium.launchServer({ executablePath, args: [...ARGS, ...args] });
  return { server, browser: await chromium.connect(server.wsEndpoint()) };
}

/**
 * Starts a daemon for one test, and two browser contexts: `desk` for case pages, `admin` for the admin app.
 * A console error of any page fails the test, unless the test removes it from `complaints`.
 */
export async function setUp(t, browser, { javaScriptEnabled = true, ...options } = {}) {
  const daemon = await Daemon.start(options);
  const complaints = [];
  const contexts = [];
  t.after(async () => {
    await Promise.all(contexts.map((context) => context.close()));
    await daemon.stop();
    assert.deepEqual(complaints, []);
  });
  for (const settings of [{}, { javaScriptEnabled }]) {
    const context = await browser.newContext(settings);
    context.setDefaultTimeout(LIMIT_MS);
    context.on('console', (message) => {
      if (message.type() === 'error') complaints.push(`${message.location().url}: ${message.text()}`);
    });
    context.on('weberror', (error) => complaints.push(String(error.error())));
    contexts.push(context);
  }
  const [desk, admin] = contexts;
  return { daemon, desk, admin, complaints };
}

/** Waits until a list has exactly the expected items. */
export async function assertItems(list, expected) {
  const items = list.getByRole('listitem');
  const handle = await list.elementHandle();
  const same = ({ handle, expected }) =>
    JSON.stringify(Array.from(handle.querySelectorAll('li'), (item) => item.textContent.trim())) ===
    JSON.stringify(expected);
  try {
    await list.page().waitForFunction(same, { handle, expected });
  } catch (error) {
    assert.deepEqual(await items.allTextContents(), expected, error.message);
  }
}

/** Fails with the violations that axe finds on the page. */
export async function assertAccessible(page) {
  const tags = ['wcag2a', 'wcag2aa', 'wcag21aa', 'wcag22aa', 'best-practice'];
  const { violations } = await new AxeBuilder({ page }).withTags(tags).analyze();
  assert.deepEqual(
    violations.map(({ id, help, nodes }) => ({ id, help, nodes: nodes.map(({ html }) => html) })),
    [],
  );
}

/** Saves a screenshot of the whole page as `target/browser/<name>.png`. */
export function photograph(page, name) {
  const path = fileURLToPath(new URL(`../../target/browser/${name}.png`, import.meta.url));
  return page.screenshot({ path, fullPage: true });
}

/** Closes the connection of a tab for good, without a clean close, and waits until the daemon counts it as lost. */
export async function loseConnection({ daemon }, { page }, username) {
  // The list of viewers may come before the session has moved to a websocket.
  await page.waitForFunction(() => socket.io.engine.transport.ws);
  await page.evaluate(() => {
    socket.io.reconnection(false);
    socket.io.engine.transport.ws.close();
  });
  const isLost = async () => (await daemon.connectionsOf(username))[0][1].lost !== undefined;
  await until(`the connection of ${username} to be lost`, isLost, { observe: () => daemon.peopleMap() });
}

/** Serves the case page of CHS from its own origin, in place of cla_frontend. */
export class Frontend {
  #server;

  static async start() {
    const page = await readFile(new URL('chs.html', import.meta.url));
    const script = await readFile(require.resolve('sio1/dist/socket.io.js'));
    const frontend = new Frontend();
    frontend.#server = http.createServer((request, response) => {
      const [type, body] = request.url === '/socket.io.js' ? ['text/javascript', script] : ['text/html', page];
      response.writeHead(200, { 'Content-Type': `${type}; charset=utf-8` }).end(body);
    });
    frontend.#server.listen(0, '127.0.0.1');
    await once(frontend.#server, 'listening');
    return frontend;
  }

  /** Opens a tab on a case. Returns its page, its list of viewers and its message. */
  async openTab({ desk, daemon }, { name, usertype = 'operator', caseRef = 'AB-1234-5678', transports }) {
    const page = await desk.newPage();
    const settings = new URLSearchParams({ server: daemon.publicUrl, name, usertype, caseRef });
    if (transports) settings.set('transports', transports);
    await page.goto(`http://127.0.0.1:${this.#server.address().port}/call_centre/${caseRef}/?${settings}`);
    return {
      page,
      viewers: page.getByRole('list', { name: 'People viewing' }),
      message: page.getByRole('alert'),
    };
  }

  async stop() {
    this.#server.close();
    this.#server.closeAllConnections();
    await once(this.#server, 'close');
  }
}
