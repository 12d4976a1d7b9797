// Viewers of a busy case that never read. Their names have the maximum length, which makes the lists long.
//
// The kernel does not enlarge the receive buffer of a connection that is not read, so the daemon has to queue the lists.

import { setTimeout as pause } from 'node:timers/promises';

import { many } from '../attack-tools.mjs';
import { event, frame, identify, member } from '../wire.mjs';

const CONCURRENCY = 50;
const CHANGE_MS = 50;
const NAME_BYTES = 128;

export default {
  full: { readers: 1_000, seconds: 20 },
  quick: { readers: 100, seconds: 2 },
  describe: ({ readers, seconds }) =>
    `${readers} viewers with the longest names on one case, which changes 20 times a second for ${seconds} s, and none of them reads`,
  maxMiB: 512,

  async run({ public: port, readers, seconds }, tally) {
    const view = (name, socket) =>
      socket.write(Buffer.concat([frame(identify(name.padEnd(NAME_BYTES, '.'))), frame(event('startViewingCase', 'busy'))]));
    const changer = await member(port, { from: 1_000_000 });
    await many(readers, CONCURRENCY, async (number) => {
      try {
        const { socket, status } = await member(port, { from: number });
        tally.add(`websocket ${status}`);
        if (!socket) return;
        socket.on('close', () => tally.add('closed by the daemon'));
        socket.pause();
        view(`reader ${number}`, socket);
      } catch {
        tally.add('closed early');
      }
    });
    view('changer', changer.socket);
    const until = performance.now() + seconds * 1_000;
    for (let changes = 0; performance.now() < until; changes += 1) {
      changer.socket.write(frame(event('startViewingCase', changes % 2 === 0 ? 'quiet' : 'busy')));
      await pause(CHANGE_MS);
    }
  },
};
