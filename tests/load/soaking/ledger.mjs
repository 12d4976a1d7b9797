// What is so, as far as it can be known from outside: the model that the daemon is held against.
//
// Lives here: for each page, where it says that it is, what it shows and what it was told; and what is wrong with that.
// Not here: making it happen (`traffic.mjs`), what the daemon says of it (`audit.mjs`).
//
// The rules, with DELAY the longest that a change may take from one page to another's screen:
//  1. Whatever moment one takes, a screen names nobody who has been gone from its case for DELAY or longer.
//     Gone is who said so, and who was lost without a word GHOST ago.
//  2. It misses nobody who has been on its case for DELAY or longer, whoever views it included. Who was cut off and was
//     back before the grace was over has never been away.
//  3. A page on a case for DELAY has a list, and no list names anybody twice.
//  4. A message reaches everybody it is for, once and in the order of posting; nobody else, and nobody who came later.
//     Where its line broke, a page may get what was under way then again or not at all, and nothing that came later less
//     than once if it got its place back. One to everyone may come twice to a page that is just coming back.
//  5. Everybody who is on a case is told the same lists in the same order.
// A screen that cannot know better, because its line is cut, held up or just back, is looked at for rule 1 only, and with
// the patience that this takes; so is everybody's while this machine stood still.

import { DELAY, GHOST, GRACE, HEARTBEAT, LATE, PING_TIMEOUT, stalls } from './clock.mjs';

/** A page that is back this long before its place lapses has surely got it. */
const MARGIN = 1_000;

/** One page, from when it is opened until it is closed. */
export class Record {
  /** Where it was: `{ user, case, from, sure, gone }`. Surely there until `sure`, surely not after `gone`. */
  stays = [];
  /** Whose it was: `{ user, from }`. */
  owners;
  /** What it showed: `{ at, names }`, the same list twice in a row once. */
  screens = [];
  /** When its screen may have been behind: `{ from, to }`. */
  blind = [];
  /** When messages may have gone astray: `{ from, to, least }`, how many of each it gets at least; perhaps `only` some. */
  astray = [];
  /** The messages that it got: `{ at, number }`. */
  notifications = [];
  /** When it got system messages. */
  systemMessages = [];
  /** What happened to it, for whoever has to understand: `{ at, what, case }`. */
  deeds = [];
  /** Since when its line is broken, and what may be expected when it is back. */
  #absence;
  /** Until when places of earlier connections may still be there. */
  #ghostsUntil = 0;
  /** Since when there are such. */
  #ghostsSince = Infinity;

  constructor(title, user, at) {
    this.title = title;
    this.owners = [{ user, from: at }];
    this.opened = at;
    this.#unsettled(at, Infinity);
  }

  get user() {
    return this.owners.at(-1).user;
  }

  /** The case that it is on, or null. */
  get case() {
    return this.#stay?.case ?? null;
  }

  /** Its connection is up, and the daemon has been told whose it is. */
  connected(at) {
    this.astray.at(-1).to = this.blind.at(-1).to = at + DELAY;
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
    // Where an earlier connection of the page was lost without being missed, its place stays a while longer.
    stay.gone = stay.from <= this.#ghostsSince && at < this.#ghostsUntil ? this.#ghostsUntil : at;
  }

  /** Somebody else works on with the same page. */
  isOf(user, at) {
    const caseRef = this.case;
    this.#did(`is of ${user.name} from now on`, at);
    this.closes(at);
    this.owners.push({ user, from: at });
    if (caseRef) this.opens(caseRef, at);
    this.#unsettled(at - DELAY, at + DELAY);
  }

  /** Said goodbye. */
  leaves(at) {
    this.#did('says goodbye', at);
    this.closes(at);
    this.#unsettled(at - DELAY, Infinity);
  }

  /** Gone without a word, or with one that may not have got through. */
  vanishes(at) {
    this.#did('may be gone, or not', at);
    for (const stay of this.stays.filter(({ gone }) => gone > at - DELAY)) {
      stay.sure = Math.min(stay.sure, at);
      stay.gone = at + GHOST;
    }
    this.#ghosts(at);
    this.#unsettled(at - HEARTBEAT, Infinity);
  }

  /** Held up, but not for so long that anybody would miss it. */
  heldUp(from, to) {
    this.#did(`is held up for ${Math.round(to - from)} ms`, from);
    this.blind.push({ from, to: to + DELAY });
  }

