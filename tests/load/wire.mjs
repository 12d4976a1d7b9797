// Engine.IO and websockets without a client library, so that an attacker is cheap and can break the protocol.
//
// Lives here: TCP connections, requests, frames, handshakes. Not here: attacks (attacks/).

import { once } from 'node:events';
import net from 'node:net';

export const TEXT = 0x1;
/** Time-out for an answer. */
const TIMEOUT_MS = 10_000;
const HEAD_END = '\r\n\r\n';

/** The namespace of the daemon in a packet. */
export const NAMESPACE = '/socket.io,';

/** The packet of an event, the same in both versions of Engine.IO. */
export const event = (...args) => `42${NAMESPACE}${JSON.stringify(args)}`;

export const identify = (username) => event('identify', { username, usertype: 'operator', appVersion: '1.0' });

/** A client address for `X-Real-IP`: a different one for each number. */
export const address = (number) => `10.${(number >> 16) & 255}.${(number >> 8) & 255}.${number & 255}`;

/** Opens a TCP connection. Its errors are ignored; an error also closes it. */
export async function connect(port) {
  const socket = net.connect({ port, host: '127.0.0.1', noDelay: true });
  socket.setMaxListeners(0);
  await once(socket, 'connect');
  socket.on('error', () => {});
  return socket;
}

/** The head of a request, including the empty line. */
export function head(method, path, headers = {}) {
  const lines = Object.entries({ Host: '127.0.0.1', ...headers }).map(([name, value]) => `${name}: ${value}\r\n`);
  return `${method} ${path} HTTP/1.1\r\n${lines.join('')}\r\n`;
}

/** The path of a session, or of its handshake if `session` is missing. */
export function path({ version = 4, transport = 'polling', session }) {
  return `/socket.io/?EIO=${version}&transport=${transport}${session ? `&sid=${session}` : ''}`;
}

/** The request for a websocket as forwarded by nginx. */
export function upgrade({ version, from = 0 }) {
  return head('GET', path({ version, transport: 'websocket' }), {
    'X-Real-IP': address(from),
    Connection: 'Upgrade',
    Upgrade: 'websocket',
    'Sec-WebSocket-Version': 13,
    'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==',
  });
}

/** A client's frame, with a mask of zeros. `claimed` is the length in its header, if that is to be wrong. */
export function frame(payload, { opcode = TEXT, fin = true, claimed } = {}) {
  const data = Buffer.from(payload);
  const length = claimed ?? data.length;
  const size = Buffer.alloc(length < 126 ? 0 : length < 65_536 ? 2 : 8);
  if (size.length === 2) size.writeUInt16BE(length);
  if (size.length === 8) size.writeBigUInt64BE(BigInt(length));
  const short = { 0: length, 2: 126, 8: 127 }[size.length];
  return Buffer.concat([Buffer.from([(fin ? 0x80 : 0) | opcode, 0x80 | short]), size, Buffer.alloc(4), data]);
}

/** Waits until a text arrives, and returns all data received. Throws at the end of the connection or after the time-out. */
export function received(socket, expected) {
  return new Promise((resolve, reject) => {
    let text = '';
    const settle = (outcome, value) => {
      clearTimeout(timer);
      socket.off('data', onData).off('close', onClose);
      outcome(value);
    };
    const onTimeout = () => {
      settle(reject, new Error(`no ${JSON.stringify(expected)} within ${TIMEOUT_MS} ms`));
      socket.destroy();
    };
    const timer = setTimeout(onTimeout, TIMEOUT_MS);
    const onData = (data) => {
      text += data.toString('latin1');
      if (text.includes(expected)) settle(resolve, text);
    };
    const onClose = () => settle(reject, new Error(`the connection ended before ${JSON.stringify(expected)}`));
    socket.on('data', onData).on('close', onClose);
    if (socket.destroyed) onClose();
  });
}

/** The status of the next answer on a connection, and all data received with it. */
export async function answer(socket) {
  const text = await received(socket, HEAD_END);
  return { status: Number(text.slice(9, 12)), text };
}

/** Opens a polling session. `session` is missing if the daemon refuses it. */
export async function polling(socket, { version = 4, from } = {}) {
  socket.write(head('GET', path({ version }), { 'X-Real-IP': address(from) }));
  const { status, text } = await answer(socket);
  return { status, session: /"sid":"([^"]+)"/.exec(text)?.[1] };
}

/** A POST with its body in a polling session. */
export const post = (session, body) => head('POST', path({ session }), { 'Content-Length': body.length }) + body;

/** Opens a websocket that keeps its heartbeat. `socket` is missing if the daemon refuses it. */
export async function websocket(port, { version = 4, from, pingInterval } = {}) {
  const socket = await connect(port);
  keepAlive(socket, version, pingInterval);
  socket.write(upgrade({ version, from }));
  const { status, text } = await answer(socket);
  if (status !== 101) {
    socket.destroy();
    return { status };
  }
  if (!text.includes('"sid"')) await received(socket, '"sid"');
  return { status, socket };
}

/** Opens a websocket and joins the namespace. */
export async function member(port, options) {
  const opened = await websocket(port, options);
  if (opened.socket) {
    opened.socket.write(frame(`40${NAMESPACE}`));
    await received(opened.socket, `40${NAMESPACE}`);
  }
  return opened;
}

/** Calls `onText` with every text frame that a websocket receives. */
export function listen(socket, onText) {
  let rest = Buffer.alloc(0);
  socket.on('data', (data) => {
    rest = rest.length > 0 ? Buffer.concat([rest, data]) : data;
    for (;;) {
      const short = rest[1];
      const start = short === 126 ? 4 : short === 127 ? 10 : 2;
      if (rest.length < start) return;
      const length = short === 126 ? rest.readUInt16BE(2) : short === 127 ? Number(rest.readBigUInt64BE(2)) : short;
      if (rest.length < start + length) return;
      if ((rest[0] & 0x0f) === TEXT) onText(rest.toString('utf8', start, start + length));
      rest = rest.subarray(start + length);
    }
  });
}

/** Keeps the heartbeat: in version 3 the client sends pings, in version 4 the daemon does, the first one at once. */
function keepAlive(socket, version, interval) {
  if (version === 4) {
    const pong = frame('3');
    socket.on('data', (data) => data.includes('\x81\x012', 0, 'latin1') && socket.write(pong));
  } else if (interval) {
    const ping = frame('2');
    // The first ping waits for an interval: a ping before the daemon has opened the session is an error.
    const timer = setInterval(() => socket.write(ping), interval);
    socket.on('close', () => clearInterval(timer)).resume();
  }
}
