// Handshakes without a second request: websockets that are cut right after status 101, and then polling sessions, until
// every session is taken.
//
// Polling handshakes use a few connections that stay open, as behind nginx.

import { many } from '../attack-tools.mjs';
import { answer, connect, polling as shakeHands, upgrade } from '../wire.mjs';

const CONNECTIONS = 50;

export default {
  full: { polling: 40_000, websockets: 10_000 },
  quick: { polling: 4_000, websockets: 1_000 },
  describe: ({ polling, websockets }) =>
    `${websockets} websockets cut right after 101, then ${polling} polling handshakes without a second request`,
  maxMiB: 256,

  async run({ public: port, polling, websockets }, tally) {
    await many(websockets, CONNECTIONS, async (number) => {
      const socket = await connect(port);
      socket.write(upgrade({ version: number % 2 === 0 ? 3 : 4, from: number }));
      tally.add(`websocket ${(await answer(socket)).status}`);
      if (number % 4 < 2) socket.resetAndDestroy();
      else socket.destroy();
    });
    await many(CONNECTIONS, CONNECTIONS, async (first) => {
      const socket = await connect(port);
      for (let number = first; number < polling; number += CONNECTIONS) {
        const { status } = await shakeHands(socket, { version: number % 2 === 0 ? 3 : 4, from: number });
        tally.add(`polling ${status}`);
      }
      socket.destroy();
    });
  },
};
