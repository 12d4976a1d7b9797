// A case with many viewers that flap: half of them leave the case and open it again, half disconnect and reconnect. All of
// them read, and use Engine.IO 3 as CHS does.

import { setTimeout as pause } from 'node:timers/promises';

import { many } from '../attack-tools.mjs';
import { event, frame, identify, member } from '../wire.mjs';

const CONCURRENCY = 50;
const CASE = 'flapping';

export default {
  full: { viewers: 2_000, flapsPerSecond: 200, seconds: 20 },
  quick: { viewers: 250, flapsPerSecond: 200, seconds: 2 },
  describe: ({ viewers, flapsPerSecond, seconds }) =>
    `${viewers} viewers of one case who read; ${flapsPerSecond} times a second for ${seconds} s one of them leaves the case or the daemon and is back at once`,
  maxMiB: 512,

  async run({ public: port, viewers, flapsPerSecond, seconds, pingInterval }, tally) {
    const sockets = new Map();
    const arrive = async (number) => {
      try {
        const { socket, status } = await member(port, { version: 3, from: number, pingInterval });
        tally.add(`websocket ${status}`);
        if (!socket) return;
        socket.on('close', () => socket.left || tally.add('closed by the daemon'));
        socket.write(Buffer.concat([identify(`viewer ${number}`), event('startViewingCase', CASE)].map((packet) => frame(packet))));
        sockets.set(number, socket);
      } catch {
        tally.add('closed early');
      }
    };
    const flap = (number) => {
      const socket = sockets.get(number);
      if (number % 2 === 0 && socket?.writable) {
        return socket.write(Buffer.concat([event('stopViewingCase', CASE), event('startViewingCase', CASE)].map((packet) => frame(packet))));
      }
      if (socket) Object.assign(socket, { left: true }).destroy();
      return arrive(number);
    };
    await many(viewers, CONCURRENCY, arrive);
    const until = performance.now() + seconds * 1_000;
    for (let flaps = 0; performance.now() < until; flaps += 1) {
      flap(flaps % viewers);
      if (flaps % 10 === 9) await pause(10_000 / flapsPerSecond);
    }
  },
};
