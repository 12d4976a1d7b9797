// An office of 200 users on 50 cases, each with a page in Chromium (most of them in a frame) that has the address of the
// case and the client of CHS. All users have the same address and the same `User-Agent`, as behind the NAT of an office.
// survive.bash causes failures; this program checks that no user notices them.
//
//   node office.mjs
//
// Runs in the network of the box. Reads one order per line from standard input, and answers with lines of text, then `ok` or
// `no`. Closes the browser at the end of the input.
//
//   open          opens all pages
//   prepare       some users switch cases, or will do so when disconnected; then survive.bash may break all connections
//   recover       waits until all users were disconnected and are back, and checks that no list lacked a user
//   tour          roaming users open every case in turn; checks that all viewers receive them and all screens are right
//   close         closes a tab; the other viewers must receive a list without its user at once
//   reload        the same for a reload of the page
//   navigate      the same for loading the page of another case
import { createInterface } from 'node:readline';
import { setTimeout as pause } from 'node:timers/promises';

import { launch } from '../support/browser.mjs';
import { cases, elsewhere, nameOf, place, Seat, seatCount, site } from './seat.mjs';
import { vanished } from './witness.mjs';

const peopleMap = 'http://127.0.0.1:8006/admin/peopleMap/';
// Number of browser profiles. Each has its own pool of connections.
const profiles = 10;
const timeoutMs = 20_000;
// Far below the time for which lost places are kept.
const atOnceMs = 2_000;
// Pause after which all changes are in the places file, which is written once a second.
const writtenMs = 1_100;

class Office {
  seats = Array.from({ length: seatCount }, (_, number) => new Seat(number));
  pages = new Set();
  events = [];
  /** Handshakes of the pages: `{ at, seat, case }`, from the `Referer`. */
  handshakes = [];
  round = 0;

  constructor(browser) {
    this.browser = browser;
  }

  // Orders.

