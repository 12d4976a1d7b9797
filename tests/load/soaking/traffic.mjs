// What everybody does: who sits where, and what happens to them, as chance has it.
//
// Lives here: the choice of what happens next. Not here: how a page does it (`page.mjs`).
// Invariant: one thing happens to a tab at a time, so that each is known to be over before the next begins.

import { setTimeout as pause } from 'node:timers/promises';

import { clients } from '../../support/clients.mjs';
import { Cable } from './cable.mjs';
import { GHOST, REST } from './clock.mjs';
import { dice } from './dice.mjs';
import { Page } from './page.mjs';

const USERS = 48;
const TABS = 160;
const CASES = 36;
const TYPES = ['operator', 'provider', 'manager'];
const NAMES = ['ann', 'Zoë', 'bob', '名前', 'O’Neil', 'cat'];

/** How often something happens, per second. */
const PACE = { tab: 30, stranger: 12, look: 2, post: 1.5, mistake: 0.5 };

/** What happens to a tab, and how likely that is. */
const DEEDS = {
  opens: 60, flaps: 4, closes: 6, blinks: 6, fallsSilent: 2, isHeldUp: 4, isCutOff: 2, rejoins: 4, isReplaced: 5, dies: 2,
  crashes: 2, isOfAnother: 1,
};

/** What does not happen to one of two tabs of a browser: only by the case that its page shows can its place be told apart. */
const NOT_TO_TWINS = ['closes', 'isCutOff', 'isReplaced', 'dies', 'isOfAnother'];

/** The case that many look at, and that of the sentinels. */
const HOT = caseRef(0);
const POST = caseRef(CASES);

export class Traffic {
  tabs = [];
  /** Pages that are gone since the last look. */
  past = [];
  #seed;
  #port;
  #staff;
  #strangers;
  #users;
  #pages = 0;
  #chance;
  #running = new Set();
  #sentinels;
  /** Whether a round is under way. */
  #busy = false;
  /** Tabs that will be back in the next round. */
  #away = [];

