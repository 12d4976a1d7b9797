// Attackers of the public listener: junk, half requests, invalid frames, abandoned sessions.
//
// Lives here: raw sockets. Not here: anything that could put a user on a case; attackers never identify with a valid name.
// Invariant: no attack expects an answer, and `closeAll` leaves no connection.

import { once } from 'node:events';
import net from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';

/** Longest time that an attacker keeps its connection open. */
const MAX_STAY_MS = 4_000;

const MALFORMED = [
  'null', '[]', '{}', '5', 'true', '""', '" "', '{"username":5}', '{"username":{"toString":1}}', `"${'x'.repeat(129)}"`,
  '{"username":"__proto__ \\u0000"}', `${'['.repeat(200)}${']'.repeat(200)}`,
];

const EVENTS = ['identify', 'startViewingCase', 'stopViewingCase', 'error', 'disconnect', '__proto__', 'peopleViewing'];

/** Frames after which the daemon should close the session. */
const INVALID = ['9', '42/socket.io,', '42/socket.io,[', '42/socket.io,[1]', '4', '45/socket.io,1-["a"]', '40/nowhere,', 'x'];

export class Attackers {
  /** Number of attacks by kind. */
  counts = {};
  #port;
  #sockets = new Set();

  constructor(port) {
    this.#port = port;
  }

  /** Makes one attack. Never fails: the daemon may end the connection at any time. */
  async attack(random) {
    const kind = random.weighed({
      malformed: 4, invalid: 2, abandoned: 4, upgraded: 1, half: 3, oversize: 2, oversizeBody: 1, noise: 2, unknown: 2,
      unjoined: 2, flood: 0.3,
    });
    this.counts[kind] = (this.counts[kind] ?? 0) + 1;
    try {
      await this[`_${kind}`](random);
    } catch {
      // Most likely the daemon has closed the connection.
    }
  }

