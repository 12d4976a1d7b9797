// What the internet sends besides browsers: junk, half requests, broken frames, sessions that nobody wants.
//
// Lives here: raw sockets. Not here: anything that could put somebody on a case; strangers never say a valid name.
// Invariant: no answer is expected, and when the strangers are told to go, none of their connections is left.

import { once } from 'node:events';
import net from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';

/** Longest that one of them hangs about. */
const LOITER_MS = 4_000;

const MALFORMED = [
  'null', '[]', '{}', '5', 'true', '""', '" "', '{"username":5}', '{"username":{"toString":1}}', `"${'x'.repeat(129)}"`,
  '{"username":"__proto__ \\u0000"}', `${'['.repeat(200)}${']'.repeat(200)}`,
];

const EVENTS = ['identify', 'startViewingCase', 'stopViewingCase', 'error', 'disconnect', '__proto__', 'peopleViewing'];

/** Frames after which the daemon should have nothing more to do with a session. */
const BROKEN = ['9', '42/socket.io,', '42/socket.io,[', '42/socket.io,[1]', '4', '45/socket.io,1-["a"]', '40/nowhere,', 'x'];

export class Strangers {
  /** How many came, by what they did. */
  counts = {};
  #port;
  #sockets = new Set();

  constructor(port) {
    this.#port = port;
  }

  /** One of them comes. Never fails: whatever happens to it is nobody's business. */
  async comes(chance) {
    const kind = chance.weighed({
      malformed: 4, broken: 2, abandoned: 4, upgraded: 1, half: 3, oversize: 2, oversizeBody: 1, noise: 2, unknown: 2,
      outside: 2, flood: 0.3,
    });
    this.counts[kind] = (this.counts[kind] ?? 0) + 1;
    try {
      await this[`_${kind}`](chance);
    } catch {
      // Hung up on, most likely.
    }
  }

