// The record of one page: what it sent, showed and received, and what follows from that about its place.
//
// Lives here: when the page was on which case, certainly or possibly; when its screen and its messages are uncertain.
// Not here: judging screens and messages (`model.mjs`), the page itself (`page.mjs`).

import { DELAY, GRACE, HEARTBEAT, MAX_STALE, PING_TIMEOUT, stalls } from './clock.mjs';

/** A page that reconnects this long before its place lapses certainly takes it over. */
const MARGIN = 1_000;

/** One page, from when it is opened until it is closed. */
export class Record {
  /** Stays on cases: `{ user, case, from, sure, gone }`. Certainly there until `sure`, certainly not after `gone`. */
  stays = [];
  /** Users of the page: `{ user, from }`. */
  owners;
  /** Lists that the page showed: `{ at, names }`. Equal lists in a row are one entry. */
  screens = [];
  /** Spans in which the screen may have been outdated: `{ from, to }`. */
  outdated = [];
  /**
   * Spans in which a message may be lost or repeated: `{ from, to, least, only }`. The page gets each message at least
   * `least` times. With `only`, the span concerns the messages to that audience.
   */
  uncertain = [];
  /** Notifications received: `{ at, number }`. */
  notifications = [];
  /** Times at which system messages were received. */
  systemMessages = [];
  /** Everything that happened to the page, for error reports: `{ at, what, case }`. */
  log = [];
  /** Set while the connection is lost: since when, and what the model expects after the reconnect. */
  #absence;
  /** Time until which places of earlier connections may exist. */
  #staleUntil = 0;
  /** Time since which such places may exist. */
  #staleSince = Infinity;

  constructor(title, user, at) {
    this.title = title;
    this.owners = [{ user, from: at }];
    this.opened = at;
    this.#addUnsettled(at, Infinity);
  }

  get user() {
    return this.owners.at(-1).user;
  }

  /** The case that the page is on, or null. */
  get case() {
    return this.#stay?.case ?? null;
  }

  /** The page is connected and has identified. */
  connected(at) {
    this.uncertain.at(-1).to = this.outdated.at(-1).to = at + DELAY;
  }

  opens(caseRef, at) {
    this.closes(at);
    this.#did(`opens ${caseRef}`, at, caseRef);
    this.stays.push({ user: this.user, case: caseRef, from: at, sure: Infinity, gone: Infinity });
  }

  closes(at) {
    const stay = this.#stay;
    if (!stay) return;
    this.#did(`leaves ${stay.case}`, at);
    stay.sure = at;
    // The place of an earlier connection may exist for longer, if the daemon has not noticed its loss yet.
    stay.gone = stay.from <= this.#staleSince && at < this.#staleUntil ? this.#staleUntil : at;
  }

  /** The page identifies as another user. */
  isOf(user, at) {
    const caseRef = this.case;
    this.#did(`identifies as ${user.name}`, at);
    this.closes(at);
    this.owners.push({ user, from: at });
    if (caseRef) this.opens(caseRef, at);
    this.#addUnsettled(at - DELAY, at + DELAY);
  }

  /** The page closed its connection cleanly. */
  leaves(at) {
    this.#did('closes its connection cleanly', at);
    this.closes(at);
    this.#addUnsettled(at - DELAY, Infinity);
  }

  /** The connection ended without a clean close, or with one that may not have arrived. */
  vanishes(at) {
    this.#did('ends without a certain clean close', at);
    for (const stay of this.stays.filter(({ gone }) => gone > at - DELAY)) {
      stay.sure = Math.min(stay.sure, at);
      stay.gone = at + MAX_STALE;
    }
    this.#leavesStalePlace(at);
    this.#addUnsettled(at - HEARTBEAT, Infinity);
  }

  /** The connection was delayed, for less than the heartbeat time-out. */
  delayed(from, to) {
    this.#did(`is delayed for ${Math.round(to - from)} ms`, from);
    this.outdated.push({ from, to: to + DELAY });
  }

