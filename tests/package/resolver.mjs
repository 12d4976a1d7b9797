// A name server of a box: whoever is asked for, lives at 127.0.0.1 and has no IPv6 address.
import { createSocket } from 'node:dgram';

const A = 1;
const server = createSocket('udp4');

server.on('message', (query, { port, address }) => {
  // The name ends with an empty label; two bytes of type and two of class follow.
  const end = query.indexOf(0, 12) + 5;
  const answers = query.readUInt16BE(end - 4) === A ? 1 : 0;
  const header = Buffer.from([query[0], query[1], 0x81, 0x80, 0, 1, 0, answers, 0, 0, 0, 0]);
  const answer = Buffer.from([0xc0, 12, 0, A, 0, 1, 0, 0, 0, 60, 0, 4, 127, 0, 0, 1]);
  server.send(Buffer.concat([header, query.subarray(12, end), answers ? answer : Buffer.alloc(0)]), port, address);
});
server.bind(53, '127.0.0.1');
