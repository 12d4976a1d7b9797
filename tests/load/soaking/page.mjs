// One page in one browser: a client as users have it, and the record of what it says, shows and is told.
//
// Lives here: how each version of the client connects, speaks and goes. Not here: when it does (`traffic.mjs`), whether
// what it is told is right (`ledger.mjs`).
// Invariant: nothing is said but over a connection that is up, so that what is written down was sent.

import { once, EventEmitter } from 'node:events';

import { within } from '../../support/wait.mjs';
import { DELAY, HEARTBEAT, now, stalls } from './clock.mjs';
import { Record } from './ledger.mjs';

/** Longest that anything may take on a machine that is busy elsewhere, too. */
const PATIENCE_MS = 60_000;

/** What is counted over all pages. */
export const counts = { connections: 0, reconnects: 0, unplanned: 0, unexplained: 0, said: 0, lists: 0, messages: 0 };

/** When a line last broke that nobody cut. */
export const trouble = { last: 0 };

export class Page {
  #client;
  #version;
  #headers;
  #refers;
  #socket;
  #news = new EventEmitter();
  /** What it opens as soon as it is connected. */
  #first;
  /** Whether somebody has seen to it that its connection ends. */
  #expecting = false;
  #gone = false;
  #past = false;
  /** When the daemon was last heard. */
  #heardAt = 0;

  /** Opens a page of a user on a case, over a cable. */
  constructor({ number, client, cable, user, version, agent, caseRef }) {
    this.agent = agent;
    this.#client = client;
    this.cable = cable;
    this.#version = version;
    // Over websockets alone, browsers do not send the address of the page.
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

  /** Where it is in the admin app, and what that knows of it. */
  get entry() {
    const { user, case: caseViewed } = this.record;
    const id = this.#socket.io.engine.id;
    return { username: user.name, id, caseViewed, appVersion: this.#version, userType: user.type };
  }

  opens(caseRef) {
    this.#turnsTo(caseRef);
    this.record.opens(caseRef, now());
    this.#says('startViewingCase', caseRef);
  }

  /** Leaves its case, with the name of another one if that is wanted. */
  closes(named = this.record.case) {
    this.#turnsTo(null);
    this.record.closes(now());
    this.#says('stopViewingCase', named);
  }

  /** Somebody else works on with this page. */
  isOf(user) {
    this.record.isOf(user, now());
    this.#identifies();
  }

  /** Ends the connection as an app does that has no more use for it. */
  leaves() {
    this.#expecting = true;
    this.record.leaves(now());
    this.#socket.disconnect();
  }

  /** Connects again after it has left. */
  rejoins(caseRef) {
    this.#first = caseRef;
    this.#turnsTo(caseRef);
    this.#socket.connect();
  }

  /** Is closed by its user, or shows something else: a websocket says so, a poll breaks off. */
  unloads() {
    this.#ends();
    const { transport } = this.#socket.io.engine;
    if (transport.name === 'websocket' && transport.ws) {
      // This version closes without a status, as if it had given up.
      const saysSo = this.#client.version !== '3.1.3';
      if (saysSo && this.#settled) this.record.leaves(now());
      else this.record.vanishes(now());
      transport.ws.close(...(saysSo ? [1001] : []));
    } else {
      this.#isDropped();
    }
  }

  /** Is gone with its machine. */
  dies() {
    this.#ends();
    this.#isDropped();
  }

  /** Its line breaks. Whether a poll that breaks off is a goodbye is told by a tenth of a second: too little to rely on. */
  breaks(ending = 'pull') {
    this.#expecting = true;
    this.record.breaks(now(), this.transport === 'websocket' ? 'seen' : 'doubtful', this.#named);
    this.cable[ending]();
  }

  /** Its line breaks, and stays so for longer than its place does. */
  isCutOff() {
    this.#expecting = true;
    this.record.vanishes(now());
    this.cable.pull();
  }

  /** Its line is mended, not before the client has noticed: a poll may just have ended. Returns once it is back. */
  async isMended() {
    if (this.#socket.connected) await once(this.#news, 'disconnected');
    this.cable.plugIn();
    await this.isBack();
  }

  /** Its line falls silent. */
  fallsSilent() {
    this.#expecting = true;
    this.record.breaks(now(), 'unseen', this.#named);
    this.cable.die();
  }

  /** Its browser crashes and opens the page again. */
  crashes() {
    this.breaks();
    this.#abandons();
    this.#connects();
  }

  /** Nothing gets through until the promise that is returned is kept. */
  async isHeldUp(time) {
    const from = now();
    this.cable.hold();
    await time;
    this.cable.letGo();
    this.record.heldUp(from, now());
  }

  /** Waits until it shows a list that is as wanted, or its line breaks. */
  async comesToShow(wanted) {
    const shown = async () => {
      while (this.connected && !wanted(this.record.screens.at(-1)?.names ?? [])) await once(this.#news, 'change');
    };
    await within(shown(), () => `${this.record.title} to be told of a change`, PATIENCE_MS);
  }

  /** Waits until it is connected, and has been told so by its daemon. */
  async isBack() {
    const back = async () => {
      while (!this.connected) await once(this.#news, 'connected');
    };
    const what = () => `${this.record.title} to be connected; it ${this.record.deeds.map(({ what }) => what).join(', ')}`;
    await within(back(), what, PATIENCE_MS);
  }

  /** Closes what is left of it without a word that anybody would hear. */
  isOver() {
    this.#ends();
    this.#socket.disconnect();
  }

  get #named() {
    return this.#refers && this.record.case !== null;
  }

  /** Whether it said nothing lately that may still be on its way. */
  get #settled() {
    return this.record.stays.every(({ from }) => from < now() - DELAY);
  }

  #connects() {
    const client = this.#client;
    const socket = client.io(`${this.cable.url}/socket.io`, {
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
      this.#says('startViewingCase', this.record.case);
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
    this.#says('identify', { username: name, usertype: type, appVersion: this.#version });
  }

  #says(event, payload) {
    counts.said += 1;
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

  /** Nothing that it sends from now on arrives. */
  #isDropped() {
    this.record.vanishes(now());
    this.cable.pull();
    this.#socket.disconnect();
  }

  #abandons() {
    this.#socket.io.reconnection(false);
    this.#socket.disconnect();
  }
}

/** Names come again and again, each time as a text of its own. */
const names = new Map();

function interned(name) {
  if (!names.has(name)) names.set(name, name);
  return names.get(name);
}
