// The traffic of a soak: the users, their tabs, and random actions on them.
//
// Lives here: choosing the next action. Not here: how a page performs it (`page.mjs`).
// Invariant: each tab has one action at a time, which ends before the next one begins.

import { setTimeout as pause } from 'node:timers/promises';

import { clients } from '../../support/clients.mjs';
import { MAX_STALE, REST } from './clock.mjs';
import { Page } from './page.mjs';
import { seededRandom } from './random.mjs';
import { Relay } from './relay.mjs';

const USERS = 48;
const TABS = 160;
const CASES = 36;
const TYPES = ['operator', 'provider', 'manager'];
const NAMES = ['ann', 'Zoë', 'bob', '名前', 'O’Neil', 'cat'];

/** Actions per second, by kind. */
const RATE = { tab: 30, attack: 12, look: 2, post: 1.5, mistake: 0.5 };

/** Actions on a tab, with their weights. */
const ACTIONS = {
  opens: 60, flaps: 4, closes: 6, isLostBriefly: 6, fallsSilent: 2, isDelayed: 4, isCutOff: 2, rejoins: 4, isReplaced: 5, dies: 2,
  crashes: 2, isOfAnother: 1,
};

/** Actions that two tabs of one browser do not get: the daemon tells their places apart only by the case of the page. */
const NOT_FOR_TWINS = ['closes', 'isCutOff', 'isReplaced', 'dies', 'isOfAnother'];

/** The case that many tabs view, and the case of the probes. */
const HOT_CASE = caseRef(0);
const PROBE_CASE = caseRef(CASES);

export class Traffic {
  tabs = [];
  /** Pages that have ended since the last comparison. */
  past = [];
  #seed;
  #port;
  #staff;
  #attackers;
  #users;
  #pages = 0;
  #random;
  #running = new Set();
  #probes;
  /** Whether a round is running. */
  #busy = false;
  /** Tabs that reconnect in the next round. */
  #away = [];

