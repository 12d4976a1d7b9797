// Runs the real daemon for every suite that is written in JavaScript.
//
// Lives here: free ports, start, stop, restart, requests to the admin listener, waiting with a limit.
// Not here: Socket.IO (`people.mjs`).
// Invariant: a daemon that stops must exit with 0 and must not have panicked, so every test checks both.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import net from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';

/** Longest that anything is waited for. Reached only by a test that fails. */
export const LIMIT_MS = 10_000;

export class Daemon {
  #command;
  #env;
  #child;
  #ended;
  #log = '';

  /**
   * Starts a daemon, on two free ports unless they are given, and returns once it says that it is ready. It may open
   * as many `files` as this process, unless that is given.
   */
  static async start({ args = [], env = {}, ports, files } = {}) {
    const daemon = new Daemon(ports ?? (await freePorts(2)), args, env, files);
    await daemon.start();
    return daemon;
  }

  constructor([publicPort, adminPort], args, env, files) {
    this.publicUrl = `http://127.0.0.1:${publicPort}`;
    this.adminUrl = `http://127.0.0.1:${adminPort}`;
    const listen = ['--public-listen', `127.0.0.1:${publicPort}`, '--admin-listen', `127.0.0.1:${adminPort}`];
    this.#command = [...(files ? ['prlimit', `--nofile=${files}`] : []), binary(), ...listen, ...args];
    // Nothing is inherited: what a developer has exported must not decide what is tested.
    this.#env = { PATH: process.env.PATH, ...env };
  }

  /** Starts it on the ports it had before, so that clients find it again. */
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
    // Heard above while it starts; once it is ready its end is looked at by `stop`.
    failed.catch(() => {});
    await this.#orKill(Promise.race([this.#ready(), failed]), 'the daemon to become ready');
  }

  /** Asks it to end as systemd does, and checks that it ended well. */
  async stop() {
    this.#child.kill('SIGTERM');
    const [code, signal] = await this.#orKill(this.#ended, 'the daemon to end after SIGTERM');
    assert.equal(code, 0, `the daemon ended with ${code ?? signal}${this.#tail()}`);
    assert.ok(!this.#log.includes('panicked'), `the daemon panicked${this.#tail()}`);
  }

  /** The id of its process. */
  get pid() {
    return this.#child.pid;
  }

  /** What it has logged so far. */
  get log() {
    return this.#log;
  }

  /** Everybody who is connected, by user name. */
  async peopleMap() {
    const response = await fetch(`${this.adminUrl}/admin/peopleMap/`);
    assert.equal(response.status, 200);
    return response.json();
  }

  /** The ids of a user's connections, each with what the admin app knows about it. */
  async connectionsOf(username) {
    return Object.entries((await this.peopleMap())[username].connections);
  }

  /** Posts a message to the browsers of a user type, as cla_backend does. */
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

  async #orKill(promise, what) {
    try {
      return await within(promise, () => `${what}${this.#tail()}`);
    } catch (error) {
      this.#child.kill('SIGKILL');
      throw error;
    }
  }

  #tail() {
    return `; it logged:\n${this.#log.slice(-4000) || '(nothing)'}`;
  }
}

/** Waits for a promise, but not for ever. `what` is asked only when it took too long. */
export async function within(promise, what, limitMs = LIMIT_MS) {
  let timer;
  const limit = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`waited ${limitMs} ms for ${what()}`)), limitMs);
  });
  try {
    return await Promise.race([promise, limit]);
  } finally {
    clearTimeout(timer);
  }
}

/** Ports that nobody listens on, all different. */
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

/** Whether a GET is answered with 200. Nobody listening yet is an answer too: no. */
async function answers(url) {
  try {
    return (await fetch(url)).ok;
  } catch {
    return false;
  }
}

// A test run that ends early must not leave a daemon behind.
const running = new Set();
process.on('exit', () => running.forEach((child) => child.kill('SIGKILL')));
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => process.exit(1));
