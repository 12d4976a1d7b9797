// An office full of people: 200 of them on 50 cases, each at a page in Chromium (or in a frame of one) that has the
// address of the case and the client of CHS. To the daemon all of them are one browser at one address, as an office is that
// has the same browser everywhere. survive.bash says what is done to them; this says whether anybody noticed.
//
//   node office.mjs
//
// Runs in the network of the box. Takes an order a line on its standard input and answers it with lines that explain,
// then `ok` or `no`. Closes the browser when the input ends.
//
//   open          everybody sits down
//   brace         some turn to other cases; after that something may be done to all connections
//   back          that was done: everybody has to lose their connection and come back, with nobody noticing
//   tour          visitors come to every case, everybody is told of them, and every screen is right
//   close         somebody closes their tab, and others are told at once
//   reload        somebody reloads their page, and so on
//   navigate      somebody goes to another case by loading its page, and so on
import { createInterface } from 'node:readline';
import { setTimeout as pause } from 'node:timers/promises';

import { launch } from '../support/browser.mjs';
import { vanished } from './witness.mjs';

const site = 'http://127.0.0.1';
const peopleMap = 'http://127.0.0.1:8006/admin/peopleMap/';
const cases = Array.from({ length: 50 }, (_, row) => `AB-1234-${5650 + row}`);
const seatsOfCase = 4;
// Of browsers' profiles. Each has its own pool of connections, as every person of a real office has.
const halls = 10;
const patience = 20_000;
// Far below the time for which lost places are kept.
const atOnceMs = 2_000;
// A crash may cost what was done in the last second: places are written down that often.
const writtenDownMs = 1_100;

/** A page, and where whoever sits at it is. */
class Seat {
  gone = false;
  connected = false;
  losses = 0;
  returns = 0;
  list = [];
  /** Whether the list was sent to this connection, and on this case. */
  fresh = false;
  /** Whether the last turn to another case was made without a connection. */
  turnedAway = false;
  longestAwayMs = 0;

  constructor(number) {
    this.row = Math.floor(number / seatsOfCase);
    this.chair = number % seatsOfCase;
    this.id = `${this.row}.${this.chair}`;
    this.case = cases[this.row];
    this.name = this.isOfTwoTabs ? `Zoë ${group(this.row)}` : nameOf(this.row, this.chair);
  }

  // The first two chairs of a case never leave it, so that somebody always watches; the third chair is movers'.

  /** Goes round five cases, so that everybody on them is sent a list. */
  get isVisitor() {
    return this.chair === 3 && this.row % 5 === 0;
  }

  /** Two of these are the same person, who has two cases open. */
  get isOfTwoTabs() {
    return this.chair === 3 && [1, 2].includes(this.row % 5);
  }

  /** Has a tab, which can be closed and reloaded, where others have a frame. */
  get isTab() {
    return this.chair === 3 && this.row % 5 === 3;
  }

  address(caseRef = this.case) {
    const settings = { seat: this.id, server: site, name: this.name, usertype: 'operator', caseRef };
    return `${site}/call_centre/${caseRef}/?${new URLSearchParams(settings)}`;
  }

  hear({ at, what, to, names }) {
    switch (what) {
      case 'opens':
        return Object.assign(this, { case: to, fresh: false, connected: false, gone: false });
      case 'turns':
        return Object.assign(this, { case: to, fresh: false, turnedAway: !this.connected });
      case 'leaves':
        return (this.gone = true);
      case 'disconnects':
        this.losses += 1;
        return Object.assign(this, { connected: false, lostAt: at });
      case 'connects':
        this.returns += 1;
        this.longestAwayMs = Math.max(this.longestAwayMs, at - (this.lostAt ?? at));
        return Object.assign(this, { connected: true, fresh: false });
      case 'list':
        return Object.assign(this, { list: names, fresh: true });
    }
  }
}

class Office {
  seats = Array.from({ length: cases.length * seatsOfCase }, (_, number) => new Seat(number));
  pages = new Set();
  events = [];
  /** Where browsers said that they were when they asked for connections. */
  handshakes = [];
  round = 0;

  constructor(browser) {
    this.browser = browser;
  }

  // Orders.