  /**
   * The connection breaks. `sign` says how the daemon notices: as a loss at once (`seen`), as a loss later (`unseen`), or
   * perhaps as a clean close (`doubtful`). `named`: the page sends its case in the `Referer` when it reconnects.
   */
  breaks(at, sign, named) {
    this.#did(`loses its connection (${sign})`, at);
    const settled = at > this.#lastSent + DELAY && this.outdated.every(({ to }) => to < at);
    const alone = at > this.#staleUntil;
    const keeps = { seen: alone || named, unseen: named, doubtful: false }[sign];
    this.#absence = {
      from: at,
      until: at + (sign === 'unseen' ? PING_TIMEOUT : 0) + GRACE - MARGIN,
      keeps: settled && keeps,
      once: sign === 'seen' && alone,
      least: alone ? 1 : 0,
    };
    this.#addUnsettled(at - HEARTBEAT, Infinity);
  }

  /** The connection broke although the test did not cut it. `heard` is the time of the last packet from the daemon. */
  broke(at, heard, reason) {
    this.#did(`is disconnected (${reason})`, at);
    this.#absence = { from: heard - DELAY, until: 0, keeps: false };
    this.#addUnsettled(heard - DELAY - HEARTBEAT, Infinity);
  }

  /** The page is connected again. Returns whether it is on its case (`same`), is certainly not (`none`), or `unknown`. */
  returns(at) {
    if (!this.#absence) {
      this.#did('is connected', at);
      this.connected(at);
      return 'none';
    }
    const { from, until, keeps, once, least } = this.#absence;
    this.#absence = undefined;
    this.connected(at);
    const uncertain = this.uncertain.at(-1);
    if (keeps && at < until && stalls.none(from - HEARTBEAT)) {
      // Messages up to here may have been in transit when the connection broke; later ones are kept for the place.
      uncertain.to = from;
      // A message to everyone is kept for the place and also reaches a connection that has not identified yet.
      this.uncertain.push({ from, to: at + DELAY, least: 1, only: 'everyone' });
      if (!once) this.#addUncertain(from, at + MAX_STALE, least);
      if (!once) this.#leavesStalePlace(at);
      this.#did('reconnects in time', at);
      return 'same';
    }
    const caseRef = this.case;
    this.vanishes(from);
    this.connected(at);
    this.#did('reconnects, perhaps too late', at);
    if (at > from + MAX_STALE) return 'none';
    this.#addUncertain(from, at + MAX_STALE, 0);
    if (caseRef) this.opens(caseRef, at);
    return 'unknown';
  }

  /** The page shows a list. */
  shows(names, at) {
    const last = this.screens.at(-1);
    if (!last || last.names.length !== names.length || last.names.some((name, n) => name !== names[n])) {
      this.screens.push({ at, names });
    }
  }

  /** Forgets what no rule needs any more. */
  forget(before) {
    this.stays = this.stays.filter(({ gone }) => gone > before);
    this.outdated = this.outdated.filter(({ to }) => to > before);
    this.uncertain = this.uncertain.filter(({ to }) => to > before);
    this.screens = this.screens.slice(-1);
    this.log = [];
    this.notifications = [];
    this.systemMessages = [];
  }

  get #stay() {
    const stay = this.stays.at(-1);
    return stay?.gone === Infinity ? stay : undefined;
  }

  get #lastSent() {
    return Math.max(0, ...this.stays.flatMap(({ from, sure }) => [from, sure === Infinity ? 0 : sure]));
  }

  #did(what, at, caseRef = this.case) {
    this.log.push({ at, what, case: caseRef });
  }

  #leavesStalePlace(at) {
    this.#staleSince = this.#staleUntil > at ? this.#staleSince : at;
    this.#staleUntil = at + MAX_STALE;
  }

  #addUnsettled(from, to) {
    this.outdated.push({ from, to });
    this.#addUncertain(from, to, 0);
  }

  /** Adds a span of uncertain messages. It begins with the oldest stale place: messages for it may be sent again. */
  #addUncertain(from, to, least) {
    const since = this.#staleUntil > from ? this.#staleSince - HEARTBEAT : from;
    this.uncertain.push({ from: Math.min(from, since), to, least });
  }
}