  /** Closes all connections. */
  async closeAll() {
    const gone = [...this.#sockets].map((socket) => (socket.destroyed ? null : once(socket, 'close')));
    this.#sockets.forEach((socket) => socket.destroy());
    await Promise.all(gone);
  }

  async _malformed(random) {
    const socket = await this.#joined(random);
    for (let n = 0; n < 10; n += 1) {
      socket.write(frame(`42/socket.io,["${random.oneOf(EVENTS)}",${random.oneOf(MALFORMED)}]`));
    }
    await this.#stays(socket, random);
  }

  async _invalid(random) {
    const socket = await this.#joined(random);
    socket.write(random.chance(0.3) ? Buffer.from([0xff, 0x00, 0x83]) : frame(random.oneOf(INVALID)));
    await this.#stays(socket, random);
  }

  /** A session that is never used. */
  async _abandoned(random) {
    const socket = await this.#connects();
    const transport = random.chance(0.5) ? 'polling' : 'websocket';
    socket.write(request('GET', `/socket.io/?EIO=${random.oneOf([3, 4])}&transport=${transport}`, random, transport));
    await answered(socket);
    socket.destroy();
  }

  /** A websocket upgrade of a polling session, followed by a frame that may be wrong there. */
  async _upgraded(random) {
    const socket = await this.#connects();
    socket.write(request('GET', '/socket.io/?EIO=4&transport=polling', random));
    const [answer] = await answered(socket);
    const sid = /"sid":"([^"]+)"/.exec(answer)?.[1];
    const other = await this.#connects();
    other.write(request('GET', `/socket.io/?EIO=4&transport=websocket&sid=${sid}`, random, 'websocket'));
    await answered(other);
    other.write(frame(random.oneOf(['5', '2probe', '3probe', '40/socket.io,', 'x'])));
    await this.#stays(other, random);
  }

  async _half(random) {
    const socket = await this.#connects();
    const whole = request('POST', '/socket.io/?EIO=4&transport=polling&sid=x', random) + 'half of it';
    socket.write(whole.slice(0, random.below(whole.length)));
    await this.#stays(socket, random);
  }

  async _oversize(random) {
    const socket = await this.#joined(random);
    const length = random.oneOf([66_000, 1_000_000, 30_000_000]);
    const header = Buffer.alloc(14);
    header.set([0x81, 0xff]);
    header.writeUInt32BE(length, 6);
    socket.write(header);
    socket.write(Buffer.alloc(Math.min(length, 200_000), 'x'));
    await this.#stays(socket, random);
  }

  async _oversizeBody(random) {
    const socket = await this.#connects();
    const head = request('POST', '/socket.io/?EIO=4&transport=polling&sid=x', random);
    socket.write(head.replace('\r\n\r\n', '\r\nContent-Length: 300000\r\n\r\n'));
    socket.write(Buffer.alloc(300_000, '4'));
    await this.#stays(socket, random);
  }

  async _noise(random) {
    const socket = await this.#connects();
    socket.write(Buffer.from(Array.from({ length: random.below(600) }, () => random.below(256))));
    await this.#stays(socket, random);
  }

  async _unknown(random) {
    const socket = await this.#connects();
    const paths = ['/admin', '/', '/socket.io', '/socket.io/?EIO=4&transport=polling&sid=x', '/socket.io/?transport=x', '/%00'];
    socket.write(request(random.oneOf(['GET', 'POST', 'PUT', 'OPTIONS', 'HEAD']), random.oneOf(paths), random));
    await this.#stays(socket, random);
  }

  /** A websocket that never joins the namespace, with or without heartbeats. */
  async _unjoined(random) {
    const socket = await this.#websocket(random);
    if (random.chance(0.5)) socket.write(frame('2'));
    await this.#stays(socket, random);
  }

  async _flood(random) {
    const socket = await this.#joined(random);
    const event = frame('42/socket.io,["startViewingCase","AB-0000-0000"]');
    socket.write(Buffer.concat(Array.from({ length: 3_000 }, () => event)));
    await this.#stays(socket, random);
  }

  async #joined(random) {
    const socket = await this.#websocket(random);
    socket.write(frame('40/socket.io,'));
    return socket;
  }

  async #websocket(random) {
    const socket = await this.#connects();
    socket.write(request('GET', `/socket.io/?EIO=${random.oneOf([3, 4])}&transport=websocket`, random, 'websocket'));
    await answered(socket);
    return socket;
  }

  async #connects() {
    const socket = net.connect(this.#port, '127.0.0.1');
    this.#sockets.add(socket);
    // Reads and ignores all data; otherwise the end would not be noticed.
    socket.on('close', () => this.#sockets.delete(socket)).on('error', () => {}).resume();
    await once(socket, 'connect');
    return socket;
  }

  /** Keeps the connection open for a while, then closes or resets it. */
  async #stays(socket, random) {
    await pause(random.between(0, MAX_STAY_MS));
    if (random.chance(0.5)) socket.resetAndDestroy();
    else socket.destroy();
  }
}

/** Waits for the first data on a connection. */
function answered(socket) {
  return new Promise((resolve, reject) => {
    socket.once('data', resolve);
    socket.once('close', () => reject(new Error('closed without an answer')));
  });
}

/** A request of one of many attackers. */
function request(method, path, random, transport) {
  const upgrade =
    transport === 'websocket'
      ? 'Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n'
      : '';
  return `${method} ${path} HTTP/1.1\r\nHost: x\r\nX-Real-IP: 203.0.113.${random.below(256)}\r\n${upgrade}\r\n`;
}

/** A text frame under a mask of zeros. */
function frame(text) {
  const data = Buffer.from(text);
  const length = data.length < 126 ? [0x80 | data.length] : [0xfe, data.length >> 8, data.length & 0xff];
  return Buffer.from([0x81, ...length, 0, 0, 0, 0, ...data]);
}
