// Thirty megabytes from each of many connections: as one frame, as fragments of one message, and as the body of a POST with
// and without a length, on both listeners. A connection that the daemon closes is opened again.

import { setTimeout as pause } from 'node:timers/promises';

import { pour } from '../attack-tools.mjs';
import { NAMESPACE, answer, connect, frame, head, member, path, polling } from '../wire.mjs';

const HUGE = 30_000_000;
const CHUNK = Buffer.alloc(50_000, 'x');
const AGAIN_MS = 50;
const CONTINUATION = 0x0;

/** The first bytes of each attack, and the bytes that it repeats. */
const SHAPES = {
  frame: { begins: frame(`42${NAMESPACE}["`, { claimed: HUGE }), repeats: CHUNK },
  fragments: { begins: frame(`42${NAMESPACE}["`, { fin: false }), repeats: frame(CHUNK, { opcode: CONTINUATION, fin: false }) },
};

export default {
  full: { attackers: 100, seconds: 20 },
  quick: { attackers: 40, seconds: 2 },
  describe: ({ attackers, seconds }) =>
    `${attackers} connections of each kind for ${seconds} s: 30 MB in a websocket frame, in fragments, in POSTs with a length and in chunks, on both listeners`,
  maxMiB: 128,

  async run({ public: port, admin, attackers, seconds }, tally) {
    const until = performance.now() + seconds * 1_000;
    const kinds = [
      ...Object.entries(SHAPES).map(([name, shape]) => (number) => overWebsocket(port, name, shape, number, until, tally)),
      (number) => byPost(port, number, until, tally),
      (number) => byPost(admin, number, until, tally, '/admin/notifications/'),
    ];
    const again = async (attack, number) => {
      while (performance.now() < until) {
        await attack(number).catch(() => tally.add('closed early'));
        await pause(AGAIN_MS);
      }
    };
    await Promise.all(kinds.flatMap((kind) => Array.from({ length: attackers }, (_, number) => again(kind, number))));
  },
};

async function overWebsocket(port, name, { begins, repeats }, number, until, tally) {
  const { socket, status } = await member(port, { from: number });
  if (!socket) return tally.add(`websocket ${status}`);
  socket.resume().write(begins);
  await pour(socket, repeats, Math.min(until, performance.now() + 5_000));
  tally.add(`${name}: ${socket.writable ? 'still sending at the end' : 'cut off'}`);
  socket.destroy();
}

async function byPost(port, number, until, tally, target) {
  const socket = await connect(port);
  try {
    const session = target ? undefined : (await polling(socket, { from: number })).session;
    const length = number % 2 === 0 ? { 'Content-Length': HUGE } : { 'Transfer-Encoding': 'chunked' };
    const chunk = number % 2 === 0 ? CHUNK : Buffer.concat([Buffer.from(`${CHUNK.length.toString(16)}\r\n`), CHUNK, Buffer.from('\r\n')]);
    const answered = answer(socket).catch(() => ({ status: 'cut off' }));
    socket.write(head('POST', target ?? path({ session }), { 'Content-Type': 'application/json', ...length }));
    await pour(socket, chunk, Math.min(until, performance.now() + 5_000));
    const { status } = await Promise.race([answered, pause(1_000, { status: 'still sending at the end' })]);
    tally.add(`${target ? 'admin POST' : 'polling POST'}: ${status}`);
  } finally {
    socket.destroy();
  }
}
