// Somebody in front of Chromium at the far end of a cable, and colleagues beside the daemon who watch.
//
// Lives here: the cable and what cuts it, the far browser and what freezes it, a tab that keeps what it heard.
// Not here: what is expected (the tests). The machines themselves are made by `run`.
// Invariant: a cut cable is whole again after the test, and a frozen browser moves again.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

import { assertItems, launchThrough } from '../support/browser.mjs';
import { chs } from '../support/clients.mjs';
import { Office } from '../support/people.mjs';
import { LIMIT_MS, until } from '../support/wait.mjs';

export const CASE = 'AB-1234-5678';
/** The site as browsers reach it. */
export const SITE = 'http://chs.example.org';

/** Heartbeats and grace of a daemon that nobody has to wait long for. */
export const QUICK = { interval: 1_000, timeout: 2_000, grace: 3_000 };
/** Heartbeats as shipped: neither end misses one during a test. */
export const PATIENT = { interval: 25_000, timeout: 45_000, grace: 3_000 };

/** Chromium at the client's end of the cable. */
export class FarBrowser {
  #server;
  #browser;

  static async launch() {
    const far = new FarBrowser();
    const wrapper = fileURLToPath(new URL('chromium', import.meta.url));
    const launched = await launchThrough(wrapper, ['--host-resolver-rules=MAP chs.example.org 10.99.0.1']);
    [far.#server, far.#browser] = [launched.server, launched.browser];
    return far;
  }

  /** Opens a case as somebody, in a profile of its own, and returns once the connection is on its last transport. */
  async opensCase(name, transports = 'polling,websocket') {
    const tab = await this.visits(SITE, name, transports);
    await tab.listen(transports.split(',').at(-1));
    return tab;
  }

  /** Loads the page of a case as somebody, from wherever the site is reached. */
  async visits(site, name, transports = 'polling,websocket') {
    const context = await this.#browser.newContext();
    context.setDefaultTimeout(LIMIT_MS);
    const page = await context.newPage();
    const settings = new URLSearchParams({ server: site, name, usertype: 'operator', caseRef: CASE, transports });
    await page.goto(`${site}/call_centre/${CASE}/?${settings}`);
    return new Tab(page);
  }

  /** Stops every process of the browser where it stands, and returns how many. */
  freeze() {
    // The one that starts others first.
    process.kill(this.#pid, 'SIGSTOP');
    return this.#signal('SIGSTOP');
  }

  thaw() {
    this.#signal('SIGCONT');
  }

  /** Closes whatever pages are open. */
  async clear() {
    await Promise.all(this.#browser.contexts().map((context) => context.close()));
  }

  async close() {
    await this.#browser.close();
    await this.#server.close();
  }

  get #pid() {
    return this.#server.process().pid;
  }

  #signal(signal) {
    const processes = family(this.#pid);
    for (const pid of processes) process.kill(pid, signal);
    return processes.length;
  }
}

/** A page of CHS on a case. */
class Tab {
  constructor(page) {
    this.page = page;
    this.viewers = page.getByRole('list', { name: 'People viewing' });
  }

  /** From here on, what the page hears is kept in it. */
  async listen(transport) {
    await this.page.evaluate(() => {
      window.heard = [];
      for (const event of ['connect', 'disconnect', 'peopleViewing', 'notification']) {
        socket.on(event, (payload) => heard.push({ event, payload }));
      }
    });
    await this.page.waitForFunction((name) => socket.connected && socket.io.engine.transport.name === name, transport);
  }

  /** Waits for the next answer to a heartbeat, after which both ends are as patient as they ever are. */
  async afterHeartbeat() {
    await this.page.evaluate(() => new Promise((resolve) => socket.io.engine.once('pong', resolve)));
  }

  /** The payloads of all events of that name since the page was opened. */
  heard(event) {
    return this.page.evaluate((event) => heard.filter((it) => it.event === event).map((it) => it.payload), event);
  }

  /** Waits until the page has heard that event, with that payload if one is given. */
  hears(event, payload) {
    const found = ({ event, payload }) =>
      heard.some((it) => it.event === event && (payload === undefined || it.payload === payload));
    return this.page.waitForFunction(found, { event, payload });
  }
}

/**
 * Plays a scene: a daemon behind nginx, adam beside it and eve in the far browser, both on the case, so that each sees
 * the other. If it does not go as it should, what the daemon logged is told.
 */
export async function play(t, far, { interval, timeout, grace, env, transports }, scene) {
  const office = await Office.open(t, {
    ports: [8005, 8006],
    env: {
      SITE_HOSTNAME: 'chs.example.org',
      CLA_PUBLIC__PING_INTERVAL_MS: interval,
      CLA_PUBLIC__PING_TIMEOUT_MS: timeout,
      CLA_PRESENCE__GRACE_MS: grace,
      CLA_LOG__LEVEL: 'debug',
      ...env,
    },
  });
  const cable = new Cable();
  try {
    const adam = await office.arrives(chs, 'adam', CASE);
    const tab = await far.opensCase('eve', transports);
    await adam.shows(['adam', 'eve']);
    await scene({ office, adam, tab, cable, eve: new Eve(office, adam, tab) });
  } catch (error) {
    t.diagnostic(`the daemon logged:\n${office.daemon.log}`);
    throw error;
  } finally {
    cable.mend();
    far.thaw();
    await far.clear();
  }
}

/** Eve, as the daemon and her colleagues see her. */
class Eve {
  #office;
  #adam;
  #tab;
  #listsBefore;

  constructor(office, adam, tab) {
    [this.#office, this.#adam, this.#tab] = [office, adam, tab];
    this.#listsBefore = adam.heard('peopleViewing').length;
  }

  /** Her connections by their ids, each with what the admin app knows about it. */
  async connections() {
    return Object.entries((await this.#office.daemon.peopleMap()).eve?.connections ?? {});
  }

  /** The id of her only connection. */
  async connection() {
    const [[id], ...others] = await this.connections();
    assert.deepEqual(others, []);
    return id;
  }

  /** Waits until all her connections have been given up, and their places are kept. */
  isLost() {
    return this.#becomes('lost', (all) => all.length > 0 && all.every(([, { lost }]) => lost));
  }

  /** Waits until another connection than that one is hers, and on the case. */
  isBack(old) {
    const back = ([id, { lost, caseViewed }]) => id !== old && !lost && caseViewed === CASE;
    return this.#becomes('back on the case', (all) => all.some(back));
  }

  /** Waits until another connection than that one is hers, wherever it is. */
  isThere(old) {
    return this.#becomes('there', (all) => all.some(([id, { lost }]) => id !== old && !lost));
  }

  /** Waits until she has one connection and no other place. */
  isThereOnce() {
    return this.#becomes('there once', (all) => all.length === 1 && !all[0][1].lost);
  }

  /** Somebody else opens the case, and her screen shows it. Whatever adam was told before, he has heard by then. */
  async followsAChange() {
    await this.#office.arrives(chs, 'cain', CASE);
    await this.#adam.hears('peopleViewing', ['adam', 'eve', 'cain']);
    await assertItems(this.#tab.viewers, ['adam', 'eve', 'cain']);
  }

  /** No list that adam was told since the scene began lacks her. Returns how many there were. */
  neverVanished() {
    const lists = this.#adam.heard('peopleViewing').slice(this.#listsBefore);
    assert.deepEqual(lists.filter((names) => !names.includes('eve')), []);
    return lists.length;
  }

  #becomes(description, condition) {
    return until(`eve to be ${description}`, async () => condition(await this.connections()), {
      observe: () => this.connections(),
    });
  }
}

/** The cable between the machines. */
class Cable {
  #cut = false;

  /** From now on whatever either machine sends is lost on the way, and neither is told. */
  cut() {
    run('nft', `table netdev blackout {
      chain from_client { type filter hook ingress device "cable" priority 0; policy accept; counter drop; }
      chain to_client { type filter hook egress device "cable" priority 0; policy accept; counter drop; }
    }`);
    this.#cut = true;
    return performance.now();
  }

  /**
   * The client's system gives up all connections, as Windows does when an adapter loses its network. Chromium on Linux
   * never gives up a websocket by itself: not offline, not with its interface down, not when the address has gone.
   */
  abortOnClient() {
    run('nsenter', `--net=${process.env.BLACKOUT_CLIENT}`, 'ss', '--kill', '--tcp', 'dst', '10.99.0.1');
  }

  /** Waits until all that the server has sent to the client has arrived. */
  isQuiet() {
    const sockets = () => run('ss', '--tcp', '--numeric', '--no-header', 'src', '10.99.0.1').trim().split('\n');
    const areEmpty = () => sockets().every((line) => line.split(/\s+/)[2] === '0');
    return until('the send queues to be empty', areEmpty, { observe: sockets });
  }

  /** The cable is whole again; returns how many packets were lost each way. */
  mend() {
    if (!this.#cut) return {};
    const { nftables } = JSON.parse(run('nft', '--json', 'list table netdev blackout'));
    run('nft', 'delete table netdev blackout');
    this.#cut = false;
    const rules = nftables.flatMap(({ rule }) => rule ?? []);
    return Object.fromEntries(rules.map(({ chain, expr }) => [chain, expr[0].counter.packets]));
  }
}

function run(command, ...words) {
  return execFileSync(command, words, { encoding: 'utf8' });
}

/** A process and all that it has started, itself first. */
function family(pid) {
  const children = new Map();
  for (const entry of readdirSync('/proc')) {
    if (!/^\d+$/.test(entry)) continue;
    const parent = parentOf(entry);
    children.set(parent, [...(children.get(parent) ?? []), Number(entry)]);
  }
  const all = [pid];
  for (const parent of all) all.push(...(children.get(parent) ?? []));
  return all;
}

/** What started a process, unless it has ended meanwhile. The name before it, in parentheses, may hold anything. */
function parentOf(pid) {
  try {
    return Number(readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1).split(' ')[1]);
  } catch {
    return 0;
  }
}
