// A name server of a box: every name is 127.0.0.1 and has no IPv6 address.
import { createSocket } from 'node:dgram';

import { answerTo } from './name-server.mjs';

const server = createSocket('udp4');

server.on('message', (query, { port, address }) => server.send(answerTo(query), port, address));
server.bind(53, '127.0.0.1');
