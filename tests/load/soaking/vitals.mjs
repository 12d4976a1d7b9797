// What the daemon costs while it is soaked, and what it says of itself.
//
// Lives here: its memory, its files, its metrics, its log. Not here: presence (`audit.mjs`).

import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';

/** How much more resident memory the last third may have at most than the first, after it has warmed up. */
const MORE = 1.1;
const MORE_KIB = 2 * 1024;

/** Resident memory of a process in KiB. */
export function resident(pid) {
  return Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))[1]);
}

/** How many files a process has open. */
export function files(pid) {
  return readdirSync(`/proc/${pid}/fd`).length;
}

/** What is wrong with samples of resident memory, or null. In a long soak the first of them is only to warm up. */
export function growth(samples) {
  const warm = samples.length > 3 ? samples.slice(1) : samples;
  const third = Math.ceil(warm.length / 3);
  const [first, last] = [Math.max(...warm.slice(0, third)), Math.max(...warm.slice(-third))];
  const bound = Math.round(first * MORE + MORE_KIB);
  return last > bound ? `resident memory grew from ${first} to ${last} KiB, where ${bound} are allowed` : null;
}

/** Lines of the log that should not be there. */
export function complaints(log) {
  const lines = log.split('\n').filter((line) => line !== '');
  return lines.filter((line) => !/"level":"(INFO|DEBUG)"/.test(line));
}

/** A StatsD that remembers. */
export class Statsd {
  gauges = {};
  counters = {};
  #socket;

  static async listen() {
    const statsd = new Statsd();
    statsd.#socket = createSocket('udp4').on('message', (message) => statsd.#hears(message.toString()));
    await once(statsd.#socket.bind(0, '127.0.0.1'), 'listening');
    return statsd;
  }

  get port() {
    return this.#socket.address().port;
  }

  /** Waits for the next that it is told. */
  async news() {
    await once(this.#socket, 'message');
  }

  close() {
    this.#socket.close();
  }

  #hears(message) {
    for (const line of message.split('\n')) {
      const [, name, value, kind] = /^(.+):(\d+)\|(\w+)$/.exec(line) ?? [];
      if (kind === 'g') this.gauges[name] = Number(value);
      if (kind === 'c') this.counters[name] = (this.counters[name] ?? 0) + Number(value);
    }
  }
}
