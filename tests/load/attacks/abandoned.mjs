// Handshakes that are not followed up: websockets that are cut as soon as they are granted, and then sessions of long
// polling whose client never asks again, until there is no session left to have.
//
// Polling handshakes come over a few connections that stay open, as those of nginx may.

import { many } from '../crowd.mjs';
import { answer, connect, polling as shakeHands, upgrade } from '../wire.mjs';

const LINES = 50;

export default {
  full: { polling: 40_000, websockets: 10_000 },
  quick: { polling: 4_000, websockets: 1_000 },
  what: ({ polling, websockets }) =>
    `${websockets} websockets cut right after 101, then ${polling} polling handshakes without a second request`,
  mostMiB: 256,

  async run({ public: port, polling, websockets }, tally) {
    await many(websockets, LINES, async (number) => {
      const socket = await connect(port);
      socket.write(upgrade({ version: number % 2 === 0 ? 3 : 4, from: number }));
      tally.add(`websocket ${(await answer(socket)).status}`);
      if (number % 4 < 2) socket.resetAndDestroy();
      else socket.destroy();
    });
    await many(LINES, LINES, async (line) => {
      const socket = await connect(port);
      for (let number = line; number < polling; number += LINES) {
        const { status } = await shakeHands(socket, { version: number % 2 === 0 ? 3 : 4, from: number });
        tally.add(`polling ${status}`);
      }
      socket.destroy();
    });
  },
};
