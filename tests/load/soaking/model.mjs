// The model of presence that the daemon is compared with, made of the records of all pages.
//
// Lives here: the rules, and finding a screen or a message that breaks one.
// Not here: the records (`record.mjs`), causing events (`traffic.mjs`), reporting differences (`audit.mjs`).
//
// The rules. DELAY is the longest time that a change may take from one page to the screen of another.
//  1. At no moment does a screen name a user who left its case DELAY ago or longer. A user has left by an event or a clean
//     close, or MAX_STALE after a connection was lost.
//  2. A screen names every user who has been on its case for DELAY or longer, its own user included. A user whose
//     connection was lost and who is back within the grace was there all the time.
//  3. A page on a case for DELAY shows a list, and no list names a user twice.
//  4. A message reaches every page it is for, once and in the order of posting. It reaches no other page, and no page opened
//     later. After a lost connection, a page may get the messages sent around the loss again or not at all; if it took its
//     place over, it gets every later message at least once. A message to everyone may arrive twice at a page that has just
//     reconnected.
//  5. All pages on a case receive the same lists in the same order.
// A screen may be outdated while its connection is cut, delayed or just restored: then only rule 1 applies, with a longer
// time. The same holds for all screens while this machine stalled.

import { DELAY, LATE, MAX_STALE, stalls } from './clock.mjs';

/** The stays of all users on each case. */
export class Model {
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

  /** The first wrong screen of a page in a span, as `{ at, case, names, who, why }`, or null. */
  findWrongScreen(record, span) {
    for (const watched of certainSpans(record, span)) {
      const found = this.#findWrongIn(record.screens, watched.case, watched);
      if (found) return found;
    }
    return this.#unexplained(record, span.from);
  }