  /** All of them go, at once. */
  async go() {
    const gone = [...this.#sockets].map((socket) => (socket.destroyed ? null : once(socket, 'close')));
    this.#sockets.forEach((socket) => socket.destroy());
    await Promise.all(gone);
  }

  async _malformed(chance) {
    const socket = await this.#joined(chance);
    for (let n = 0; n < 10; n += 1) {
      socket.write(frame(`42/socket.io,["${chance.oneOf(EVENTS)}",${chance.oneOf(MALFORMED)}]`));
    }
    await this.#loiters(socket, chance);
  }

  async _broken(chance) {
    const socket = await this.#joined(chance);
    socket.write(chance.chance(0.3) ? Buffer.from([0xff, 0x00, 0x83]) : frame(chance.oneOf(BROKEN)));
    await this.#loiters(socket, chance);
  }

  /** A session that is never used. */
  async _abandoned(chance) {
    const socket = await this.#connects();
    const transport = chance.chance(0.5) ? 'polling' : 'websocket';
    socket.write(request('GET', `/socket.io/?EIO=${chance.oneOf([3, 4])}&transport=${transport}`, chance, transport));
    await answered(socket);
    socket.destroy();
  }

  /** A websocket for a session that has one already, or does not want it. */
  async _upgraded(chance) {
    const socket = await this.#connects();
    socket.write(request('GET', '/socket.io/?EIO=4&transport=polling', chance));
    const [answer] = await answered(socket);
    const sid = /"sid":"([^"]+)"/.exec(answer)?.[1];
    const other = await this.#connects();
    other.write(request('GET', `/socket.io/?EIO=4&transport=websocket&sid=${sid}`, chance, 'websocket'));
    await answered(other);
    other.write(frame(chance.oneOf(['5', '2probe', '3probe', '40/socket.io,', 'x'])));
    await this.#loiters(other, chance);
  }

  async _half(chance) {
    const socket = await this.#connects();
    const whole = request('POST', '/socket.io/?EIO=4&transport=polling&sid=x', chance) + 'half of it';
    socket.write(whole.slice(0, chance.below(whole.length)));
    await this.#loiters(socket, chance);
  }

  async _oversize(chance) {
    const socket = await this.#joined(chance);
    const length = chance.oneOf([66_000, 1_000_000, 30_000_000]);
    const header = Buffer.alloc(14);
    header.set([0x81, 0xff]);
    header.writeUInt32BE(length, 6);
    socket.write(header);
    socket.write(Buffer.alloc(Math.min(length, 200_000), 'x'));
    await this.#loiters(socket, chance);
  }

  async _oversizeBody(chance) {
    const socket = await this.#connects();
    const head = request('POST', '/socket.io/?EIO=4&transport=polling&sid=x', chance);
    socket.write(head.replace('\r\n\r\n', '\r\nContent-Length: 300000\r\n\r\n'));
    socket.write(Buffer.alloc(300_000, '4'));
    await this.#loiters(socket, chance);
  }

  async _noise(chance) {
    const socket = await this.#connects();
    socket.write(Buffer.from(Array.from({ length: chance.below(600) }, () => chance.below(256))));
    await this.#loiters(socket, chance);
  }

  async _unknown(chance) {
    const socket = await this.#connects();
    const paths = ['/admin', '/', '/socket.io', '/socket.io/?EIO=4&transport=polling&sid=x', '/socket.io/?transport=x', '/%00'];
    socket.write(request(chance.oneOf(['GET', 'POST', 'PUT', 'OPTIONS', 'HEAD']), chance.oneOf(paths), chance));
    await this.#loiters(socket, chance);
  }

  /** A websocket that never joins, and keeps sending heartbeats or nothing. */
  async _outside(chance) {
    const socket = await this.#websocket(chance);
    if (chance.chance(0.5)) socket.write(frame('2'));
    await this.#loiters(socket, chance);
  }

  async _flood(chance) {
    const socket = await this.#joined(chance);
    const event = frame('42/socket.io,["startViewingCase","AB-0000-0000"]');
    socket.write(Buffer.concat(Array.from({ length: 3_000 }, () => event)));
    await this.#loiters(socket, chance);
  }

  async #joined(chance) {
    const socket = await this.#websocket(chance);
    socket.write(frame('40/socket.io,'));
    return socket;
  }

  async #websocket(chance) {
    const socket = await this.#connects();
    socket.write(request('GET', `/socket.io/?EIO=${chance.oneOf([3, 4])}&transport=websocket`, chance, 'websocket'));
    await answered(socket);
    return socket;
  }

  async #connects() {
    const socket = net.connect(this.#port, '127.0.0.1');
    this.#sockets.add(socket);
    // Whatever comes is read, or the end would not be noticed.
    socket.on('close', () => this.#sockets.delete(socket)).on('error', () => {}).resume();
    await once(socket, 'connect');
    return socket;
  }

  /** Stays for a while and goes, if it is let stay. */
  async #loiters(socket, chance) {
    await pause(chance.between(0, LOITER_MS));
    if (chance.chance(0.5)) socket.resetAndDestroy();
    else socket.destroy();
  }
}

/** The first that comes over a connection. */
function answered(socket) {
  return new Promise((resolve, reject) => {
    socket.once('data', resolve);
    socket.once('close', () => reject(new Error('closed without an answer')));
  });
}

/** A request that one of many strangers makes. */
function request(method, path, chance, transport) {
  const upgrade =
    transport === 'websocket'
      ? 'Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n'
      : '';
  return `${method} ${path} HTTP/1.1\r\nHost: x\r\nX-Real-IP: 203.0.113.${chance.below(256)}\r\n${upgrade}\r\n`;
}

/** A text frame under a mask of zeros. */
function frame(text) {
  const data = Buffer.from(text);
  const length = data.length < 126 ? [0x80 | data.length] : [0xfe, data.length >> 8, data.length & 0xff];
  return Buffer.from([0x81, ...length, 0, 0, 0, 0, ...data]);
}