  /** Opens all tabs. */
  static async begin({ seed, port, staff, attackers }) {
    const traffic = new Traffic();
    [traffic.#seed, traffic.#port, traffic.#staff, traffic.#attackers] = [seed, port, staff, attackers];
    traffic.#random = seededRandom(seed, 'arrivals');
    traffic.#users = Array.from({ length: USERS }, (_, n) => ({
      name: `${NAMES[n % NAMES.length]} ${n}`,
      type: TYPES[n % TYPES.length],
      // Half of the users have their own address, the others share three.
      address: `198.51.100.${n < USERS / 2 ? n : 200 + (n % 3)}`,
    }));
    for (let n = 0; n < TABS; n += 1) {
      await traffic.#opensTab(n);
      // Eight at a time: the soak does not test how fast clients connect.
      if (n % 8 === 7) await Promise.all(traffic.pages.slice(-8).map((page) => page.isBack()));
    }
    await traffic.#opensProbes();
    return traffic;
  }

  get pages() {
    return this.tabs.map(({ page }) => page);
  }

  /** The pages that should be connected. */
  get present() {
    return this.tabs.filter((tab) => !this.#away.includes(tab)).map(({ page }) => page);
  }

  /** Number of connections between the daemon and all pages. */
  get connections() {
    return [...this.pages, ...this.past].reduce((sum, { relay }) => sum + relay.connections, 0);
  }

  /** Performs actions for a time. Returns when all of them have ended. */
  async runs(ms, round) {
    const random = seededRandom(this.#seed, `round ${round}`);
    const until = performance.now() + ms;
    this.#busy = true;
    this.#away.splice(0).forEach((tab) => this.#starts(this.#comesBack(tab, random)));
    const streams = Object.entries(RATE).map(async ([kind, rate]) => {
      while (performance.now() < until) {
        this.#starts(this[`_${kind}`](seededRandom(this.#seed, `${round} ${kind} ${random.below(2 ** 31)}`)));
        await pause(random.between(0, 2_000 / rate));
      }
    });
    streams.push(this.#breaksMany(random, ms * 0.4));
    await Promise.all(streams);
    this.#busy = false;
    await Promise.all(this.#running);
    await this.#attackers.closeAll();
  }

  /** Forgets the pages that have ended, and the records of others before a moment. */
  async forgets(before) {
    await Promise.all(this.past.splice(0).map(({ relay }) => relay.remove()));
    this.pages.forEach(({ record }) => record.forget(before));
  }

  /** Closes all pages. */
  async ends() {
    this.pages.forEach((page) => page.isOver());
    await Promise.all(this.pages.map(({ relay }) => relay.remove()));
  }

  /** One of the two probes opens or closes the case of the other. Returns when the other shows it. */
  async passesOn() {
    const [watcher, switcher] = this.#probes;
    if (!this.#busy || !switcher.connected) return;
    const arrives = switcher.record.case === null;
    if (arrives) switcher.opens(PROBE_CASE);
    else switcher.closes();
    await watcher.comesToShow((names) => names.includes(switcher.record.user.name) === arrives);
  }

  /** Opens two pages without other actions, by polling, which is the slowest transport. */
  async #opensProbes() {
    for (const name of ['watcher', 'switcher']) {
      const tab = { user: { name, type: TYPES[0], address: '198.51.100.99' }, busy: true };
      const client = clients.find(({ transports }) => transports.join() === 'polling');
      tab.page = await this.#opensPage(tab, name, this.#random, { client, caseRef: PROBE_CASE });
      this.tabs.push(tab);
      await tab.page.isBack();
    }
    this.#probes = this.pages.slice(-2);
  }

  /** Starts an action. Its failure is raised at the end of the round. */
  #starts(action) {
    const running = action.then(() => this.#running.delete(running));
    running.catch(() => {});
    this.#running.add(running);
  }

  /** Opens a tab. Two of every eight tabs share a browser. */
  async #opensTab(number) {
    const twin = number % 8 === 1 ? this.tabs.at(-1) : undefined;
    const tab = { user: twin?.user ?? this.#users[number % USERS], busy: false };
    if (number % 8 < 2) tab.share = number % 8;
    this.tabs.push(tab);
    tab.page = await this.#opensPage(tab, twin?.page.agent ?? `Browser/${this.#pages}`, this.#random);
  }

  async #opensPage(tab, agent, random, given = {}) {
    const relay = await Relay.start(this.#port);
    const choices = tab.share === undefined ? clients : clients.filter(({ transports }) => transports[0] === 'polling');
    return new Page({
      number: this.#pages++,
      client: random.oneOf(choices),
      relay,
      user: tab.user,
      version: random.oneOf(['2.0.1', '2.1.0-rc_3', '3.0']),
      agent,
      caseRef: this.#picks(tab, random),
      ...given,
    });
  }

  #picks({ share }, random) {
    const number = random.chance(0.25) ? 0 : 1 + random.below(CASES - 1);
    return caseRef(share === undefined ? number : number - (number % 2) + share);
  }

  /** Performs one action on one tab, unless it is busy or not connected. */
  async _tab(random) {
    const tab = random.oneOf(this.tabs);
    const action = random.weighed(ACTIONS);
    if (tab.busy || !tab.page.connected || (tab.share !== undefined && NOT_FOR_TWINS.includes(action))) return;
    await this.#during(tab, () => this[`_${action}`](tab, random));
  }

  async _attack(random) {
    await this.#attackers.attack(random);
  }

  async _look(random) {
    await this.#staff.requestsPage(random);
  }

  async _mistake(random) {
    await this.#staff.postsMistake(random);
  }

  /** Posts one message at a time, so that their order is defined. */
  async _post(random) {
    if (this.posting) return;
    this.posting = true;
    const format = random.oneOf(['json', 'form']);
    const kind = random.weighed({ type: 6, user: 2, pages: 2, everyone: 1 });
    if (kind === 'type') await this.#staff.notifies(random.oneOf(TYPES), format);
    if (kind === 'user') await this.#staff.messagesUser(random.oneOf(this.#users), format);
    if (kind === 'everyone') await this.#staff.messagesEveryone(format);
    if (kind === 'pages') {
      const pages = [0, 1, 2].map(() => random.oneOf(this.pages)).filter((page) => page.connected);
      if (pages.length > 0) await this.#staff.messagesPages(pages, format);
    }
    this.posting = false;
  }

  async _opens(tab, random) {
    tab.page.opens(this.#picks(tab, random));
  }

  /** Opens and closes cases faster than lists are sent. */
  async _flaps(tab, random) {
    const { page } = tab;
    for (let n = 2 + random.below(8); n > 0 && page.connected; n -= 1) {
      if (page.record.case && tab.share === undefined && random.chance(0.4)) page.closes();
      else page.opens(tab.share === undefined && random.chance(0.5) ? HOT_CASE : this.#picks(tab, random));
      if (random.chance(0.5)) await pause(random.between(0, 40));
    }
  }

  async _closes({ page }, random) {
    if (page.record.case) page.closes(random.chance(0.2) ? 'AB-9999-9999' : undefined);
  }

  async _isLostBriefly({ page }, random) {
    page.breaks(random.oneOf(['reset', 'close']));
    await pause(random.between(100, 1_200));
    await page.isRestored();
  }

  async _fallsSilent({ page }) {
    page.fallsSilent();
    await page.isRestored();
  }

  async _isDelayed({ page }, random) {
    await page.isDelayed(pause(random.between(100, 1_000)));
  }

  /** Cuts the connection until the next round, after its place has lapsed. */
  async _isCutOff(tab) {
    tab.page.isCutOff();
    this.#away.push(tab);
  }

  async #comesBack(tab, random) {
    await pause(MAX_STALE - REST + random.between(500, 3_000));
    await tab.page.isRestored();
    if (random.chance(0.5)) tab.page.opens(this.#picks(tab, random));
    tab.busy = false;
  }

  async _rejoins(tab, random) {
    const { page } = tab;
    page.leaves();
    await pause(random.between(50, 1_500));
    page.rejoins(this.#picks(tab, random));
    await page.isBack();
  }

  async _isReplaced(tab, random) {
    tab.page.unloads();
    await this.#opensNextPage(tab, random);
  }

  async _dies(tab, random) {
    tab.page.dies();
    await this.#opensNextPage(tab, random);
  }

  async _crashes({ page }, random) {
    page.crashes();
    await pause(random.between(100, 1_000));
    await page.isRestored();
  }

  async _isOfAnother(tab, random) {
    tab.user = random.oneOf(this.#users);
    tab.page.isOf(tab.user);
  }

  /** Opens the next page in the tab after a pause. */
  async #opensNextPage(tab, random) {
    this.past.push(tab.page);
    await pause(random.between(100, 3_000));
    tab.page = await this.#opensPage(tab, `Browser/${this.#pages}`, random);
    await tab.page.isBack();
  }

  /** Breaks many connections at once, as a restart of one of several nginx does. */
  async #breaksMany(random, delay) {
    await pause(delay);
    const here = this.tabs.filter(({ busy, page }) => random.chance(0.3) && !busy && page.connected);
    const ending = random.oneOf(['reset', 'close']);
    here.forEach(({ page }) => page.breaks(ending));
    await Promise.all(
      here.map((tab) =>
        this.#during(tab, async () => {
          await pause(random.between(200, 900));
          await tab.page.isRestored();
        }),
      ),
    );
  }

  async #during(tab, action) {
    tab.busy = true;
    await action();
    tab.busy = this.#away.includes(tab);
  }
}

function caseRef(number) {
  return `AB-${String(number).padStart(4, '0')}-${String(number * 7).padStart(4, '0')}`;
}
