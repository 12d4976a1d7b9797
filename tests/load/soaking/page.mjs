// One page in one browser: a client version that users have, and the record of the page.
//
// Lives here: how each client version connects, sends events and disconnects. Not here: when (`traffic.mjs`), whether the
// daemon's lists and messages are right (`model.mjs`).
// Invariant: events are sent only while connected, so that every recorded event was sent.

import { once, EventEmitter } from 'node:events';

import { within } from '../../support/wait.mjs';
import { DELAY, HEARTBEAT, now, stalls } from './clock.mjs';
import { Record } from './record.mjs';

/** Time-out of every wait in milliseconds, long enough for a busy machine. */
const TIMEOUT_MS = 60_000;

/** Counters over all pages. */
export const counts = { connections: 0, reconnects: 0, unplanned: 0, unexplained: 0, sent: 0, lists: 0, messages: 0 };

/** Time at which a connection last broke although the test did not cut it. */
export const trouble = { last: 0 };

export class Page {
  #client;
  #version;
  #headers;
  #refers;
  #socket;
  #news = new EventEmitter();
  /** The case that it opens after the next connect. */
  #first;
  /** Whether the test has ended its connection. */
  #expecting = false;
  #gone = false;
  #past = false;
  /** Time of the last packet from the daemon. */
  #heardAt = 0;

  /** Opens a page of a user on a case, through a relay. */
  constructor({ number, client, relay, user, version, agent, caseRef }) {
    this.agent = agent;
    this.#client = client;
    this.relay = relay;
    this.#version = version;
    // Without polling, browsers send no `Referer`.
    this.#refers = client.transports[0] === 'polling';
    this.#headers = { 'User-Agent': agent, 'X-Real-IP': user.address };
    this.#first = caseRef;
    this.#turnsTo(caseRef);
    this.record = new Record(`page ${number} of ${user.name} (${client.title}, ${agent})`, user, now());
    this.#connects();
  }

  get connected() {
    return this.#socket.connected && !this.#expecting;
  }

  get transport() {
    return this.#socket.io.engine?.transport?.name;
  }

