// More connections than the daemon may open files: half of them websockets, half silent. They stay open, so that no file is
// left for other browsers.

import { setTimeout as pause } from 'node:timers/promises';

import { many } from '../attack-tools.mjs';
import { connect, websocket } from '../wire.mjs';

const CONCURRENCY = 100;
/** Time after which the next connection is opened, because one in the backlog gets no answer. */
const ANSWER_MS = 200;

export default {
  full: { attackers: 6_000, files: 4_096, seconds: 20 },
  quick: { attackers: 1_500, files: 1_024, seconds: 3 },
  describe: ({ attackers, files, seconds }) => `${attackers} connections to a daemon that may open ${files} files, half of them silent, for ${seconds} s`,
  maxMiB: 128,

  async run({ public: port, attackers, seconds, pingInterval }, tally) {
    const open = async (number) => {
      const version = number % 4 < 2 ? 3 : 4;
      if (number % 2 === 0) return hold(await connect(port), 'silent');
      const { socket, status } = await websocket(port, { version, from: number, pingInterval });
      if (!socket) return tally.add(`websocket ${status}`);
      hold(socket, 'websocket 101');
    };
    const hold = (socket, kind) => {
      tally.add(kind);
      socket.on('close', () => tally.add(`${kind}, closed by the daemon`)).resume();
    };
    await many(attackers, CONCURRENCY, (number) => {
      const opened = open(number).catch(() => tally.add('closed early'));
      return Promise.race([opened, pause(ANSWER_MS)]);
    });
    await pause(seconds * 1_000);
  },
};
