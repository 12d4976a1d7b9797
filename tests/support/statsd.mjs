// A StatsD server that keeps every gauge and counter it receives.

import { createSocket } from 'node:dgram';
import { once } from 'node:events';

/** A StatsD server on a free port of 127.0.0.1. A gauge is its last value, a counter the sum of its values. */
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

  /** Waits for the next datagram. */
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