  /** Everybody comes. */
  static async begin({ seed, port, staff, strangers }) {
    const traffic = new Traffic();
    [traffic.#seed, traffic.#port, traffic.#staff, traffic.#strangers] = [seed, port, staff, strangers];
    traffic.#chance = dice(seed, 'arrivals');
    traffic.#users = Array.from({ length: USERS }, (_, n) => ({
      name: `${NAMES[n % NAMES.length]} ${n}`,
      type: TYPES[n % TYPES.length],
      // Some work at home, others in offices that share an address.
      address: `198.51.100.${n < USERS / 2 ? n : 200 + (n % 3)}`,
    }));
    for (let n = 0; n < TABS; n += 1) {
      await traffic.#sitsDown(n);
      // A few at a time: what it costs the clients to connect is not what is tried here.
      if (n % 8 === 7) await Promise.all(traffic.pages.slice(-8).map((page) => page.isBack()));
    }
    await traffic.#postsSentinels();
    return traffic;
  }

  get pages() {
    return this.tabs.map(({ page }) => page);
  }

  /** Those whose connection should be up. */
  get present() {
    return this.tabs.filter((tab) => !this.#away.includes(tab)).map(({ page }) => page);
  }

  /** How many connections the daemon has with all of them. */
  get connections() {
    return [...this.pages, ...this.past].reduce((sum, { cable }) => sum + cable.connections, 0);
  }

  /** Lets things happen for a time, and returns once all of them are over. */
  async runs(ms, round) {
    const chance = dice(this.#seed, `round ${round}`);
    const until = performance.now() + ms;
    this.#busy = true;
    this.#away.splice(0).forEach((tab) => this.#starts(this.#comesBack(tab, chance)));
    const streams = Object.entries(PACE).map(async ([kind, pace]) => {
      while (performance.now() < until) {
        this.#starts(this[`_${kind}`](dice(this.#seed, `${round} ${kind} ${chance.below(2 ** 31)}`)));
        await pause(chance.between(0, 2_000 / pace));
      }
    });
    streams.push(this.#cutsManyOff(chance, ms * 0.4));
    await Promise.all(streams);
    this.#busy = false;
    await Promise.all(this.#running);
    await this.#strangers.go();
  }

  /** Forgets the pages that are gone, and what others did before a moment. */
  async forgets(before) {
    await Promise.all(this.past.splice(0).map(({ cable }) => cable.remove()));
    this.pages.forEach(({ record }) => record.forget(before));
  }

  /** Everybody goes home. */
  async ends() {
    this.pages.forEach((page) => page.isOver());
    await Promise.all(this.pages.map(({ cable }) => cable.remove()));
  }

  /** One of two sentinels comes to the other's case or leaves it. Returns once the other has heard of it. */
  async passesOn() {
    const [watch, runner] = this.#sentinels;
    if (!this.#busy || !runner.connected) return;
    const comes = runner.record.case === null;
    if (comes) runner.opens(POST);
    else runner.closes();
    await watch.comesToShow((names) => names.includes(runner.record.user.name) === comes);
  }

  /** Two pages to which nothing else happens, over the longest way: by polling. */
  async #postsSentinels() {
    for (const name of ['watch', 'runner']) {
      const tab = { user: { name, type: TYPES[0], address: '198.51.100.99' }, busy: true };
      const client = clients.find(({ transports }) => transports.join() === 'polling');
      tab.page = await this.#opensPage(tab, name, this.#chance, { client, caseRef: POST });
      this.tabs.push(tab);
      await tab.page.isBack();
    }
    this.#sentinels = this.pages.slice(-2);
  }

  /** Failures come to whoever waits for the end of the round. */
  #starts(deed) {
    const running = deed.then(() => this.#running.delete(running));
    running.catch(() => {});
    this.#running.add(running);
  }

  /** Of every eight tabs, two share a browser. */
  async #sitsDown(number) {
    const twin = number % 8 === 1 ? this.tabs.at(-1) : undefined;
    const tab = { user: twin?.user ?? this.#users[number % USERS], busy: false };
    if (number % 8 < 2) tab.share = number % 8;
    this.tabs.push(tab);
    tab.page = await this.#opensPage(tab, twin?.page.agent ?? `Browser/${this.#pages}`, this.#chance);
  }

  async #opensPage(tab, agent, chance, given = {}) {
    const cable = await Cable.lay(this.#port);
    const choices = tab.share === undefined ? clients : clients.filter(({ transports }) => transports[0] === 'polling');
    return new Page({
      number: this.#pages++,
      client: chance.oneOf(choices),
      cable,
      user: tab.user,
      version: chance.oneOf(['2.0.1', '2.1.0-rc_3', '3.0']),
      agent,
      caseRef: this.#picks(tab, chance),
      ...given,
    });
  }

  #picks({ share }, chance) {
    const number = chance.chance(0.25) ? 0 : 1 + chance.below(CASES - 1);
    return caseRef(share === undefined ? number : number - (number % 2) + share);
  }

  /** One thing happens to one tab, unless something else does or its connection is down. */
  async _tab(chance) {
    const tab = chance.oneOf(this.tabs);
    const deed = chance.weighed(DEEDS);
    if (tab.busy || !tab.page.connected || (tab.share !== undefined && NOT_TO_TWINS.includes(deed))) return;
    await this.#during(tab, () => this[`_${deed}`](tab, chance));
  }

  async _stranger(chance) {
    await this.#strangers.comes(chance);
  }

  async _look(chance) {
    await this.#staff.looks(chance);
  }

  async _mistake(chance) {
    await this.#staff.errs(chance);
  }

  /** One after the other, or their order would be nobody's. */
  async _post(chance) {
    if (this.posting) return;
    this.posting = true;
    const format = chance.oneOf(['json', 'form']);
    const kind = chance.weighed({ type: 6, user: 2, pages: 2, everyone: 1 });
    if (kind === 'type') await this.#staff.notifies(chance.oneOf(TYPES), format);
    if (kind === 'user') await this.#staff.tellsUser(chance.oneOf(this.#users), format);
    if (kind === 'everyone') await this.#staff.tellsEveryone(format);
    if (kind === 'pages') {
      const pages = [0, 1, 2].map(() => chance.oneOf(this.pages)).filter((page) => page.connected);
      if (pages.length > 0) await this.#staff.tellsPages(pages, format);
    }
    this.posting = false;
  }

  async _opens(tab, chance) {
    tab.page.opens(this.#picks(tab, chance));
  }

  /** Goes back and forth faster than lists are sent. */
  async _flaps(tab, chance) {
    const { page } = tab;
    for (let n = 2 + chance.below(8); n > 0 && page.connected; n -= 1) {
      if (page.record.case && tab.share === undefined && chance.chance(0.4)) page.closes();
      else page.opens(tab.share === undefined && chance.chance(0.5) ? HOT : this.#picks(tab, chance));
      if (chance.chance(0.5)) await pause(chance.between(0, 40));
    }
  }

  async _closes({ page }, chance) {
    if (page.record.case) page.closes(chance.chance(0.2) ? 'AB-9999-9999' : undefined);
  }

  async _blinks({ page }, chance) {
    page.breaks(chance.oneOf(['pull', 'close']));
    await pause(chance.between(100, 1_200));
    await page.isMended();
  }

  async _fallsSilent({ page }) {
    page.fallsSilent();
    await page.isMended();
  }

  async _isHeldUp({ page }, chance) {
    await page.isHeldUp(pause(chance.between(100, 1_000)));
  }

  /** Its place will have lapsed when it is back, in the next round. */
  async _isCutOff(tab) {
    tab.page.isCutOff();
    this.#away.push(tab);
  }

  async #comesBack(tab, chance) {
    await pause(GHOST - REST + chance.between(500, 3_000));
    await tab.page.isMended();
    if (chance.chance(0.5)) tab.page.opens(this.#picks(tab, chance));
    tab.busy = false;
  }

  async _rejoins(tab, chance) {
    const { page } = tab;
    page.leaves();
    await pause(chance.between(50, 1_500));
    page.rejoins(this.#picks(tab, chance));
    await page.isBack();
  }

  async _isReplaced(tab, chance) {
    tab.page.unloads();
    await this.#turnsOver(tab, chance);
  }

  async _dies(tab, chance) {
    tab.page.dies();
    await this.#turnsOver(tab, chance);
  }

  async _crashes({ page }, chance) {
    page.crashes();
    await pause(chance.between(100, 1_000));
    await page.isMended();
  }

  async _isOfAnother(tab, chance) {
    tab.user = chance.oneOf(this.#users);
    tab.page.isOf(tab.user);
  }

  /** Somebody opens another page there, soon or after the rest. */
  async #turnsOver(tab, chance) {
    this.past.push(tab.page);
    await pause(chance.between(100, 3_000));
    tab.page = await this.#opensPage(tab, `Browser/${this.#pages}`, chance);
    await tab.page.isBack();
  }

  /** What a restart of nginx does, if it is one of several: many connections end in one instant. */
  async #cutsManyOff(chance, delay) {
    await pause(delay);
    const here = this.tabs.filter(({ busy, page }) => chance.chance(0.3) && !busy && page.connected);
    const ending = chance.oneOf(['pull', 'close']);
    here.forEach(({ page }) => page.breaks(ending));
    await Promise.all(
      here.map((tab) =>
        this.#during(tab, async () => {
          await pause(chance.between(200, 900));
          await tab.page.isMended();
        }),
      ),
    );
  }

  async #during(tab, deed) {
    tab.busy = true;
    await deed();
    tab.busy = this.#away.includes(tab);
  }
}

function caseRef(number) {
  return `AB-${String(number).padStart(4, '0')}-${String(number * 7).padStart(4, '0')}`;
}