  /**
   * Its line breaks. `sign` is what the daemon makes of that: it sees the loss (`seen`), sees it later (`unseen`), or may
   * take it for a goodbye (`doubtful`). `named`: the page says its case when it comes back.
   */
  breaks(at, sign, named) {
    this.#did(`loses its line, which is ${sign}`, at);
    const settled = at > this.#lastSaid + DELAY && this.blind.every(({ to }) => to < at);
    const alone = at > this.#ghostsUntil;
    const keeps = { seen: alone || named, unseen: named, doubtful: false }[sign];
    this.#absence = {
      from: at,
      until: at + (sign === 'unseen' ? PING_TIMEOUT : 0) + GRACE - MARGIN,
      keeps: settled && keeps,
      once: sign === 'seen' && alone,
      least: alone ? 1 : 0,
    };
    this.#unsettled(at - HEARTBEAT, Infinity);
  }

  /** Its line broke, and nobody meant it to; the daemon was last heard over it some time ago. */
  broke(at, heard, reason) {
    this.#did(`is disconnected (${reason})`, at);
    this.#absence = { from: heard - DELAY, until: 0, keeps: false };
    this.#unsettled(heard - DELAY - HEARTBEAT, Infinity);
  }

  /** It is connected again. Returns whether it still has its case (`same`), surely not (`none`), or should say it. */
  returns(at) {
    if (!this.#absence) {
      this.#did('is connected', at);
      this.connected(at);
      return 'none';
    }
    const { from, until, keeps, once, least } = this.#absence;
    this.#absence = undefined;
    this.connected(at);
    const astray = this.astray.at(-1);
    if (keeps && at < until && stalls.none(from - HEARTBEAT)) {
      // Up to here may have been under way when the line broke; what came later is kept for it.
      astray.to = from;
      // What goes to everyone also reaches a connection that has yet to say whose it is, and is kept for its place.
      this.astray.push({ from, to: at + DELAY, least: 1, only: 'everyone' });
      if (!once) this.#astray(from, at + GHOST, least);
      if (!once) this.#ghosts(at);
      this.#did('is back in time', at);
      return 'same';
    }
    const caseRef = this.case;
    this.vanishes(from);
    this.connected(at);
    this.#did('is back, perhaps too late', at);
    if (at > from + GHOST) return 'none';
    this.#astray(from, at + GHOST, 0);
    if (caseRef) this.opens(caseRef, at);
    return 'unknown';
  }

  /** It shows a list. */
  shows(names, at) {
    const last = this.screens.at(-1);
    if (!last || last.names.length !== names.length || last.names.some((name, n) => name !== names[n])) {
      this.screens.push({ at, names });
    }
  }

  /** Forgets what no rule will ask for any more. */
  forget(before) {
    this.stays = this.stays.filter(({ gone }) => gone > before);
    this.blind = this.blind.filter(({ to }) => to > before);
    this.astray = this.astray.filter(({ to }) => to > before);
    this.screens = this.screens.slice(-1);
    this.deeds = [];
    this.notifications = [];
    this.systemMessages = [];
  }

  get #stay() {
    const stay = this.stays.at(-1);
    return stay?.gone === Infinity ? stay : undefined;
  }

  get #lastSaid() {
    return Math.max(0, ...this.stays.flatMap(({ from, sure }) => [from, sure === Infinity ? 0 : sure]));
  }

  #did(what, at, caseRef = this.case) {
    this.deeds.push({ at, what, case: caseRef });
  }

  #ghosts(at) {
    this.#ghostsSince = this.#ghostsUntil > at ? this.#ghostsSince : at;
    this.#ghostsUntil = at + GHOST;
  }

  #unsettled(from, to) {
    this.blind.push({ from, to });
    this.#astray(from, to, 0);
  }

  /** What a place that is still there was sent, its page may be told again. */
  #astray(from, to, least) {
    const since = this.#ghostsUntil > from ? this.#ghostsSince - HEARTBEAT : from;
    this.astray.push({ from: Math.min(from, since), to, least });
  }
}

/** Everybody's stays on each case, to hold lists against. */
export class Ledger {
  #cases = new Map();