  /** Names of the users who are on a case now. */
  viewers(caseRef) {
    const users = [...(this.#cases.get(caseRef) ?? [])];
    return new Set(users.filter(([, stays]) => stays.some(({ gone }) => gone === Infinity)).map(([name]) => name));
  }

  /** Names of the users who are on a case at a moment, certainly and possibly. */
  describe(caseRef, at) {
    const users = [...(this.#cases.get(caseRef) ?? [])];
    const namesWhere = (is) => users.filter(([, stays]) => stays.some(is)).map(([name]) => name);
    return {
      surely: namesWhere(({ from, sure }) => from + DELAY <= at && at <= sure),
      perhaps: namesWhere(({ from, gone }) => from <= at && at <= gone + DELAY),
    };
  }

  #findWrongIn(screens, caseRef, { from, to }) {
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
      if (gone !== undefined) return { at: gone, who: name, why: `it names ${name}, who has left the case` };
    }
    for (const [name, stays] of users) {
      if (named.has(name)) continue;
      const missed = stays.find((stay) => Math.max(stay.from + DELAY, from) < Math.min(stay.sure, to));
      const at = missed && Math.max(missed.from + DELAY, from);
      if (missed) return { at, who: name, why: `it lacks ${name}, who is on the case` };
    }
    return null;
  }

  /** Checks lists received in uncertain times: each must be possible on a case that the page was on recently. */
  #unexplained(record, start) {
    for (const { at, names } of record.screens.filter(({ at }) => at > start)) {
      const behind = [...record.outdated, ...stalls.spans].filter(({ from, to }) => from <= at && at <= to);
      const since = Math.min(at, ...behind.map(({ from }) => from)) - MAX_STALE;
      const candidates = record.stays.filter(({ from, gone }) => from <= at && since <= gone);
      const explains = ({ case: caseRef }) =>
        names.every((name) =>
          this.#cases.get(caseRef).get(name)?.some(({ from, gone }) => from <= at && since <= gone),
        );
      if (!candidates.some(explains)) {
        const last = candidates.at(-1)?.case ?? null;
        const who = names.find((name) => !this.#cases.get(last)?.has(name));
        return { at, case: last, names, who, why: 'its users were not together on any case that the page was on' };
      }
    }
    return null;
  }
}

/** The first list that one page received on a case and another page on the same case did not, or null. */
export function findDifference(records, span) {
  const all = records.flatMap((record) => certainSpans(record, span).map((watched) => ({ record, ...watched })));
  const overlap = (one, other) => Math.min(one.to, other.to) - Math.max(one.from, other.from);
  for (const one of all) {
    const others = all.filter((other) => other.case === one.case && other.record !== one.record);
    const other = others.reduce((best, next) => (best && overlap(one, best) >= overlap(one, next) ? best : next), undefined);
    if (!other || overlap(one, other) <= 2 * LATE) continue;
    const common = { from: Math.max(one.from, other.from), to: Math.min(one.to, other.to) };
    const found = findMissingList(one.record, other.record, common) ?? findMissingList(other.record, one.record, common);
    if (found) return { ...found, case: one.case };
  }
  return null;
}

/** The first list of one page in a span, without its ends, that the other page does not have in the same order, or null. */
function findMissingList(record, other, { from, to }) {
  const shown = record.screens.filter(({ at }) => from + LATE < at && at < to - LATE);
  const first = Math.max(0, other.screens.findLastIndex(({ at }) => at <= from));
  const known = other.screens.slice(first).filter(({ at }) => at < to);
  const [wanted, given] = [shown, known].map((screens) => screens.map(({ names }) => names.join('\n')));
  const follows = (start) => wanted.every((list, n) => list === given[start + n]);
  if (wanted.length === 0 || given.some((_, start) => follows(start))) return null;
  const missed = shown.find((_, n) => !given.includes(wanted[n])) ?? shown[0];
  return { at: missed.at, names: missed.names, record: other, why: `it did not receive a list that ${record.title} received` };
}

/** Spans in which a page was on a case and its screen must have been right: `{ case, from, to }`. */
function certainSpans(record, { from, to }) {
  return record.stays.flatMap((stay) => {
    const watched = { from: Math.max(from, stay.from + DELAY), to: Math.min(stay.sure, to) };
    return without(watched, [...record.outdated, ...stalls.spans]).map((span) => ({ case: stay.case, ...span }));
  });
}

/** The first wrong delivery to a page among the posted messages, as text, or null. */
export function findWrongDelivery(record, posts) {
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
      return `notification ${post.number} arrived ${count} times instead of ${expected.least} to ${expected.most} times`;
    }
    if (expected.least === 1 && expected.most === 1) sure.add(post.number);
  }
  const received = record.systemMessages.length;
  if (received < least || received > most) return `${received} system messages arrived instead of ${least} to ${most}`;
  const order = record.notifications.map(({ number }) => number).filter((number) => sure.has(number));
  const late = order.findIndex((number, n) => number < order[n - 1]);
  return late < 0 ? null : `notification ${order[late]} arrived after ${order[late - 1]}`;
}

/** Whether a page certainly gets a message. */
export function isSureOf(record, post) {
  return expectation(record, post).least === 1;
}

function expectation(record, post) {
  const { user } = record.owners.findLast(({ from }) => from <= post.sent) ?? record.owners[0];
  const meant = post.isFor(record, user);
  if (post.answered < record.opened) return { least: 0, most: 0 };
  const late = stalls.touch({ from: post.sent, to: post.answered + DELAY }) ? MAX_STALE : 0;
  const concerns = ({ from, to, only }) =>
    from <= post.answered + late && post.sent <= to && (!only || only === post.to);
  const uncertain = record.uncertain.filter(concerns);
  if (uncertain.length > 0) {
    const others = record.owners.length > 1;
    const least = meant ? Math.min(...uncertain.map(({ least }) => least)) : 0;
    // After each loss the daemon sends the messages again that may have been lost.
    return { least, most: meant || others ? 1 + uncertain.length : 0 };
  }
  return meant ? { least: 1, most: 1 } : { least: 0, most: 0 };
}

/** The first moment in a span that is DELAY after the end of all stays before it, or undefined. */
function gapIn(stays, from, to) {
  let covered = from;
  for (const stay of [...stays].sort((one, other) => one.from - other.from)) {
    if (stay.from > covered) break;
    covered = Math.max(covered, stay.gone + DELAY);
  }
  return covered < to ? covered : undefined;
}

/** The parts of a span outside of other spans. */
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
