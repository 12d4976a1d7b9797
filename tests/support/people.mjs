// Users, each connected by one client version over one choice of transports.
//
// Lives here: `Office` (a daemon and its users), `Person` (one user).
// Not here: the table of clients (`clients.mjs`), expectations (the tests).
// Invariant: every event that a person has received is kept, so that a failure shows all of them.

import assert from 'node:assert/strict';
import { EventEmitter, once } from 'node:events';
import { inspect, isDeepStrictEqual } from 'node:util';

import { Daemon } from './daemon.mjs';
import { within } from './wait.mjs';

/** A daemon and the users that are connected to it. */
export class Office {
  #people = [];

  /** Starts a daemon for one test. It stops with the test. */
  static async open(t, options) {
    const office = new Office();
    office.daemon = await Daemon.start(options);
    t.after(() => office.#close());
    return office;
  }

  /** Connects a user, identifies (by a name, or by the full payload of `identify`) and opens a case. */
  async arrives(client, who, caseRef) {
    const person = this.comes(client, who);
    await person.opens(caseRef);
    await person.settles();
    return person;
  }

  /** Begins to connect a user, who identifies at every connect. `url` may be that of a proxy. */
  comes(client, who, url = this.daemon.publicUrl) {
    const identity = typeof who === 'string' ? { username: who, usertype: 'operator', appVersion: '1.0' } : who;
    const person = new Person(client, url, identity);
    this.#people.push(person);
    return person;
  }

  /** The case of each connection of a user, from the people map. */
  async casesOf(username) {
    return (await this.daemon.connectionsOf(username)).map(([, { caseViewed }]) => caseViewed);
  }

  async #close() {
    this.#people.forEach((person) => person.leaves());
    await this.daemon.stop();
  }
}

class Person {
  #client;
  #identity;
  #socket;
  #frames = [];
  #news = new EventEmitter();
  /** For each event name, the position in `#frames` after the last one that a test has waited for. */
  #read = {};

  constructor(client, url, identity) {
    this.#client = client;
    this.#identity = identity;
    this.#socket = client.io(`${url}/socket.io`, {
      transports: client.transports,
      forceNew: true,
      reconnectionDelay: 50,
      reconnectionDelayMax: 100,
      randomizationFactor: 0,
      ...client.options,
    });
    for (const event of ['connect', 'connect_error', 'disconnect', 'peopleViewing', 'systemMessage', 'notification']) {
      this.#socket.on(event, (payload) => this.#note(event, payload));
    }
    // CHS identifies at the first connect and at every later one.
    this.#socket.on('connect', () => this.identifies(this.#identity));
  }

  get name() {
    return this.#identity.username ?? this.#identity;
  }

  identifies(identity) {
    this.#identity = identity;
    this.#socket.emit('identify', identity);
  }

  /** Opens a case and waits until its list names this person. */
  async opens(caseRef) {
    if (!this.#socket.connected) await this.hears('connect');
    this.#read.peopleViewing = this.#frames.length;
    this.says('startViewingCase', caseRef);
    await this.#next('peopleViewing', `naming ${this.name}`, (names) => names.includes(this.name));
  }

  says(event, payload) {
    this.#socket.emit(event, payload);
  }

  leaves() {
    this.#socket.disconnect();
  }

  /** Makes the client close its connection as after a missed heartbeat, and reconnect. */
  cutOff() {
    const { engine } = this.#socket.io;
    // The name changed in client 3.
    (engine.onClose ?? engine._onClose).call(engine, 'ping timeout');
  }

  /** Waits for the next event of a name after the last one waited for, with exactly this payload if one is given. */
  hears(event, ...expected) {
    const matches = (payload) => expected.length === 0 || isDeepStrictEqual(payload, expected[0]);
    return this.#next(event, expected.map((payload) => JSON.stringify(payload)).join(), matches);
  }

  /** Waits until the person's screen shows exactly this list. Returns at once if it already does. */
  async shows(names) {
    if (!isDeepStrictEqual(this.screens.at(-1), names)) await this.hears('peopleViewing', names);
  }

  /** The payloads of all events of a name so far. */
  heard(event) {
    return this.#frames.filter((frame) => frame.event === event).map(({ payload }) => payload);
  }

  /** The lists that the person's screen has shown so far, in order. Equal lists in a row count once. */
  get screens() {
    return this.heard('peopleViewing').filter((list, at, all) => !isDeepStrictEqual(list, all[at - 1]));
  }

  /** Waits until the connection uses its last transport. */
  async settles() {
    const { engine } = this.#socket.io;
    const wanted = this.#client.transports.at(-1);
    const upgraded = new Promise((resolve) => engine.once('upgrade', resolve));
    if (engine.transport.name !== wanted) await within(upgraded, () => `${this} to reach ${wanted}`);
    assert.equal(engine.transport.name, wanted);
  }

  toString() {
    return `${this.name} (${this.#client.title})`;
  }

  #note(event, payload) {
    this.#frames.push({ event, payload });
    this.#news.emit('frame');
  }

  async #next(event, described, matches) {
    const position = () =>
      this.#frames.findIndex(
        (frame, at) => at >= (this.#read[event] ?? 0) && frame.event === event && matches(frame.payload),
      );
    const heard = async () => {
      while (position() < 0) await once(this.#news, 'frame');
      return position();
    };
    const at = await within(heard(), () => `${this} to hear ${event} ${described}; heard so far:\n${this.#diary()}`);
    this.#read[event] = at + 1;
    return this.#frames[at].payload;
  }

  #diary() {
    return this.#frames.map(({ event, payload }) => `  ${event} ${inspect(payload, { depth: 5 })}`).join('\n');
  }
}
