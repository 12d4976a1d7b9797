// Connections that keep their heartbeat and never identify, each from its own address: half of them have joined the
// namespace.

import { setTimeout as pause } from 'node:timers/promises';

import { many } from '../attack-tools.mjs';
import { member, websocket } from '../wire.mjs';

const CONCURRENCY = 100;

export default {
  full: { attackers: 10_000, seconds: 20 },
  quick: { attackers: 2_000, seconds: 2 },
  describe: ({ attackers, seconds }) => `${attackers} websockets that never identify, half of them not in the namespace, for ${seconds} s`,
  maxMiB: 256,

  async run({ public: port, attackers, seconds, pingInterval }, tally) {
    await many(attackers, CONCURRENCY, async (number) => {
      const version = number % 2 === 0 ? 3 : 4;
      const open = number % 4 < 2 ? websocket : member;
      const { status, socket } = await open(port, { version, from: number, pingInterval });
      tally.add(`websocket ${status}`);
      if (!socket) return;
      socket.on('close', () => tally.add('closed by the daemon'));
    });
    await pause(seconds * 1_000);
  },
};