  async open() {
    await Promise.all(Array.from({ length: profiles }, (_, profile) => this.#openProfile(profile)));
    await this.#settle();
    const seats = this.seats.filter(({ id }) => !this.handshakes.some(({ seat }) => seat === id));
    if (seats.length > 0) throw new Error(`handshakes without a Referer: ${seats.map(({ id }) => id)}`);
    return `${this.present.length} users on ${cases.length} cases`;
  }

  async prepare() {
    this.round += 1;
    const movers = { now: this.#movers(0), whenLost: this.#movers(1), whenTrying: this.#movers(2) };
    for (const seat of movers.now) await this.#switch(seat, 'switchTo');
    await this.#settle();
    for (const seat of movers.whenLost) await this.#switch(seat, 'switchWhenLost');
    for (const seat of movers.whenTrying) await this.#switch(seat, 'switchWhenTrying');
    await pause(writtenMs);
    await this.#readJournals();
    this.before = new Map(this.seats.map((seat) => [seat, { ...seat }]));
    this.seats.forEach((seat) => Object.assign(seat, { longestAwayMs: 0, switchedAway: false }));
    this.movers = movers;
    this.began = Date.now();
    return Object.entries(movers).map(([when, seats]) => `${seats.length} switch cases (${when})`);
  }

  async recover() {
    const troubles = [];
    const attempt = (step) => step.catch((error) => troubles.push(error.message));
    // A user who was not disconnected is an error too: the test would prove nothing.
    await attempt(this.#until(() => this.#notBack()));
    await attempt(this.#settle());
    troubles.push(...this.#wrongHandshakes());
    const switched = [...this.movers.whenLost, ...this.movers.whenTrying];
    troubles.push(...switched.filter((seat) => !seat.switchedAway).map(({ id }) => `${id} did not switch cases while disconnected`));
    if (troubles.length === 0) await attempt(this.#tour());
    const lists = this.events.filter(({ at, what }) => what === 'list' && at >= this.began);
    troubles.push(...this.#missing());
    if (troubles.length === 0 && !this.#detectsMissing(lists)) troubles.push('this program would not notice a list that lacks a user');
    if (troubles.length > 0) throw new Error(troubles.join('\n'));
    const slowest = Math.max(...this.present.map(({ longestAwayMs }) => longestAwayMs));
    return `${this.present.length} users were disconnected and are back, the slowest after ${slowest} ms; ${lists.length} lists are complete`;
  }

  async tour() {
    const began = this.events.length;
    await this.#tour();
    const missing = this.#missing();
    if (missing.length > 0) throw new Error(missing.join('\n'));
    return `${this.events.length - began} events, all lists are complete`;
  }

  close() {
    const [seat] = this.#atTabs();
    return this.#checkLeaving(seat, async () => {
      this.pages.delete(seat.page);
      // As when a user closes the tab. Without the option, Chromium ends the page without its unload handlers.
      await seat.page.close({ runBeforeUnload: true });
    });
  }

  reload() {
    const [seat] = this.#atTabs();
    return this.#checkLeaving(seat, () => seat.page.reload());
  }

  navigate() {
    const [seat] = this.#atTabs();
    const to = elsewhere(seat);
    return this.#checkLeaving(seat, () => seat.page.goto(seat.address(to)));
  }

  async leave() {
    await Promise.all(this.browser.contexts().map((context) => context.close()));
  }

  // Parts of the orders.

  /**
   * Opens the pages of one browser profile. Most are frames of one page: they need less memory than tabs, and their requests
   * have a `Referer` as well. They are hidden, so that nothing is drawn.
   */
  async #openProfile(profile) {
    const context = await this.browser.newContext();
    context.on('request', (request) => this.#noteHandshake(request));
    const seats = this.seats.filter((_, number) => number % profiles === profile);
    const page = await this.#openPage(context, `${site}/frames.html`);
    await page.evaluate(
      (seats) => {
        const frames = seats.map(([name, src]) => Object.assign(document.createElement('iframe'), { name, src, hidden: true }));
        document.body.append(...frames);
        return Promise.all(frames.map((frame) => new Promise((resolve) => (frame.onload = resolve))));
      },
      seats.filter(({ isTab }) => !isTab).map((seat) => [seat.id, seat.address()]),
    );
    for (const seat of seats) {
      if (seat.isTab) seat.page = await this.#openPage(context, seat.address());
      seat.frame = seat.isTab ? seat.page.mainFrame() : page.frame({ name: seat.id });
    }
  }

  async #openPage(context, address) {
    const page = await context.newPage();
    page.on('pageerror', (error) => console.log(`a page failed: ${error}`));
    await page.goto(address);
    this.pages.add(page);
    return page;
  }

  #noteHandshake(request) {
    const { pathname, searchParams } = new URL(request.url());
    if (pathname !== '/socket.io/' || searchParams.has('sid')) return;
    const { referer } = request.headers();
    if (!referer) return;
    const page = new URL(referer);
    this.handshakes.push({ at: Date.now(), seat: page.searchParams.get('seat'), case: page.pathname.split('/')[2] });
  }

  get present() {
    return this.seats.filter(({ gone }) => !gone);
  }

  /** The users on chair 2 who switch cases in this round, at one of three moments. */
  #movers(what) {
    return this.seats.filter(({ row, chair }) => chair === 2 && (row + this.round) % 5 === what);
  }

  #atTabs() {
    return this.present.filter(({ isTab }) => isTab);
  }

  #switch(seat, how, to = elsewhere(seat)) {
    return seat.frame.evaluate(([how, to]) => window[how](to), [how, to]);
  }

  /** Reads the journals of all pages and updates the seats. */
  async #readJournals() {
    const read = () => Array.from([window, ...Array.from(frames)], (page) => page.readJournal?.()).filter(Boolean);
    const journals = await Promise.all(Array.from(this.pages, (page) => page.evaluate(read)));
    for (const { seat: id, transport, events } of journals.flat()) {
      const seat = this.seats.find((seat) => seat.id === id);
      seat.transport = transport;
      events.forEach((event) => seat.update(event));
      this.events.push(...events);
    }
  }

  /** Waits until `problems` returns none. */
  async #until(problems, ms = timeoutMs) {
    const deadline = Date.now() + ms;
    for (;;) {
      await this.#readJournals();
      const left = await problems();
      if (left.length === 0) return;
      if (Date.now() > deadline) throw new Error(`${left.length} problems after ${ms} ms:\n${left.slice(0, 8).join('\n')}`);
      await pause(250);
    }
  }

