// Runs the real daemon for every test that is written in JavaScript.
//
// Lives here: free ports, start, stop, restart, requests to the admin listener.
// Not here: Socket.IO (`people.mjs`), time-outs (`wait.mjs`).
// Invariant: every stop checks that the daemon exits with 0 and has not panicked.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import net from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';

import { within } from './wait.mjs';

export class Daemon {
  #command;
  #env;
  #child;
  #ended;
  #log = '';

  /**
   * Starts a daemon and returns when it is ready. Without `ports` (public, admin) it gets two free ones. `files` is its
   * limit of open files, by default the limit of this process.
   */
  static async start({ args = [], env = {}, ports, files } = {}) {
    for (;;) {
      const daemon = new Daemon(ports ?? (await freePorts(2)), args, env, files);
      try {
        await daemon.start();
        return daemon;
      } catch (error) {
        // Another test may have taken a port after it was found to be free.
        if (ports || !error.message.includes('Address already in use')) throw error;
      }
    }
  }

  constructor([publicPort, adminPort], args, env, files) {
    this.publicUrl = `http://127.0.0.1:${publicPort}`;
    this.adminUrl = `http://127.0.0.1:${adminPort}`;
    const listen = ['--public-listen', `127.0.0.1:${publicPort}`, '--admin-listen', `127.0.0.1:${adminPort}`];
    this.#command = [...(files ? ['prlimit', `--nofile=${files}`] : []), binary(), ...listen, ...args];
    // The daemon does not inherit the variables of the developer's shell: they would change the test.
    this.#env = { PATH: process.env.PATH, ...env };
  }

  /** Starts the daemon, after a stop on the same ports, so that clients reconnect. */
  async start() {
    const [program, ...args] = this.#command;
    const child = spawn(program, args, { env: this.#env, stdio: ['ignore', 'ignore', 'pipe'] });
    child.stderr.setEncoding('utf8').on('data', (text) => (this.#log += text));
    this.#child = child;
    this.#ended = once(child, 'close');
    running.add(child);
    const failed = this.#ended.then(([code, signal]) => {
      running.delete(child);
      throw new Error(`the daemon ended (${code ?? signal}) before it was ready${this.#tail()}`);
    });
    // The race below handles an end before readiness; `stop` checks every later one.
    failed.catch(() => {});
    await this.#orKill(Promise.race([this.#ready(), failed]), 'the daemon to become ready');
  }

  /** Sends SIGTERM, as systemd does, and checks the exit code and the log. */
  async stop() {
    this.#child.kill('SIGTERM');
    const [code, signal] = await this.#orKill(this.#ended, 'the daemon to end after SIGTERM');
    assert.equal(code, 0, `the daemon ended with ${code ?? signal}${this.#tail()}`);
    assert.ok(!this.#log.includes('panicked'), `the daemon panicked${this.#tail()}`);
  }

  /** Process id. */
  get pid() {
    return this.#child.pid;
  }

  /** The log so far. */
  get log() {
    return this.#log;
  }

  /** The people map of the admin app: users by name. */
  async peopleMap() {
    const response = await fetch(`${this.adminUrl}/admin/peopleMap/`);
    assert.equal(response.status, 200);
    return response.json();
  }

  /** A user's connections: pairs of id and entry of the people map. */
  async connectionsOf(username) {
    return Object.entries((await this.peopleMap())[username].connections);
  }

  /** Posts a notification to the browsers of a user type, as cla_backend does. */
  async notify(notifications, usertype) {
    const response = await fetch(`${this.adminUrl}/admin/notifications/`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({ notifications, usertype }),
    });
    assert.equal(response.status, 200);
    const answer = await response.json();
    assert.equal(answer.success, true);
    assert.equal(answer.activeTab, 'notifications');
  }

  /** Sends the admin form: `{ selectedClients: 'true', socketID: […] }` or `{ allClients: 'true' }`. */
  async broadcast({ socketID = [], ...buttons }) {
    const form = new URLSearchParams({ msg: '1', ...buttons });
    socketID.forEach((id) => form.append('socketID', id));
    const response = await fetch(`${this.adminUrl}/admin/broadcast/`, { method: 'POST', body: form });
    assert.equal(response.status, 200, await response.text());
  }

  async #ready() {
    const child = this.#child;
    while (child.exitCode === null && child.signalCode === null) {
      if (await answers(`${this.adminUrl}/readyz`)) return;
      await pause(10);
    }
    await this.#ended;
  }

  async #orKill(promise, description) {
    try {
      return await within(promise, () => `${description}${this.#tail()}`);
    } catch (error) {
      this.#child.kill('SIGKILL');
      throw error;
    }
  }

  #tail() {
    return `; it logged:\n${this.#log.slice(-4000) || '(nothing)'}`;
  }
}

/** Free TCP ports of 127.0.0.1, all different. */
export async function freePorts(count) {
  const servers = Array.from({ length: count }, () => net.createServer().listen(0, '127.0.0.1'));
  await Promise.all(servers.map((server) => once(server, 'listening')));
  const ports = servers.map((server) => server.address().port);
  await Promise.all(servers.map((server) => once(server.close(), 'close')));
  return ports;
}

function binary() {
  const path = process.env.SOCKETSERVER_BIN;
  assert.ok(path, 'SOCKETSERVER_BIN must be the path of the daemon');
  return path;
}

/** Whether a GET returns status 200. False while nothing listens yet. */
async function answers(url) {
  try {
    return (await fetch(url)).ok;
  } catch {
    return false;
  }
}

// Ends the daemons of a test run that is interrupted.
const running = new Set();
process.on('exit', () => running.forEach((child) => child.kill('SIGKILL')));
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => process.exit(1));
