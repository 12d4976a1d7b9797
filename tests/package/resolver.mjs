// A name server for a box. It resolves every name to 127.0.0.1 and to no IPv6 address.
import { createSocket } from 'node:dgram';

import { answerTo } from './name-server.mjs';

const server = createSocket('udp4');

server.on('message', (query, { port, address }) => server.send(answerTo(query), port, address));
server.bind(53, '127.0.0.1');