  /** Waits until every screen and the people map are right. */
  #settle(ms = timeoutMs) {
    return this.#until(async () => [...this.#wrongScreens(), ...(await this.#wrongPlaces())], ms);
  }

  #wrongScreens() {
    const viewers = groupedBy(this.present, (seat) => seat.case);
    return this.present.flatMap((seat) => {
      const expected = distinct(viewers.get(seat.case).map(({ name }) => name));
      if (seat.connected && seat.transport === 'websocket' && seat.fresh && same(seat.list, expected)) return [];
      const connection = seat.connected ? seat.transport : 'no connection';
      return `${seat.id} on ${seat.case} (${connection}), whose ${seat.fresh ? 'last' : 'outdated'} list is ${seat.list}, not ${expected}`;
    });
  }

  async #wrongPlaces() {
    const people = Object.values(await (await fetch(peopleMap)).json());
    const places = people.flatMap(({ username, connections }) =>
      Object.values(connections).map(({ caseViewed, lost }) => ({ place: `${caseViewed} ${username}`, lost })),
    );
    const found = places.filter(({ lost }) => !lost).map(({ place }) => place);
    const expected = this.present.map(place);
    return [
      ...without(expected, found).map((place) => `the people map lacks ${place}`),
      ...without(found, expected).map((place) => `the people map has too much: ${place}`),
      ...places.filter(({ lost }) => lost).map(({ place }) => `the people map counts as lost: ${place}`),
    ];
  }

  #notBack() {
    const away = this.present.filter((seat) => {
      const before = this.before.get(seat);
      return seat.losses === before.losses || seat.returns === before.returns || !seat.connected;
    });
    return away.map(({ id, losses }) => `${id} was ${losses > 0 ? 'disconnected and is not back' : 'not disconnected'}`);
  }

  /** Handshakes whose `Referer` does not name the case. Without it, the test would not show how the daemon uses it. */
  #wrongHandshakes() {
    const recent = groupedBy(this.handshakes.filter(({ at }) => at >= this.began), ({ seat }) => seat);
    return this.present.flatMap((seat) => {
      const said = recent.get(seat.id)?.map((handshake) => handshake.case) ?? [];
      const expected = this.movers.whenTrying.includes(seat) ? this.before.get(seat).case : seat.case;
      return said.includes(expected) ? [] : `${seat.id} connected from the page of ${said}, not ${expected}`;
    });
  }

  /** The roaming users open every case in turn. All its viewers must receive them. */
  async #tour() {
    const roaming = this.present.filter(({ isRoaming }) => isRoaming);
    const began = Date.now();
    for (const step of [1, 2, 3, 4, 0]) {
      await Promise.all(roaming.map((seat) => this.#switch(seat, 'switchTo', cases[seat.row + step])));
      const withoutList = () => roaming.filter((seat) => !seat.list.includes(nameOf(seat.row + step, 0)));
      await this.#until(() => withoutList().map(({ id, case: caseRef }) => `${id} has no list of ${caseRef}`));
    }
    await this.#settle();
    const lists = groupedBy(this.events.filter(({ at, what }) => what === 'list' && at >= began), ({ seat }) => seat);
    const uninformed = this.present.filter((seat) => {
      const row = cases.indexOf(seat.case);
      return !lists.get(seat.id)?.some(({ names }) => names.includes(nameOf(row - (row % 5), 3)));
    });
    if (uninformed.length > 0) throw new Error(`did not receive a roaming user: ${uninformed.map(({ id }) => id)}`);
  }

  #missing() {
    const missing = vanished(this.events);
    const shown = missing.slice(0, 8).map(({ at, seat, case: caseRef, names, missing }) => {
      return `${seat} on ${caseRef} was shown ${names} without ${missing}, ${at - this.began} ms after it began`;
    });
    return missing.length > 0 ? [`${missing.length} lists lack a user who was on the case:`, ...shown] : [];
  }

  /**
   * Whether this program notices when one of the last lists lacks its first name. It cannot in every list: the first user of a
   * list may have come to the case with it.
   */
  #detectsMissing(lists) {
    const noticed = vanished(this.events).length;
    return lists.slice(-10).some((list) => {
      const forged = { ...list, names: list.names.slice(1) };
      return vanished(this.events.map((event) => (event === list ? forged : event))).length === noticed + 1;
    });
  }

  /** Checks that the other viewers of the case receive a list without the user at once. */
  async #checkLeaving(seat, leave) {
    const others = this.present.filter((other) => other !== seat && other.case === seat.case);
    const left = { at: Date.now(), seat: seat.id, what: 'leaves' };
    this.events.push(left);
    seat.update(left);
    await leave();
    const isUpdate = ({ at, what, names }) => what === 'list' && at >= left.at && !names.includes(seat.name);
    const updatedAt = (other) => this.events.find((event) => event.seat === other.id && isUpdate(event))?.at;
    await this.#until(() => others.filter((other) => !updatedAt(other)).map(({ id }) => `${id} has no list without ${seat.id}`));
    await this.#settle();
    const slowest = Math.max(...others.map((other) => updatedAt(other) - left.at));
    if (slowest > atOnceMs) throw new Error(`the last viewer received the list after ${slowest} ms`);
    return `${others.length} viewers received the list within ${slowest} ms`;
  }
}

function groupedBy(items, key) {
  const groups = new Map();
  for (const item of items) groups.set(key(item), [...(groups.get(key(item)) ?? []), item]);
  return groups;
}

function distinct(names) {
  return [...new Set(names)];
}

function same(some, others) {
  return JSON.stringify([...some].sort()) === JSON.stringify([...others].sort());
}

/** The first list without the items of the second, each removed once. */
function without(items, taken) {
  const left = [...items];
  for (const item of taken) {
    const at = left.indexOf(item);
    if (at >= 0) left.splice(at, 1);
  }
  return left;
}

const orders = ['open', 'prepare', 'recover', 'tour', 'close', 'reload', 'navigate'];
const browser = await launch();
let office = new Office(browser);
let isIntact = true;
for await (const order of createInterface({ input: process.stdin })) {
  try {
    if (!orders.includes(order)) throw new Error(`no such order: ${order}`);
    if (!isIntact) {
      // Starts again after an error, so that it does not affect the next order.
      await office.leave();
      office = new Office(browser);
      await office.open();
      isIntact = true;
    }
    console.log([await office[order]()].flat().join('\n'));
    console.log('ok');
  } catch (error) {
    isIntact = false;
    console.log(error.message.startsWith('[') ? error.stack : error.message);
    console.log('no');
  }
}
await browser.close();
