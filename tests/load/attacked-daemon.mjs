// The daemon that is attacked, watched from outside.
//
// Lives here: starting and stopping it, its memory, files and people, its health while it is attacked, what it counts.
// Not here: bounds (`overload.mjs`), except that a daemon whose memory passes its own is killed at once, for the sake of
// the machine.

import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';

import { Daemon, freePorts } from '../support/daemon.mjs';
import { files, memory } from '../support/process.mjs';
import { Statsd } from '../support/statsd.mjs';
import { member } from './wire.mjs';

const MIB = 1024;
const WATCH_MS = 100;
const HEALTH_MS = 250;
const HEALTH_TIMEOUT_MS = 2_000;

/** The allocator gives back over some seconds. It is done when a second has brought no more than this. */
const SETTLED_MIB = 0.25;
const SETTLING_MS = 1_000;
const MOST_SETTLING_MS = 20_000;

const scratch = mkdtempSync(path.join(os.tmpdir(), 'overload-'));
process.on('exit', () => rmSync(scratch, { recursive: true, force: true }));

export class Victim {
  #daemon;
  /** For health checks, as an address of this machine. Strangers have the other, as on a private network. */
  #adminPort;
  #statsd;
  #watching;
  #gone = false;

  /** Starts it, with places written down as under systemd, and with a StatsD that counts along. */
  static async start({ files, env }) {
    const victim = new Victim();
    await victim.#start(files, env);
    return victim;
  }

  async #start(mostFiles, env) {
    this.#statsd = await Statsd.listen();
    const own = { CLA_STATSD__PORT: this.#statsd.port, CLA_PRESENCE__STATE_DIR: mkdtempSync(path.join(scratch, 'places-')) };
    const [publicPort, adminPort, privatePort] = await freePorts(3);
    const args = ['--admin-listen', `127.0.0.1:${privatePort}`];
    this.#daemon = await Daemon.start({ ports: [publicPort, adminPort], args, files: mostFiles, env: { ...own, ...env } });
    this.#adminPort = adminPort;
    this.ports = { public: publicPort, admin: privatePort };
  }

  /** What it holds: resident memory, open files. */
  holdings() {
    return { mib: this.#status('VmRSS'), files: files(this.#daemon.pid) };
  }

  /** What it holds when it no longer gives back memory. */
  async settled() {
    const deadline = performance.now() + MOST_SETTLING_MS;
    for (let last = this.holdings(); ; ) {
      await pause(SETTLING_MS);
      const now = this.holdings();
      if (last.mib - now.mib <= SETTLED_MIB || performance.now() > deadline) return now;
      last = now;
    }
  }

  #runs() {
    return existsSync(`/proc/${this.#daemon.pid}/fd/2`);
  }

  /** The same, and sessions, while there is nobody but the bystanders. */
  async atRest() {
    return { ...this.holdings(), sessions: await this.#sessions() };
  }

  #status(field) {
    assert.ok(this.#runs(), 'the daemon is gone');
    return memory(this.#daemon.pid, field) / MIB;
  }

  /** Watches memory and health until `unwatch`; `trouble` rejects when there is no point in going on. */
  watch(mostMiB) {
    // From here on, the high-water mark of resident memory is that of this round.
    writeFileSync(`/proc/${this.#daemon.pid}/clear_refs`, '5');
    const health = { slowest: 0, failures: [] };
    const timers = [];
    this.trouble = new Promise((_, reject) => {
      const look = () => {
        const peak = this.#status('VmHWM');
        if (peak <= mostMiB) return;
        this.kill();
        reject(new Error(`resident memory reached ${peak.toFixed(0)} MiB, bound ${mostMiB}`));
      };
      timers.push(setInterval(() => attempt(look, reject), WATCH_MS));
    });
    this.trouble.catch(() => {});
    timers.push(setInterval(() => this.#checkHealth(health), HEALTH_MS));
    this.#watching = { health, timers };
  }

  unwatch() {
    const { health, timers } = this.#watching;
    timers.forEach(clearInterval);
    return { health, peak: this.#status('VmHWM') };
  }

  async #checkHealth(health) {
    const begun = performance.now();
    try {
      await ready(this.#adminPort);
      health.slowest = Math.max(health.slowest, performance.now() - begun);
    } catch (error) {
      health.failures.push(error.message);
    }
  }

  /** What attackers have left behind: people, sessions without one, and files beyond those of `before`. */
  async strangers(before) {
    const people = Object.keys(await this.#daemon.peopleMap()).filter((name) => !/^(walker|watcher) \d$/.test(name));
    // The request just made has a file of its own.
    const left = this.holdings().files - before.files - 1;
    const sessions = (await this.#sessions()) - before.sessions;
    return Object.entries({ people: people.length, files: left, sessions })
      .filter(([, count]) => count > 0)
      .map(([what, count]) => `${count} ${what}`);
  }

  async #sessions() {
    const page = await (await fetch(`${this.#daemon.adminUrl}/metrics`)).text();
    return Number(page.match(/^cla_socketserver_sessions (\d+)$/m)[1]);
  }

  async letsSomebodyIn() {
    const { socket } = await member(this.ports.public, { from: 999 });
    assert.ok(socket, 'nobody is let in after the attack');
    socket.destroy();
  }

  /** Ends it as systemd does, and returns what it has counted. */
  async stop() {
    await this.#daemon.stop();
    return this.#statsd.counters;
  }

  /** Ends whatever still runs of it. */
  kill() {
    this.#watching?.timers.forEach(clearInterval);
    if (this.#gone) return;
    this.#gone = true;
    if (this.#runs()) process.kill(this.#daemon.pid, 'SIGKILL');
    this.#statsd.close();
  }
}

/** Whether it says that it is ready, over a connection of its own. */
function ready(port) {
  return new Promise((resolve, reject) => {
    const request = http.get({ port, path: '/readyz', agent: false, timeout: HEALTH_TIMEOUT_MS }, (response) => {
      response.resume();
      if (response.statusCode === 200) response.on('end', resolve);
      else reject(new Error(`status ${response.statusCode}`));
    });
    request.on('timeout', () => request.destroy(new Error(`no answer within ${HEALTH_TIMEOUT_MS} ms`)));
    request.on('error', reject);
  });
}

function attempt(act, failed) {
  try {
    act();
  } catch (error) {
    failed(error);
  }
}
