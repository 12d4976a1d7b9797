// The reckoning once everything has come to rest: the daemon, every screen and the model must say the same.
//
// Lives here: comparing, and putting a difference into words. Not here: the model (`ledger.mjs`).
// Invariant: an account of what is wrong names the page, what it shows, what the model says, and what happened last on
// the case, so that it can be understood without running again.

import { isDeepStrictEqual } from 'node:util';

import { now } from './clock.mjs';
import { disagreement, isSureOf, Ledger, misdelivered } from './ledger.mjs';

/** So many of the last events on a case are told. */
const LAST_EVENTS = 25;

/** Compares everything since `from`, and returns what is wrong, in words; no more than a few of a kind. */
export async function audit({ traffic, staff, statsd, from }) {
  const to = now();
  const people = await staff.people();
  const pages = [...traffic.pages, ...traffic.past];
  const ledger = new Ledger(pages.map(({ record }) => record));
  const account = { ledger, pages, from };
  const wrong = [misplaced(traffic.present, people), miscounted(people, statsd)];
  wrong.push(...traffic.present.map((page) => misinformed(page, people, account)));
  for (const page of pages) {
    const shown = ledger.misshown(page.record, { from, to });
    if (shown) wrong.push(told(page, shown, account));
    const got = misdelivered(page.record, staff.posts);
    if (got) wrong.push(`${page.record.title}: ${got}\n${mail(page.record, staff.posts, account)}`);
    // Heartbeats go on meanwhile.
    await new Promise(setImmediate);
  }
  const differs = disagreement(pages.map(({ record }) => record), { from, to });
  if (differs) wrong.push(told(differs, differs, account));
  wrong.push(...staff.posts.map((post) => misjudged(post, pages)));
  return wrong.filter(Boolean);
}

/** Whether the admin app knows every connection as it is, and no other. */
function misplaced(pages, people) {
  const expected = new Map(pages.map(({ entry: { id, ...entry } }) => [id, entry]));
  const deeds = new Map(pages.map(({ entry: { id }, record }) => [id, record.deeds.slice(-5).map(({ what }) => what)]));
  const differences = [];
  for (const { username, userType, connections } of Object.values(people)) {
    for (const [id, known] of Object.entries(connections)) {
      const entry = { username, ...known };
      if (!isDeepStrictEqual(entry, expected.get(id)) || userType !== known.userType) {
        const model = expected.has(id) ? JSON.stringify(expected.get(id)) : 'there is no such connection';
        const lately = deeds.get(id)?.join(', ') ?? 'nothing is known of it';
        differences.push(`  ${id}: it says ${JSON.stringify(entry)}, the model says ${model}; ${lately}`);
      }
      expected.delete(id);
    }
  }
  expected.forEach((entry, id) => differences.push(`  ${id}: it is missing, the model says ${JSON.stringify(entry)}`));
  const few = differences.slice(0, 10).join('\n');
  return differences.length > 0 && `/admin/peopleMap/ is not what the model says\n${few}`;
}

function miscounted(people, { gauges }) {
  const count = Object.keys(people).length;
  const told = gauges.people_connected;
  return told !== count && `StatsD was told of ${told} people, there are ${count}`;
}

/** Whether a page shows the list of its case to the letter: everybody, in order of identify. */
function misinformed({ record }, people, account) {
  if (record.case === null) return null;
  const on = ({ connections }) => Object.values(connections).some(({ caseViewed }) => caseViewed === record.case);
  const names = Object.values(people).filter(on).map(({ username }) => username);
  const shown = record.screens.at(-1)?.names;
  const viewers = account.ledger.viewers(record.case);
  const asModelled = names.length === viewers.size && names.every((name) => viewers.has(name));
  if (asModelled && isDeepStrictEqual(shown, names)) return null;
  return [
    `${record.title} shows, at rest on ${record.case}, ${JSON.stringify(shown)}`,
    `  the daemon says ${JSON.stringify(names)}, the model ${JSON.stringify([...viewers])}`,
    history(record.case, now(), account),
  ].join('\n');
}

function told({ record }, { at, case: caseRef, names, who, why }, account) {
  const { surely, perhaps } = account.ledger.describe(caseRef, at);
  return [
    `${record.title} on ${caseRef}: ${why}`,
    `  ${clock(at, account)} it shows ${JSON.stringify(names)}`,
    `  the model says that surely there are ${JSON.stringify(surely)}`,
    `  and perhaps ${JSON.stringify(perhaps.filter((name) => !surely.includes(name)))}`,
    history(caseRef, at, account, record, who),
  ].join('\n');
}

/** The last that happened on a case before a moment, to who shows it and to who is in question. */
function history(caseRef, moment, account, shower, who) {
  const events = account.pages.flatMap(({ record }) =>
    record.deeds
      .filter((deed) => deed.case === caseRef || record === shower || isOf(record, who))
      .map(({ at, what }) => ({ at, text: `${record.title} ${what}` })),
  );
  for (const { at, names } of shower?.screens ?? []) events.push({ at, text: `it is told ${JSON.stringify(names)}` });
  const last = events.filter(({ at }) => at <= moment + 500);
  return `  what happened last there:\n${inOrder(last, account, LAST_EVENTS)}`;
}

/** What a page got of what was posted. */
function mail(record, posts, account) {
  const sent = posts.map(({ number, to, sent, isFor }) => ({
    at: sent,
    text: `posted ${number ?? 'system message'} to ${to}${isFor(record, record.user) ? '' : ', not to it'}`,
  }));
  const got = record.notifications.map(({ at, number }) => ({ at, text: `got ${number}` }));
  const told = record.systemMessages.map((at) => ({ at, text: 'got system message' }));
  const astray = record.astray.map(({ from, to, least }) => ({
    at: from,
    text: `unsure until ${clock(to, account)}, at least ${least}`,
  }));
  const deeds = record.deeds.map(({ at, what }) => ({ at, text: what }));
  return inOrder([...sent, ...got, ...told, ...astray, ...deeds], account);
}

/** Whether whoever posted a message was told of fewer than it surely reaches. */
function misjudged(post, pages) {
  if (!post.receipt) return null;
  const least = pages.filter(({ record }) => isSureOf(record, post)).length;
  const { reached, kept } = post.receipt;
  const what = post.number === undefined ? 'a system message' : `notification ${post.number}`;
  return reached + kept < least && `${what} is said to reach ${reached} and be kept for ${kept}, where ${least} get it`;
}

/** The last of some events, a line each. */
function inOrder(events, account, most = Infinity) {
  const last = events.sort((one, other) => one.at - other.at).slice(-most);
  return last.map(({ at, text }) => `    ${clock(at, account)} ${text}`).join('\n');
}

function isOf(record, name) {
  return record.owners.some(({ user }) => user.name === name);
}

function clock(at, { from }) {
  return `${((at - from) / 1_000).toFixed(3)} s`;
}
