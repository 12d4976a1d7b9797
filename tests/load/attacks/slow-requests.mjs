// Requests that arrive one byte a second, on both listeners: half of them with slow headers, half with a slow body. A
// connection that the daemon closes is opened again.

import { setTimeout as pause } from 'node:timers/promises';

import { connect, head, path, polling } from '../wire.mjs';

const BYTE_MS = 1_000;
const BODY = 'x'.repeat(1_000);

export default {
  full: { attackers: 600, seconds: 30 },
  quick: { attackers: 200, seconds: 3 },
  describe: ({ attackers, seconds }) =>
    `${attackers} requests on each listener, a byte a second for ${seconds} s: half in their headers, half in their body`,
  maxMiB: 128,

  async run({ public: publicPort, admin, attackers, seconds }, tally) {
    const until = performance.now() + seconds * 1_000;
    const targets = [
      { name: 'public', port: publicPort },
      { name: 'admin', port: admin, target: '/admin/notifications/' },
    ];
    const requests = targets.flatMap((target) => Array.from({ length: attackers }, (_, number) => sendSlowly(target, number, until, tally)));
    await Promise.all(requests);
  },
};

async function sendSlowly({ name, port, target }, number, until, tally) {
  while (performance.now() < until) {
    try {
      const socket = await connect(port);
      const at = target ?? path(await polling(socket, { from: number }));
      const headers = head('POST', at, { 'Content-Type': 'application/json', 'Content-Length': BODY.length });
      const [first, rest] = number % 2 === 0 ? [headers.slice(0, 20), headers.slice(20)] : [headers, BODY];
      socket.on('data', (data) => tally.add(`${name}: ${data.toString('latin1', 9, 12)}`));
      socket.write(first);
      for (const byte of rest) {
        await pause(BYTE_MS);
        if (!socket.writable || performance.now() > until) break;
        socket.write(byte);
      }
      if (performance.now() < until) tally.add(`${name}: cut off`);
      socket.destroy();
    } catch {
      tally.add(`${name}: no connection`);
      await pause(BYTE_MS);
    }
  }
}
