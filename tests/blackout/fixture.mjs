// A user of Chromium in the client's network namespace, and colleagues beside the daemon.
//
// Lives here: cutting and restoring the link, freezing the browser, a tab that records the events it receives.
// Not here: expectations (the tests), the network namespaces (`run`).
// Invariant: after each test the link is restored and the browser is not frozen.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

import { assertItems, launchThrough } from '../support/browser.mjs';
import { chs } from '../support/clients.mjs';
import { Office } from '../support/people.mjs';
import { LIMIT_MS, until } from '../support/wait.mjs';

export const CASE = 'AB-1234-5678';
/** Address of the site for browsers. */
export const SITE = 'http://chs.example.org';

/** Short heartbeats and grace, in milliseconds. */
export const QUICK = { interval: 1_000, timeout: 2_000, grace: 3_000 };
/** Heartbeats as shipped: neither end misses one during a test. In milliseconds. */
export const SHIPPED = { interval: 25_000, timeout: 45_000, grace: 3_000 };

/** Chromium in the network namespace of the client. */
export class RemoteBrowser {
  #server;
  #browser;

  static async launch() {
    const remote = new RemoteBrowser();
    const wrapper = fileURLToPath(new URL('chromium', import.meta.url));
    const launched = await launchThrough(wrapper, ['--host-resolver-rules=MAP chs.example.org 10.99.0.1']);
    [remote.#server, remote.#browser] = [launched.server, launched.browser];
    return remote;
  }

  /** Opens a case as a user, in its own browser profile. Returns when the connection uses its last transport. */
  async opensCase(name, transports = 'polling,websocket') {
    const tab = await this.loads(SITE, name, transports);
    await tab.listen(transports.split(',').at(-1));
    return tab;
  }

  /** Loads the case page as a user, from any address of the site. */
  async loads(site, name, transports = 'polling,websocket') {
    const context = await this.#browser.newContext();
    context.setDefaultTimeout(LIMIT_MS);
    const page = await context.newPage();
    const settings = new URLSearchParams({ server: site, name, usertype: 'operator', caseRef: CASE, transports });
    await page.goto(`${site}/call_centre/${CASE}/?${settings}`);
    return new Tab(page);
  }

  /** Stops every process of the browser with SIGSTOP. Returns their number. */
  freeze() {
    // First the process that starts others.
    process.kill(this.#pid, 'SIGSTOP');
    return this.#signal('SIGSTOP');
  }

  thaw() {
    this.#signal('SIGCONT');
  }

  /** Closes all pages. */
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

/** A CHS case page. */
class Tab {
  constructor(page) {
    this.page = page;
    this.viewers = page.getByRole('list', { name: 'People viewing' });
  }

  /** Makes the page record its events from now on, and waits until it uses the transport. */
  async listen(transport) {
    await this.page.evaluate(() => {
      window.heard = [];
      for (const event of ['connect', 'disconnect', 'peopleViewing', 'notification']) {
        socket.on(event, (payload) => heard.push({ event, payload }));
      }
    });
    await this.page.waitForFunction((name) => socket.connected && socket.io.engine.transport.name === name, transport);
  }

  /** Waits for the next answer to a heartbeat, at which both ends restart their time-outs. */
  async afterHeartbeat() {
    await this.page.evaluate(() => new Promise((resolve) => socket.io.engine.once('pong', resolve)));
  }

  /** The payloads of all events of a name since `listen`. */
  heard(event) {
    return this.page.evaluate((event) => heard.filter((it) => it.event === event).map((it) => it.payload), event);
  }

  /** Waits until the page has received an event, with this payload if one is given. */
  hears(event, payload) {
    const found = ({ event, payload }) =>
      heard.some((it) => it.event === event && (payload === undefined || it.payload === payload));
    return this.page.waitForFunction(found, { event, payload });
  }
}

/**
 * Runs a test function with a daemon behind nginx and two users on one case who see each other: adam beside the daemon, eve
 * in the remote browser. A failure prints the log of the daemon.
 */
export async function withAdamAndEve(t, remote, { interval, timeout, grace, env, transports }, run) {
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
  const link = new Link();
  try {
    const adam = await office.arrives(chs, 'adam', CASE);
    const tab = await remote.opensCase('eve', transports);
    await adam.shows(['adam', 'eve']);
    await run({ office, adam, tab, link, eve: new Eve(office, adam, tab) });
  } catch (error) {
    t.diagnostic(`the daemon logged:\n${office.daemon.log}`);
    throw error;
  } finally {
    link.restore();
    remote.thaw();
    await remote.clear();
  }
}

/** Eve, as the daemon and adam see her. */
class Eve {
  #office;
  #adam;
  #tab;
  #listsBefore;

  constructor(office, adam, tab) {
    [this.#office, this.#adam, this.#tab] = [office, adam, tab];
    this.#listsBefore = adam.heard('peopleViewing').length;
  }

  /** Her connections: pairs of id and entry of the people map. */
  async connections() {
    return Object.entries((await this.#office.daemon.peopleMap()).eve?.connections ?? {});
  }

  /** The id of her only connection. */
  async connection() {
    const [[id], ...others] = await this.connections();
    assert.deepEqual(others, []);
    return id;
  }

  /** Waits until the daemon counts all her connections as lost. */
  isLost() {
    return this.#becomes('lost', (all) => all.length > 0 && all.every(([, { lost }]) => lost));
  }

  /** Waits until she has a connection other than `old` that is on the case. */
  isBack(old) {
    const back = ([id, { lost, caseViewed }]) => id !== old && !lost && caseViewed === CASE;
    return this.#becomes('back on the case', (all) => all.some(back));
  }

  /** Waits until she has a connection other than `old`, on any case or none. */
  isThere(old) {
    return this.#becomes('there', (all) => all.some(([id, { lost }]) => id !== old && !lost));
  }

  /** Waits until she has exactly one connection and no lost one. */
  isThereOnce() {
    return this.#becomes('there once', (all) => all.length === 1 && !all[0][1].lost);
  }

  /** A third user opens the case; waits until eve and adam see it. By then adam has received every earlier list. */
  async followsAChange() {
    await this.#office.arrives(chs, 'cain', CASE);
    await this.#adam.hears('peopleViewing', ['adam', 'eve', 'cain']);
    await assertItems(this.#tab.viewers, ['adam', 'eve', 'cain']);
  }

  /** Checks that every list that adam has received so far names her. Returns the number of lists. */
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

/** The network link between client and server. */
class Link {
  #cut = false;

  /** Drops all packets in both directions from now on. Neither end gets an error. */
  cut() {
    run('nft', `table netdev blackout {
      chain from_client { type filter hook ingress device "veth" priority 0; policy accept; counter drop; }
      chain to_client { type filter hook egress device "veth" priority 0; policy accept; counter drop; }
    }`);
    this.#cut = true;
    return performance.now();
  }

  /**
   * Closes all connections in the client's kernel, as Windows does when an adapter loses its network. Chromium on Linux
   * never closes a websocket by itself: not offline, not with the interface down, not after the address was removed.
   */
  abortOnClient() {
    run('nsenter', `--net=${process.env.BLACKOUT_CLIENT}`, 'ss', '--kill', '--tcp', 'dst', '10.99.0.1');
  }

  /** Waits until the client has acknowledged all data of the server. */
  isQuiet() {
    const sockets = () => run('ss', '--tcp', '--numeric', '--no-header', 'src', '10.99.0.1').trim().split('\n');
    const areEmpty = () => sockets().every((line) => line.split(/\s+/)[2] === '0');
    return until('the send queues to be empty', areEmpty, { observe: sockets });
  }

  /** Restores the link. Returns the number of packets dropped in each direction. */
  restore() {
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

/** A process and all its descendants, the process itself first. */
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

/** Parent of a process; 0 if the process has ended. In the file, a name in parentheses stands before it. */
function parentOf(pid) {
  try {
    return Number(readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1).split(' ')[1]);
  } catch {
    return 0;
  }
}
