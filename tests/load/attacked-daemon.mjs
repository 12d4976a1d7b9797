// The daemon that is attacked, observed from outside.
//
// Lives here: starting and stopping it, its memory, open files and people, its health checks, its counters.
// Not here: bounds (`overload.mjs`), except that a daemon that exceeds its memory bound is killed at once, to protect the
// machine.

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

/** The allocator releases memory over some seconds. It has finished when a second released no more than this. */
const SETTLED_MIB = 0.25;

/** So many times in a row: the allocator may begin late. */
const QUIET = 2;
const SETTLING_MS = 1_000;
const MAX_SETTLING_MS = 20_000;

const scratch = mkdtempSync(path.join(os.tmpdir(), 'overload-'));
process.on('exit', () => rmSync(scratch, { recursive: true, force: true }));

export class AttackedDaemon {
  #daemon;
  /** Port of the health checks, as on loopback. Attackers use the other admin port, as on a private network. */
  #adminPort;
  #statsd;
  #watching;
  #isKilled = false;

  /** Starts a daemon that writes its places to a file, as under systemd, and sends its counters to a StatsD. */
  static async start({ files, env }) {
    const attacked = new AttackedDaemon();
    await attacked.#start(files, env);
    return attacked;
  }

  async #start(maxFiles, env) {
    this.#statsd = await Statsd.listen();
    const own = { CLA_STATSD__PORT: this.#statsd.port, CLA_PRESENCE__STATE_DIR: mkdtempSync(path.join(scratch, 'places-')) };
    const [publicPort, adminPort, privatePort] = await freePorts(3);
    const args = ['--admin-listen', `127.0.0.1:${privatePort}`];
    this.#daemon = await Daemon.start({ ports: [publicPort, adminPort], args, files: maxFiles, env: { ...own, ...env } });
    this.#adminPort = adminPort;
    this.ports = { public: publicPort, admin: privatePort };
  }

  /** Its resident memory and number of open files. */
  usage() {
    return { mib: this.#status('VmRSS'), files: files(this.#daemon.pid) };
  }

  /** Its usage after the allocator has released free memory. */
  async settled() {
    const deadline = performance.now() + MAX_SETTLING_MS;
    let quiet = 0;
    for (let last = this.usage(); ; ) {
      await pause(SETTLING_MS);
      const now = this.usage();
      quiet = last.mib - now.mib <= SETTLED_MIB ? quiet + 1 : 0;
      if (quiet === QUIET || performance.now() > deadline) return now;
      last = now;
    }
  }

  #runs() {
    return existsSync(`/proc/${this.#daemon.pid}/fd/2`);
  }

  /** Its usage and number of sessions, while only the bystanders are connected. */
  async atRest() {
    return { ...this.usage(), sessions: await this.#sessions() };
  }

  #status(field) {
    assert.ok(this.#runs(), 'the daemon has ended');
    return memory(this.#daemon.pid, field) / MIB;
  }

  /** Watches memory and health until `unwatch`. `failure` rejects when the daemon has ended or was killed. */
  watch(maxMiB) {
    // Resets the peak of resident memory.
    writeFileSync(`/proc/${this.#daemon.pid}/clear_refs`, '5');
    const health = { slowest: 0, failures: [] };
    const timers = [];
    this.failure = new Promise((_, reject) => {
      const checkPeak = () => {
        const peak = this.#status('VmHWM');
        if (peak <= maxMiB) return;
        this.kill();
        reject(new Error(`resident memory reached ${peak.toFixed(0)} MiB, bound ${maxMiB}`));
      };
      timers.push(setInterval(() => attempt(checkPeak, reject), WATCH_MS));
    });
    this.failure.catch(() => {});
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

  /** People, sessions and open files of attackers that the daemon has not released, compared with `before`. */
  async leftovers(before) {
    const people = Object.keys(await this.#daemon.peopleMap()).filter((name) => !/^(switcher|watcher) \d$/.test(name));
    // One file belongs to the request above.
    const left = this.usage().files - before.files - 1;
    const sessions = (await this.#sessions()) - before.sessions;
    return Object.entries({ people: people.length, files: left, sessions })
      .filter(([, count]) => count > 0)
      .map(([what, count]) => `${count} ${what}`);
  }

  async #sessions() {
    const page = await (await fetch(`${this.#daemon.adminUrl}/metrics`)).text();
    return Number(page.match(/^cla_socketserver_sessions (\d+)$/m)[1]);
  }

  async assertAcceptsClients() {
    const { socket } = await member(this.ports.public, { from: 999 });
    assert.ok(socket, 'no client can connect after the attack');
    socket.destroy();
  }

  /** Stops it as systemd does. Returns its counters. */
  async stop() {
    await this.#daemon.stop();
    return this.#statsd.counters;
  }

  /** Kills the daemon, if it runs, and closes the StatsD. */
  kill() {
    this.#watching?.timers.forEach(clearInterval);
    if (this.#isKilled) return;
    this.#isKilled = true;
    if (this.#runs()) process.kill(this.#daemon.pid, 'SIGKILL');
    this.#statsd.close();
  }
}

/** Resolves if the daemon is ready, asked over a new connection. */
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
