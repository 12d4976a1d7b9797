// Pages of other sites, in Chromium.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import http from 'node:http';
import { after, before, describe, test } from 'node:test';

import { launch, setUp } from './browser.mjs';

describe('a page of another site', () => {
  let browser;
  before(async () => (browser = await launch()));
  after(() => browser.close());

  for (const [what, tag] of [
    ['images', (address) => `<img src="${address}" onerror="failed++">`],
    ['scripts', (address) => `<script src="${address}&j=0" onerror="failed++"></script>`],
  ]) {
    test(`opens no session with ${what}`, async (t) => {
      const { daemon, desk, complaints } = await setUp(t, browser);
      const address = `${daemon.publicUrl}/socket.io/?EIO=4&amp;transport=polling`;
      const tags = Array.from({ length: 50 }, (_, at) => tag(`${address}&amp;t=${at}`));
      const site = http.createServer((_, response) => {
        response.setHeader('Content-Type', 'text/html');
        response.end(`<!doctype html><title>Elsewhere</title><script>failed = 0</script>${tags.join('')}`);
      });
      site.listen(0, '127.0.0.1');
      await once(site, 'listening');
      t.after(() => (site.close(), site.closeAllConnections()));

      const page = await desk.newPage();
      // The same machine, but to a browser another site than 127.0.0.1.
      await page.goto(`http://localhost:${site.address().port}/`);
      await page.waitForFunction('failed === 50');
      const metrics = await (await fetch(`${daemon.adminUrl}/metrics`)).text();
      assert.match(metrics, /^cla_socketserver_sessions 0$/m);
      assert.match(metrics, /^cla_socketserver_session_refused_total\{reason="origin"\} 50$/m);
      // Chromium writes each refusal on the console.
      assert.deepEqual(complaints.splice(0).filter((complaint) => !complaint.includes('403')), []);
    });
  }
});