  constructor(records) {
    for (const { stays } of records) {
      for (const stay of stays) {
        if (!this.#cases.has(stay.case)) this.#cases.set(stay.case, new Map());
        const users = this.#cases.get(stay.case);
        if (!users.has(stay.user.name)) users.set(stay.user.name, []);
        users.get(stay.user.name).push(stay);
      }
    }
  }

  /** What is wrong with what a page showed in a span: the first of it, as `{ at, case, names, who, why }`. */
  misshown(record, span) {
    for (const watched of watches(record, span)) {
      const found = this.#misshownIn(record.screens, watched.case, watched);
      if (found) return found;
    }
    return this.#unexplained(record, span.from);
  }

  /** Everybody who is surely on a case at the end of time. */
  viewers(caseRef) {
    const users = [...(this.#cases.get(caseRef) ?? [])];
    return new Set(users.filter(([, stays]) => stays.some(({ gone }) => gone === Infinity)).map(([name]) => name));
  }

  /** Who the model says is on a case at a moment: surely, and perhaps. */
  describe(caseRef, at) {
    const users = [...(this.#cases.get(caseRef) ?? [])];
    const those = (is) => users.filter(([, stays]) => stays.some(is)).map(([name]) => name);
    return {
      surely: those(({ from, sure }) => from + DELAY <= at && at <= sure),
      perhaps: those(({ from, gone }) => from <= at && at <= gone + DELAY),
    };
  }

  #misshownIn(screens, caseRef, { from, to }) {
    const first = screens.findLastIndex(({ at }) => at <= from);
    if (first < 0) return { at: from, case: caseRef, names: null, why: 'it shows no list at all' };
    for (let n = first; n < screens.length && (n === first || screens[n].at < to); n += 1) {
      const shown = { from: Math.max(from, screens[n].at), to: Math.min(to, screens[n + 1]?.at ?? to) };
      const wrong = this.#wrongWith(screens[n].names, caseRef, shown);
      if (wrong) return { case: caseRef, names: screens[n].names, ...wrong };
    }
    return null;
  }

  #wrongWith(names, caseRef, { from, to }) {
    const users = this.#cases.get(caseRef) ?? new Map();
    const named = new Set(names);
    if (named.size < names.length) return { at: from, why: 'it names somebody twice' };
    for (const name of names) {
      const gone = gapIn(users.get(name) ?? [], from, to);
      if (gone !== undefined) return { at: gone, who: name, why: `it names ${name}, who has been gone from there` };
    }
    for (const [name, stays] of users) {
      if (named.has(name)) continue;
      const missed = stays.find((stay) => Math.max(stay.from + DELAY, from) < Math.min(stay.sure, to));
      const at = missed && Math.max(missed.from + DELAY, from);
      if (missed) return { at, who: name, why: `it misses ${name}, who has been there` };
    }
    return null;
  }

  /** A list that came when nothing was sure must be one of a case that the page was on lately. */
  #unexplained(record, start) {
    for (const { at, names } of record.screens.filter(({ at }) => at > start)) {
      const behind = [...record.blind, ...stalls.spans].filter(({ from, to }) => from <= at && at <= to);
      const since = Math.min(at, ...behind.map(({ from }) => from)) - GHOST;
      const candidates = record.stays.filter(({ from, gone }) => from <= at && since <= gone);
      const explains = ({ case: caseRef }) =>
        names.every((name) =>
          this.#cases.get(caseRef).get(name)?.some(({ from, gone }) => from <= at && since <= gone),
        );
      if (!candidates.some(explains)) {
        const last = candidates.at(-1)?.case ?? null;
        const who = names.find((name) => !this.#cases.get(last)?.has(name));
        return { at, case: last, names, who, why: 'it names people who were together on no case that the page was on' };
      }
    }
    return null;
  }
}

/** The first list that one page was told while it was on a case and that another, which was there too, was not. */
export function disagreement(records, span) {
  const all = records.flatMap((record) => watches(record, span).map((watched) => ({ record, ...watched })));
  const overlap = (one, other) => Math.min(one.to, other.to) - Math.max(one.from, other.from);
  for (const one of all) {
    const others = all.filter((other) => other.case === one.case && other.record !== one.record);
    const other = others.reduce((best, next) => (best && overlap(one, best) >= overlap(one, next) ? best : next), undefined);
    if (!other || overlap(one, other) <= 2 * LATE) continue;
    const common = { from: Math.max(one.from, other.from), to: Math.min(one.to, other.to) };
    const found = untold(one.record, other.record, common) ?? untold(other.record, one.record, common);
    if (found) return { ...found, case: one.case };
  }
  return null;
}

/** What was shown to one page, not at the very ends of a span, and does not follow on each other for the other one. */
function untold(record, other, { from, to }) {
  const shown = record.screens.filter(({ at }) => from + LATE < at && at < to - LATE);
  const first = Math.max(0, other.screens.findLastIndex(({ at }) => at <= from));
  const known = other.screens.slice(first).filter(({ at }) => at < to);
  const [wanted, given] = [shown, known].map((screens) => screens.map(({ names }) => names.join('\n')));
  const follows = (start) => wanted.every((list, n) => list === given[start + n]);
  if (wanted.length === 0 || given.some((_, start) => follows(start))) return null;
  const missed = shown.find((_, n) => !given.includes(wanted[n])) ?? shown[0];
  return { at: missed.at, names: missed.names, record: other, why: `it was not told what ${record.title} was` };
}

/** When a page was on a case and nothing kept its screen from being right: `{ case, from, to }`. */
function watches(record, { from, to }) {
  return record.stays.flatMap((stay) => {
    const watched = { from: Math.max(from, stay.from + DELAY), to: Math.min(stay.sure, to) };
    return without(watched, [...record.blind, ...stalls.spans]).map((span) => ({ case: stay.case, ...span }));
  });
}

/** What is wrong with the messages that a page got, out of those that were posted, or null. */
export function misdelivered(record, posts) {
  const sure = new Set();
  let [least, most] = [0, 0];
  for (const post of posts) {
    const expected = expectation(record, post);
    if (post.number === undefined) {
      [least, most] = [least + expected.least, most + expected.most];
      continue;
    }
    const count = record.notifications.filter(({ number }) => number === post.number).length;
    if (count < expected.least || count > expected.most) {
      return `notification ${post.number} came ${count} times and should have come ${expected.least} to ${expected.most} times`;
    }
    if (expected.least === 1 && expected.most === 1) sure.add(post.number);
  }
  const came = record.systemMessages.length;
  if (came < least || came > most) return `${came} system messages came and should have been ${least} to ${most}`;
  const order = record.notifications.map(({ number }) => number).filter((number) => sure.has(number));
  const late = order.findIndex((number, n) => number < order[n - 1]);
  return late < 0 ? null : `notification ${order[late]} came after ${order[late - 1]}`;
}

/** Whether it is certain that a page gets a message. */
export function isSureOf(record, post) {
  return expectation(record, post).least === 1;
}

function expectation(record, post) {
  const { user } = record.owners.findLast(({ from }) => from <= post.sent) ?? record.owners[0];
  const meant = post.isFor(record, user);
  if (post.answered < record.opened) return { least: 0, most: 0 };
  const late = stalls.touch({ from: post.sent, to: post.answered + DELAY }) ? GHOST : 0;
  const concerns = ({ from, to, only }) =>
    from <= post.answered + late && post.sent <= to && (!only || only === post.to);
  const astray = record.astray.filter(concerns);
  if (astray.length > 0) {
    const others = record.owners.length > 1;
    const least = meant ? Math.min(...astray.map(({ least }) => least)) : 0;
    // With each loss, what may have been lost is sent again.
    return { least, most: meant || others ? 1 + astray.length : 0 };
  }
  return meant ? { least: 1, most: 1 } : { least: 0, most: 0 };
}

/** The first moment in a span at which nobody has been there for DELAY, if there is one. */
function gapIn(stays, from, to) {
  let covered = from;
  for (const stay of [...stays].sort((one, other) => one.from - other.from)) {
    if (stay.from > covered) break;
    covered = Math.max(covered, stay.gone + DELAY);
  }
  return covered < to ? covered : undefined;
}

/** What is left of a span outside others. */
function without(span, others) {
  let left = [span];
  for (const { from, to } of others) {
    left = left.flatMap((part) => [
      { from: part.from, to: Math.min(part.to, from) },
      { from: Math.max(part.from, to), to: part.to },
    ]);
    left = left.filter((part) => part.from < part.to);
  }
  return left.filter((part) => part.from < part.to);
}