  async open() {
    await Promise.all(Array.from({ length: halls }, (_, hall) => this.#openHall(hall)));
    await this.#settle();
    const seats = this.seats.filter(({ id }) => !this.handshakes.some(({ seat }) => seat === id));
    if (seats.length > 0) throw new Error(`handshakes without the address of the page: ${seats.map(({ id }) => id)}`);
    return `${this.present.length} people on ${cases.length} cases`;
  }

  async brace() {
    this.round += 1;
    const movers = { now: this.#movers(0), whenLost: this.#movers(1), whenTrying: this.#movers(2) };
    for (const seat of movers.now) await this.#turn(seat, 'turnTo');
    await this.#settle();
    for (const seat of movers.whenLost) await this.#turn(seat, 'turnWhenLost');
    for (const seat of movers.whenTrying) await this.#turn(seat, 'turnWhenTrying');
    await pause(writtenDownMs);
    await this.#listen();
    this.before = new Map(this.seats.map((seat) => [seat, { ...seat }]));
    this.seats.forEach((seat) => Object.assign(seat, { longestAwayMs: 0, turnedAway: false }));
    this.movers = movers;
    this.began = Date.now();
    return Object.entries(movers).map(([when, seats]) => `${seats.length} turn to another case ${when}`);
  }

  async back() {
    const troubles = [];
    const attempt = (step) => step.catch((error) => troubles.push(error.message));
    // Were nobody cut off, this would prove nothing.
    await attempt(this.#until(() => this.#stillAway()));
    await attempt(this.#settle());
    troubles.push(...this.#wrongHandshakes());
    const turned = [...this.movers.whenLost, ...this.movers.whenTrying];
    troubles.push(...turned.filter((seat) => !seat.turnedAway).map(({ id }) => `${id} did not turn to another case while away`));
    if (troubles.length === 0) await attempt(this.#tour());
    const lists = this.events.filter(({ at, what }) => what === 'list' && at >= this.began);
    troubles.push(...this.#missing());
    if (troubles.length === 0 && !this.#wouldBeSeen(lists)) troubles.push('a list without somebody would not have been noticed');
    if (troubles.length > 0) throw new Error(troubles.join('\n'));
    const slowest = Math.max(...this.present.map(({ longestAwayMs }) => longestAwayMs));
    return `${this.present.length} people were cut off and came back, the slowest after ${slowest} ms; ${lists.length} lists, nobody missing`;
  }

  async tour() {
    const began = this.events.length;
    await this.#tour();
    const missing = this.#missing();
    if (missing.length > 0) throw new Error(missing.join('\n'));
    return `${this.events.length - began} events, nobody missing`;
  }

  close() {
    const [seat] = this.#atTabs();
    return this.#toldOfLeaving(seat, async () => {
      this.pages.delete(seat.page);
      // As a person closes it; without this, Chromium drops the page.
      await seat.page.close({ runBeforeUnload: true });
    });
  }

  reload() {
    const [seat] = this.#atTabs();
    return this.#toldOfLeaving(seat, () => seat.page.reload());
  }

  navigate() {
    const [seat] = this.#atTabs();
    const to = elsewhere(seat);
    return this.#toldOfLeaving(seat, () => seat.page.goto(seat.address(to)));
  }

  async leave() {
    await Promise.all(this.browser.contexts().map((context) => context.close()));
  }

  // What orders are made of.

  /**
   * Most people of a hall sit in frames, which cost less than tabs and say in their requests where they are as well.
   * Hidden, so that nothing is drawn; scripts and connections do not know.
   */
  async #openHall(hall) {
    const context = await this.browser.newContext();
    context.on('request', (request) => this.#noteHandshake(request));
    const seats = this.seats.filter((_, number) => number % halls === hall);
    const page = await this.#openPage(context, `${site}/hall.html`);
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

  /** Those in the third chairs, by turns: what they do in this round. */
  #movers(what) {
    return this.seats.filter(({ row, chair }) => chair === 2 && (row + this.round) % 5 === what);
  }

  #atTabs() {
    return this.present.filter(({ isTab }) => isTab);
  }

  #turn(seat, how, to = elsewhere(seat)) {
    return seat.frame.evaluate(([how, to]) => window[how](to), [how, to]);
  }

  /** Hears of everything that has happened until now. */
  async #listen() {
    const read = () => Array.from([window, ...Array.from(frames)], (page) => page.readJournal?.()).filter(Boolean);
    const told = await Promise.all(Array.from(this.pages, (page) => page.evaluate(read)));
    for (const { seat: id, transport, events } of told.flat()) {
      const seat = this.seats.find((seat) => seat.id === id);
      seat.transport = transport;
      events.forEach((event) => seat.hear(event));
      this.events.push(...events);
    }
  }

  /** Waits until there is nothing to object to. */
  async #until(objections, ms = patience) {
    const deadline = Date.now() + ms;
    for (;;) {
      await this.#listen();
      const left = await objections();
      if (left.length === 0) return;
      if (Date.now() > deadline) throw new Error(`${left.length} things are still wrong after ${ms} ms:\n${left.slice(0, 8).join('\n')}`);
      await pause(250);
    }
  }

  /** Waits until every screen, and the daemon itself, say where everybody is. */
  #settle(ms = patience) {
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
      ...without(expected, found).map((place) => `the daemon does not know of ${place}`),
      ...without(found, expected).map((place) => `the daemon thinks of ${place}`),
      ...places.filter(({ lost }) => lost).map(({ place }) => `the daemon still waits for ${place}`),
    ];
  }

  #stillAway() {
    const away = this.present.filter((seat) => {
      const before = this.before.get(seat);
      return seat.losses === before.losses || seat.returns === before.returns || !seat.connected;
    });
    return away.map(({ id, losses }) => `${id} was ${losses > 0 ? 'cut off and is not back' : 'not cut off'}`);
  }

