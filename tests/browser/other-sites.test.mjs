// Pages of other sites, in Chromium.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import http from 'node:http';
import { after, before, describe, test } from 'node:test';

import { launch, setUp } from '../support/browser.mjs';

/** HTML elements that make a browser request a URL of another site. */
const TAGS = {
  images: (address) => `<img src="${address}" onerror="failed++">`,
  scripts: (address) => `<script src="${address}" onerror="failed++"></script>`,
};

describe('a page of another site', () => {
  let browser, site;
  before(async () => {
    browser = await launch();
    site = http.createServer((request, response) => {
      const { pathname, searchParams } = new URL(request.url, 'http://localhost');
      const handshake = (at) => `${searchParams.get('server')}/socket.io/?EIO=4&amp;transport=polling&amp;t=${at}`;
      const tags = Array.from({ length: 50 }, (_, at) => TAGS[pathname.slice(1)]?.(handshake(at)));
      response.setHeader('Content-Type', 'text/html');
      response.end(`<!doctype html><title>Elsewhere</title><script>failed = 0</script>${tags.join('')}`);
    });
    site.listen(0, '127.0.0.1');
    await once(site, 'listening');
  });
  after(async () => {
    site.close();
    site.closeAllConnections();
    await browser.close();
  });

  for (const what of Object.keys(TAGS)) {
    test(`opens no session with ${what}`, async (t) => {
      const { daemon, desk, complaints } = await setUp(t, browser);
      const page = await desk.newPage();
      // The same machine, but for a browser not the same site as 127.0.0.1.
      await page.goto(`http://localhost:${site.address().port}/${what}?server=${daemon.publicUrl}`);
      await page.waitForFunction('failed === 50');
      const metrics = await (await fetch(`${daemon.adminUrl}/metrics`)).text();
      assert.match(metrics, /^cla_socketserver_sessions 0$/m);
      assert.match(metrics, /^cla_socketserver_session_refused_total\{reason="origin"\} 50$/m);
      // Chromium logs each refused request to the console.
      assert.deepEqual(complaints.splice(0).filter((complaint) => !complaint.includes('403')), []);
    });
  }
});
