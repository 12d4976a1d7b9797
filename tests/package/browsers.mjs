// Many browsers on one case.
//
//   node browsers.mjs SITE [COUNT]
//
// Connects COUNT users, by default one for each client version and choice of transports. Succeeds when all of them are
// connected at the same time over their last transport and every screen names every user. Otherwise it prints the incomplete
// ones after 30 s.
import { setTimeout as pause } from 'node:timers/promises';

import { clients } from './clients.mjs';

const limitMs = 30_000;

class Browser {
  screen = new Set();
  last = 'nothing yet';

  constructor(site, number) {
    const { version, io, transports } = clients[number % clients.length];
    this.transports = transports;
    this.name = `Zoë 名前 😀 ${number}, ${version} ${transports.join('+')}`;
    this.socket = io(`${site}/socket.io`, { transports, forceNew: true });
    this.socket.on('connect', () => {
      this.socket.emit('identify', { username: this.name, usertype: 'operator', appVersion: '1.0' });
      this.socket.emit('startViewingCase', 'AB-1234-5678');
    });
    this.socket.on('peopleViewing', (names) => (this.screen = new Set(names)));
    for (const trouble of ['connect_error', 'disconnect']) {
      this.socket.on(trouble, (reason) => (this.last = `${trouble}: ${reason.message ?? reason}`));
    }
  }

  get transport() {
    return this.socket.io.engine?.transport?.name;
  }

  sees(names) {
    return this.socket.connected && this.transport === this.transports.at(-1) && names.every((name) => this.screen.has(name));
  }

  toString() {
    return `${this.name}: connected ${this.socket.connected}, over ${this.transport}, sees ${this.screen.size}; ${this.last}`;
  }
}

const [site, count = clients.length] = process.argv.slice(2);
const browsers = Array.from({ length: count }, (_, number) => new Browser(site, number));
const names = browsers.map(({ name }) => name);
const missing = () => browsers.filter((browser) => !browser.sees(names));

const started = performance.now();
while (missing().length > 0 && performance.now() < started + limitMs) await pause(50);
missing().forEach((browser) => console.error(String(browser)));
const seconds = ((performance.now() - started) / 1000).toFixed(1);
console.log(`${count - missing().length} of ${count} browsers see all users after ${seconds} s`);
process.exit(missing().length === 0 ? 0 : 1);