  /** A browser has to say where it is, or nothing was proved of what the daemon makes of it. */
  #wrongHandshakes() {
    const recent = groupedBy(this.handshakes.filter(({ at }) => at >= this.began), ({ seat }) => seat);
    return this.present.flatMap((seat) => {
      const said = recent.get(seat.id)?.map((handshake) => handshake.case) ?? [];
      const expected = this.movers.whenTrying.includes(seat) ? this.before.get(seat).case : seat.case;
      return said.includes(expected) ? [] : `${seat.id} asked for a connection from ${said}, not ${expected}`;
    });
  }

  /** Visitors come to every case: whoever is in its room, and nobody else, hears of them. */
  async #tour() {
    const visitors = this.present.filter(({ isVisitor }) => isVisitor);
    const began = Date.now();
    for (const step of [1, 2, 3, 4, 0]) {
      await Promise.all(visitors.map((seat) => this.#turn(seat, 'turnTo', cases[seat.row + step])));
      const lonely = () => visitors.filter((seat) => !seat.list.includes(nameOf(seat.row + step, 0)));
      await this.#until(() => lonely().map(({ id, case: caseRef }) => `${id} sees nobody on ${caseRef}`));
    }
    await this.#settle();
    const lists = groupedBy(this.events.filter(({ at, what }) => what === 'list' && at >= began), ({ seat }) => seat);
    const unaware = this.present.filter((seat) => {
      const row = cases.indexOf(seat.case);
      return !lists.get(seat.id)?.some(({ names }) => names.includes(nameOf(row - (row % 5), 3)));
    });
    if (unaware.length > 0) throw new Error(`not told of somebody who came: ${unaware.map(({ id }) => id)}`);
  }

  #missing() {
    const missing = vanished(this.events);
    const shown = missing.slice(0, 8).map(({ at, seat, case: caseRef, names, missing }) => {
      return `${seat} on ${caseRef} was shown ${names} without ${missing}, ${at - this.began} ms after it began`;
    });
    return missing.length > 0 ? [`${missing.length} lists lack somebody who was there:`, ...shown] : [];
  }

  /** Whether one name fewer on one of the lists would be noticed. */
  #wouldBeSeen(lists) {
    const list = lists.findLast(({ names }) => names.length > 1);
    const forged = { ...list, names: list?.names.filter((name) => name !== list.names[0]) };
    return vanished(this.events.map((event) => (event === list ? forged : event))).length === vanished(this.events).length + 1;
  }

  /** How long it took until the last of the others on the case was told. */
  async #toldOfLeaving(seat, leave) {
    const others = this.present.filter((other) => other !== seat && other.case === seat.case);
    const left = { at: Date.now(), seat: seat.id, what: 'leaves' };
    this.events.push(left);
    seat.hear(left);
    await leave();
    const tells = ({ at, what, names }) => what === 'list' && at >= left.at && !names.includes(seat.name);
    const toldAt = (other) => this.events.find((event) => event.seat === other.id && tells(event))?.at;
    await this.#until(() => others.filter((other) => !toldAt(other)).map(({ id }) => `${id} was not told that ${seat.id} has left`));
    await this.#settle();
    const slowest = Math.max(...others.map((other) => toldAt(other) - left.at));
    if (slowest > atOnceMs) throw new Error(`${slowest} ms until everybody was told`);
    return `${others.length} others were told within ${slowest} ms`;
  }
}

function nameOf(row, chair) {
  return `名 ${row}.${chair}`;
}

function group(row) {
  return Math.floor(row / 5);
}

function elsewhere(seat) {
  return cases[(cases.indexOf(seat.case) + cases.length / 2) % cases.length];
}

/** How peopleMap and this file call somebody on a case. */
function place(seat) {
  return `${seat.case} ${seat.name}`;
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

/** The first list without one of each item of the second. */
function without(items, taken) {
  const left = [...items];
  for (const item of taken) {
    const at = left.indexOf(item);
    if (at >= 0) left.splice(at, 1);
  }
  return left;
}

const orders = ['open', 'brace', 'back', 'tour', 'close', 'reload', 'navigate'];
const browser = await launch();
let office = new Office(browser);
let sound = true;
for await (const order of createInterface({ input: process.stdin })) {
  try {
    if (!orders.includes(order)) throw new Error(`no such order: ${order}`);
    if (!sound) {
      // What went wrong before is not to be held against what comes now.
      await office.leave();
      office = new Office(browser);
      await office.open();
      sound = true;
    }
    console.log([await office[order]()].flat().join('\n'));
    console.log('ok');
  } catch (error) {
    sound = false;
    console.log(error.message.startsWith('[') ? error.stack : error.message);
    console.log('no');
  }
}
await browser.close();
