// Viewers of a busy case that never read. Their names have the maximum length, which makes the lists long.
//
// The kernel does not enlarge the receive buffer of a connection that is not read, so the daemon has to queue the lists. On the
// wire an é takes six bytes, because lists are sent in ASCII.

import { setTimeout as pause } from 'node:timers/promises';

import { many } from '../attack-tools.mjs';
import { event, frame, identify, member } from '../wire.mjs';

const CONCURRENCY = 50;
/** The longest name: 128 bytes. */
const longest = (name) => name.padEnd(name.length + (128 - name.length) / 2, 'é');

export default {
  full: { readers: 1_000, seconds: 20, cases: 1, rate: 20 },
  quick: { readers: 100, seconds: 2, cases: 1, rate: 20 },
  describe: ({ readers, seconds, rate }) =>
    `${readers} viewers with the longest names on one case, which changes ${rate} times a second for ${seconds} s, and none of them reads`,
  maxMiB: 512,

  run: viewWithoutReading,
};

/** Opens readers on `cases` busy cases, who never read, and has somebody open and leave each of these cases again and again. */
export async function viewWithoutReading({ public: port, readers, seconds, cases, rate }, tally) {
  const view = (name, socket, number) =>
    socket.write(Buffer.concat([frame(identify(longest(name))), frame(event('startViewingCase', `busy ${number}`))]));
  await many(readers, CONCURRENCY, async (number) => {
    try {
      const { socket, status } = await member(port, { from: number });
      tally.add(`websocket ${status}`);
      if (!socket) return;
      socket.on('close', () => tally.add('closed by the daemon'));
      socket.pause();
      view(`reader ${number}`, socket, number % cases);
    } catch {
      tally.add('closed early');
    }
  });
  const changers = [];
  for (let number = 0; number < cases; number += 1) {
    const { socket } = await member(port, { from: 1_000_000 + number });
    view(`changer ${number}`, socket, number);
    changers.push(socket);
  }
  const until = performance.now() + seconds * 1_000;
  for (let changes = 0; performance.now() < until; changes += 1) {
    const state = changes % 2 === 0 ? 'quiet' : 'busy';
    changers.forEach((socket, number) => socket.write(frame(event('startViewingCase', `${state} ${number}`))));
    await pause(1_000 / rate);
  }
}
