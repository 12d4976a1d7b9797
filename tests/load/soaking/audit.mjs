// The comparison after each round, without events under way: the daemon, every screen and the model must agree.
//
// Lives here: comparing, and reporting differences. Not here: the model (`model.mjs`).
// Invariant: a report names the page, its screen, the model's answer and the last events on the case, so that it can be
// understood without running the soak again.

import { isDeepStrictEqual } from 'node:util';

import { now } from './clock.mjs';
import { findDifference, findWrongDelivery, isSureOf, Model } from './model.mjs';

/** Number of the last events on a case that a report lists. */
const LAST_EVENTS = 25;

/** Compares everything since `from`. Returns the differences as texts, at most a few of a kind. */
export async function audit({ traffic, staff, statsd, from }) {
  const to = now();
  const people = await staff.people();
  const pages = [...traffic.pages, ...traffic.past];
  const model = new Model(pages.map(({ record }) => record));
  const account = { model, pages, from };
  const wrong = [comparePeople(traffic.present, people), compareGauge(people, statsd)];
  wrong.push(...traffic.present.map((page) => compareScreen(page, people, account)));
  for (const page of pages) {
    const shown = model.findWrongScreen(page.record, { from, to });
    if (shown) wrong.push(describe(page, shown, account));
    const got = findWrongDelivery(page.record, staff.posts);
    if (got) wrong.push(`${page.record.title}: ${got}\n${mail(page.record, staff.posts, account)}`);
    // Lets the heartbeats of the clients run.
    await new Promise(setImmediate);
  }
  const differs = findDifference(pages.map(({ record }) => record), { from, to });
  if (differs) wrong.push(describe(differs, differs, account));
  wrong.push(...staff.posts.map((post) => compareReceipt(post, pages)));
  return wrong.filter(Boolean);
}

/** Compares the people map with the expected connections. */
function comparePeople(pages, people) {
  const expected = new Map(pages.map(({ entry: { id, ...entry } }) => [id, entry]));
  const log = new Map(pages.map(({ entry: { id }, record }) => [id, record.log.slice(-5).map(({ what }) => what)]));
  const differences = [];
  for (const { username, userType, connections } of Object.values(people)) {
    for (const [id, known] of Object.entries(connections)) {
      const entry = { username, ...known };
      if (!isDeepStrictEqual(entry, expected.get(id)) || userType !== known.userType) {
        const model = expected.has(id) ? JSON.stringify(expected.get(id)) : 'there is no such connection';
        const lately = log.get(id)?.join(', ') ?? 'it has no record';
        differences.push(`  ${id}: the daemon says ${JSON.stringify(entry)}, the model says ${model}; ${lately}`);
      }
      expected.delete(id);
    }
  }
  expected.forEach((entry, id) => differences.push(`  ${id}: missing, the model says ${JSON.stringify(entry)}`));
  const few = differences.slice(0, 10).join('\n');
  return differences.length > 0 && `/admin/peopleMap/ differs from the model\n${few}`;
}

function compareGauge(people, { gauges }) {
  const count = Object.keys(people).length;
  const sent = gauges.people_connected;
  return sent !== count && `StatsD received ${sent} connected people, there are ${count}`;
}

/** Compares the screen of a page with the people map: the same users in order of identify. */
function compareScreen({ record }, people, account) {
  if (record.case === null) return null;
  const on = ({ connections }) => Object.values(connections).some(({ caseViewed }) => caseViewed === record.case);
  const names = Object.values(people).filter(on).map(({ username }) => username);
  const shown = record.screens.at(-1)?.names;
  const viewers = account.model.viewers(record.case);
  const asModelled = names.length === viewers.size && names.every((name) => viewers.has(name));
  if (asModelled && isDeepStrictEqual(shown, names)) return null;
  return [
    `${record.title} on ${record.case} shows at rest ${JSON.stringify(shown)}`,
    `  the daemon says ${JSON.stringify(names)}, the model ${JSON.stringify([...viewers])}`,
    history(record.case, now(), account),
  ].join('\n');
}

function describe({ record }, { at, case: caseRef, names, who, why }, account) {
  const { surely, perhaps } = account.model.describe(caseRef, at);
  return [
    `${record.title} on ${caseRef}: ${why}`,
    `  ${clock(at, account)} it shows ${JSON.stringify(names)}`,
    `  on the case are, by the model, certainly ${JSON.stringify(surely)}`,
    `  and possibly ${JSON.stringify(perhaps.filter((name) => !surely.includes(name)))}`,
    history(caseRef, at, account, record, who),
  ].join('\n');
}

/** The last events before a moment: on a case, of the page that showed the list, and of the user in question. */
function history(caseRef, moment, account, shownBy, who) {
  const events = account.pages.flatMap(({ record }) =>
    record.log
      .filter((entry) => entry.case === caseRef || record === shownBy || isOf(record, who))
      .map(({ at, what }) => ({ at, text: `${record.title} ${what}` })),
  );
  for (const { at, names } of shownBy?.screens ?? []) events.push({ at, text: `it receives ${JSON.stringify(names)}` });
  const last = events.filter(({ at }) => at <= moment + 500);
  return `  last events:\n${inOrder(last, account, LAST_EVENTS)}`;
}

/** The messages posted and received by a page, as text. */
function mail(record, posts, account) {
  const sent = posts.map(({ number, to, sent, isFor }) => ({
    at: sent,
    text: `posted ${number ?? 'system message'} to ${to}${isFor(record, record.user) ? '' : ', not to it'}`,
  }));
  const got = record.notifications.map(({ at, number }) => ({ at, text: `received ${number}` }));
  const told = record.systemMessages.map((at) => ({ at, text: 'received system message' }));
  const uncertain = record.uncertain.map(({ from, to, least }) => ({
    at: from,
    text: `uncertain until ${clock(to, account)}, at least ${least}`,
  }));
  const log = record.log.map(({ at, what }) => ({ at, text: what }));
  return inOrder([...sent, ...got, ...told, ...uncertain, ...log], account);
}

/** Compares the receipt of a message with the number of pages that certainly get it. */
function compareReceipt(post, pages) {
  if (!post.receipt) return null;
  const least = pages.filter(({ record }) => isSureOf(record, post)).length;
  const { reached, kept } = post.receipt;
  const what = post.number === undefined ? 'a system message' : `notification ${post.number}`;
  return reached + kept < least && `the receipt of ${what} says ${reached} reached and ${kept} kept, but ${least} pages get it`;
}

/** The last events, one per line. */
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