  /** The expected entry of the page in the people map. */
  get entry() {
    const { user, case: caseViewed } = this.record;
    const id = this.#socket.io.engine.id;
    return { username: user.name, id, caseViewed, appVersion: this.#version, userType: user.type };
  }

  opens(caseRef) {
    this.#turnsTo(caseRef);
    this.record.opens(caseRef, now());
    this.#sends('startViewingCase', caseRef);
  }

  /** Leaves its case. `named` is the case in the event, which may be another one. */
  closes(named = this.record.case) {
    this.#turnsTo(null);
    this.record.closes(now());
    this.#sends('stopViewingCase', named);
  }

  /** Identifies as another user. */
  isOf(user) {
    this.record.isOf(user, now());
    this.#identifies();
  }

  /** Disconnects through the client's API. */
  leaves() {
    this.#expecting = true;
    this.record.leaves(now());
    this.#socket.disconnect();
  }

  /** Connects again after `leaves`. */
  rejoins(caseRef) {
    this.#first = caseRef;
    this.#turnsTo(caseRef);
    this.#socket.connect();
  }

  /** The user closes the tab or leaves the page: a websocket sends a close frame, a poll is aborted. */
  unloads() {
    this.#ends();
    const { transport } = this.#socket.io.engine;
    if (transport.name === 'websocket' && transport.ws) {
      // Version 3.1.3 sends a close frame without a status, as after a missed heartbeat.
      const hasStatus = this.#client.version !== '3.1.3';
      if (hasStatus && this.#settled) this.record.leaves(now());
      else this.record.vanishes(now());
      transport.ws.close(...(hasStatus ? [1001] : []));
    } else {
      this.#isDropped();
    }
  }

  /** Ends with its machine, without a close. */
  dies() {
    this.#ends();
    this.#isDropped();
  }

  /** The connection breaks. The daemon may take an aborted poll for a loss or a clean close, so the record says `doubtful`. */
  breaks(ending = 'reset') {
    this.#expecting = true;
    this.record.breaks(now(), this.transport === 'websocket' ? 'seen' : 'doubtful', this.#named);
    this.relay[ending]();
  }

  /** The connection breaks, until after its place has lapsed. */
  isCutOff() {
    this.#expecting = true;
    this.record.vanishes(now());
    this.relay.reset();
  }

  /** Restores the connection after the client has noticed the loss. Returns when it is connected. */
  async isRestored() {
    if (this.#socket.connected) await once(this.#news, 'disconnected');
    this.relay.accept();
    await this.isBack();
  }

  /** The connection falls silent: all bytes are dropped. */
  fallsSilent() {
    this.#expecting = true;
    this.record.breaks(now(), 'unseen', this.#named);
    this.relay.silence();
  }

  /** The browser crashes and opens the page again. */
  crashes() {
    this.breaks();
    this.#abandons();
    this.#connects();
  }

  /** Delays all data until a promise is fulfilled. */
  async isDelayed(time) {
    const from = now();
    this.relay.pause();
    await time;
    this.relay.resume();
    this.record.delayed(from, now());
  }

  /** Waits until the page shows a wanted list, or its connection breaks. */
  async comesToShow(wanted) {
    const shown = async () => {
      while (this.connected && !wanted(this.record.screens.at(-1)?.names ?? [])) await once(this.#news, 'change');
    };
    await within(shown(), () => `${this.record.title} to receive a change`, TIMEOUT_MS);
  }

  /** Waits until the page is connected. */
  async isBack() {
    const back = async () => {
      while (!this.connected) await once(this.#news, 'connected');
    };
    const describe = () => `${this.record.title} to be connected; it ${this.record.log.map(({ what }) => what).join(', ')}`;
    await within(back(), describe, TIMEOUT_MS);
  }

  /** Closes the client without recording it. */
  isOver() {
    this.#ends();
    this.#socket.disconnect();
  }

  get #named() {
    return this.#refers && this.record.case !== null;
  }

  /** Whether all its events have certainly arrived. */
  get #settled() {
    return this.record.stays.every(({ from }) => from < now() - DELAY);
  }

  #connects() {
    const client = this.#client;
    const socket = client.io(`${this.relay.url}/socket.io`, {
      transports: client.transports,
      extraHeaders: this.#headers,
      forceNew: true,
      reconnectionDelay: 50,
      reconnectionDelayMax: 200,
      randomizationFactor: 0,
    });
    const heard = (event, act) => socket.on(event, (payload) => socket === this.#socket && act(payload));
    this.#socket = socket;
    heard('connect', () => this.#isConnected());
    heard('disconnect', (reason) => this.#isDisconnected(reason));
    heard('peopleViewing', (names) => {
      counts.lists += 1;
      this.record.shows(names.map(interned), now());
      this.#news.emit('change');
    });
    heard('notification', ([number]) => {
      counts.messages += 1;
      this.record.notifications.push({ at: now(), number });
    });
    heard('systemMessage', () => {
      counts.messages += 1;
      this.record.systemMessages.push(now());
    });
  }

  #isConnected() {
    if (this.#gone) return;
    counts[this.#past ? 'reconnects' : 'connections'] += 1;
    this.#past = true;
    this.#expecting = false;
    this.#heardAt = now();
    this.#socket.io.engine.on('packet', () => (this.#heardAt = now()));
    this.#identifies();
    const caseIs = this.record.returns(now());
    if (this.#first) {
      this.opens(this.#first);
      this.#first = undefined;
    } else if (caseIs === 'unknown' && this.record.case) {
      this.#sends('startViewingCase', this.record.case);
    }
    this.#news.emit('connected');
  }

  #isDisconnected(reason) {
    this.#news.emit('disconnected');
    this.#news.emit('change');
    if (this.#expecting || this.#gone) return;
    counts.unplanned += 1;
    if (stalls.none(this.#heardAt - HEARTBEAT)) counts.unexplained += 1;
    trouble.last = now();
    this.#expecting = true;
    this.record.broke(now(), this.#heardAt, reason);
  }

  #identifies() {
    const { name, type } = this.record.user;
    this.#sends('identify', { username: name, usertype: type, appVersion: this.#version });
  }

  #sends(event, payload) {
    counts.sent += 1;
    this.#socket.emit(event, payload);
  }

  #turnsTo(caseRef) {
    // Changed in place: the client reads it each time it connects.
    if (this.#refers) this.#headers.Referer = `http://chs.example.org/call_centre/${caseRef ? `${caseRef}/` : ''}`;
  }

  #ends() {
    this.#gone = this.#expecting = true;
    this.#socket.io.reconnection(false);
  }

  /** Ends the client after its relay, so that its clean close does not arrive. */
  #isDropped() {
    this.record.vanishes(now());
    this.relay.reset();
    this.#socket.disconnect();
  }

  #abandons() {
    this.#socket.io.reconnection(false);
    this.#socket.disconnect();
  }
}

/** The names received so far. Equal names share one string, which saves memory. */
const names = new Map();

function interned(name) {
  if (!names.has(name)) names.set(name, name);
  return names.get(name);
}
