// Browsers and short requests that keep the daemon busy while a test restarts or upgrades it.
//
//   node load.mjs [SITE]   SITE is the address for browsers, by default the public listener
//
// Prints "busy" when every browser is on its case and 100 requests were answered. At the end of its standard input it waits
// until every browser is on its case again, and prints a report:
//   requests N, refused N, slowest N ms
//   refused URL: reason
//   browser VERSION TRANSPORTS: back after N tries
import http from 'node:http';
import { createRequire } from 'node:module';
import { setTimeout as pause } from 'node:timers/promises';

import { until } from './wait.mjs';

const require = createRequire(import.meta.url);
const versions = { '1.7.4': require('sio1'), 4.8: require('sio4') };
const transportChoices = [['polling'], ['websocket'], ['polling', 'websocket']];
const site = process.argv[2] ?? 'http://127.0.0.1:8005';
const requests = {
  [`${site}/socket.io/?EIO=4&transport=polling`]: '0{',
  'http://127.0.0.1:8006/healthz': '{',
};
const callers = 4;
const limitMs = 20_000;

let answered = 0;
let slowest = 0;
const refused = [];
let ending = false;

/** A browser with the default delays between reconnects. */
class Browser {
  tries = 0;

  constructor(version, transports) {
    this.name = `${version} ${transports.join(',')}`;
    const socket = versions[version](`${site}/socket.io`, { transports, forceNew: true });
    socket.on('connect', () => {
      socket.emit('identify', { username: this.name, usertype: 'operator', appVersion: '1.0' });
      socket.emit('startViewingCase', 'AB-1234-5678');
    });
    socket.on('disconnect', () => (this.viewing = false));
    socket.on('peopleViewing', (names) => (this.viewing = names.includes(this.name)));
    socket.io.on('reconnect_attempt', () => (this.tries += 1));
  }
}

function ask(url, start) {
  return new Promise((resolve, reject) => {
    // Without an agent, every request opens a new connection.
    const request = http.get(url, { agent: false, timeout: 10_000 }, (response) => {
      let body = '';
      response.setEncoding('utf8');
      response.on('data', (part) => (body += part));
      response.on('error', reject);
      response.on('end', () => (body.startsWith(start) ? resolve() : reject(new Error(`${response.statusCode} ${body}`))));
    });
    request.on('timeout', () => request.destroy(new Error('no answer within 10 s')));
    request.on('error', reject);
  });
}

async function caller() {
  while (!ending) {
    for (const [url, start] of Object.entries(requests)) {
      const started = performance.now();
      await ask(url, start).then(
        () => (answered += 1),
        (error) => refused.push(`${url}: ${error.code ?? error.message}`),
      );
      slowest = Math.max(slowest, performance.now() - started);
      await pause(5);
    }
  }
}

const browsers = Object.keys(versions).flatMap((version) => transportChoices.map((choice) => new Browser(version, choice)));
const everybodyIsBack = () => browsers.every((browser) => browser.viewing);
const callersEnded = Promise.all(Array.from({ length: callers }, caller));
await until('every browser on its case and 100 answered requests', () => everybodyIsBack() && answered >= 100, { limitMs });
console.log('busy');

// Waits for the end of the input. Meanwhile the callers and browsers continue.
for await (const _ of process.stdin);
await until('every browser back on its case', everybodyIsBack, { limitMs, observe: () => browsers });
ending = true;
await callersEnded;
console.log(`requests ${answered + refused.length}, refused ${refused.length}, slowest ${Math.round(slowest)} ms`);
refused.slice(0, 20).forEach((line) => console.log(`refused ${line}`));
browsers.forEach(({ name, tries }) => console.log(`browser ${name}: back after ${tries} tries`));
process.exit(0);
