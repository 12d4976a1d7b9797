// One connection that sends as fast as the daemon reads: events, heartbeats, malformed events, and bytes by polling. It
// reconnects at once when it is closed.

import { setTimeout as pause } from 'node:timers/promises';

import { pour } from '../attack-tools.mjs';
import { NAMESPACE, answer, connect, event, frame, identify, member, polling, post } from '../wire.mjs';

const CHUNK = 64 * 1024;
/** Pause before a reconnect, so that the attack does not test the rate of connections. */
const RECONNECT_MS = 5;

const filled = (...packets) => {
  const frames = Buffer.concat(packets.map((packet) => frame(packet)));
  return Buffer.concat(Array(Math.ceil(CHUNK / frames.length)).fill(frames));
};

const FLOODS = {
  events: filled(event('startViewingCase', 'one'), event('startViewingCase', 'other')),
  heartbeats: filled('2', '3'),
  'malformed events': filled(`42${NAMESPACE}["identify",7]`, event('startViewingCase', 'x'.repeat(200)), event('nonsense')),
};

const NOISE = event('nonsense', 'x'.repeat(16_000));

export default {
  full: { seconds: 10 },
  quick: { seconds: 0.7 },
  describe: ({ seconds }) =>
    `one connection that sends as fast as it is read, ${seconds} s each: events, heartbeats, malformed events, bytes by polling`,
  maxMiB: 32,

  async run({ public: port, seconds }, tally) {
    for (const [name, chunk] of Object.entries(FLOODS)) {
      const until = performance.now() + seconds * 1_000;
      while (performance.now() < until) await flood(port, chunk, until, name, tally);
    }
    const until = performance.now() + seconds * 1_000;
    while (performance.now() < until) await floodByPolling(port, until, tally);
  },
};

async function flood(port, chunk, until, name, tally) {
  try {
    const { socket, status } = await member(port, { from: 7 });
    if (!socket) return tally.add(`${name}: ${status}`);
    socket.resume().write(frame(identify('flood')));
    const times = await pour(socket, chunk, until);
    tally.add(`${name}: MB`, Math.round((times * chunk.length) / 1e6));
    if (performance.now() < until) tally.add(`${name}: connections closed by the daemon`);
    socket.destroy();
  } catch {
    tally.add(`${name}: closed early`);
  }
  await pause(RECONNECT_MS);
}

async function floodByPolling(port, until, tally) {
  try {
    const socket = await connect(port);
    let { status, session } = await polling(socket, { from: 7 });
    if (!session) tally.add(`polling: ${status}`);
    for (let body = `40${NAMESPACE}`; session && status === 200 && performance.now() < until; body = NOISE) {
      socket.write(post(session, body));
      ({ status } = await answer(socket));
      tally.add(`polling: POSTs answered ${status}`);
    }
    socket.destroy();
  } catch {
    tally.add('polling: closed early');
  }
  await pause(RECONNECT_MS);
}
