// A network that knows HTTP and lets no websocket live: it passes the handshake on, the 101 too, and nothing after it.
//
// Lives here: the proxy between clients and daemon, in the ways in which such networks fail.
// Not here: clients, daemons.

import { once } from 'node:events';
import net from 'node:net';

/** What becomes of a websocket once the client has had its 101; `mute` swallows only what the server says. */
export const modes = ['close', 'reset', 'swallow', 'mute'];

const HEAD_END = Buffer.from('\r\n\r\n');

/** The handshake of a websocket, and the answer that it is granted with. */
const ASKS = /^get [^\r]*\r\n(?:.*\r\n)*upgrade: *websocket\r\n/i;
const GRANTED = /^http\/1\.1 101 /i;

export class Middlebox {
  #server;
  #sockets = new Set();
  #requests = [];

  /** Stands before `target`, a URL, at the same address on a port of its own until the test ends. */
  static async open(t, mode, target) {
    const box = new Middlebox(mode, new URL(target));
    box.#server.listen(0, new URL(target).hostname);
    await once(box.#server, 'listening');
    t.after(() => box.#close());
    return box;
  }

  constructor(mode, { hostname, port }) {
    this.#server = net.createServer((client) => this.#pass(client, net.connect(port || 80, hostname), mode));
  }

  get url() {
    const { address, port } = this.#server.address();
    return `http://${address}:${port}`;
  }

  /** The polls that came through since a moment, as `performance.now` tells it. */
  pollsSince(moment) {
    const isPoll = ({ at, line }) => at >= moment && /^GET .*transport=polling.*sid=/.test(line);
    return this.#requests.filter(isPoll).length;
  }

  /** The websockets that were asked for. */
  get upgrades() {
    return this.#requests.filter(({ line }) => line.includes('transport=websocket')).length;
  }

  #pass(client, server, mode) {
    let isWebsocket = false;
    let isOver = false;
    const sockets = [client, server];
    for (const socket of sockets) {
      this.#sockets.add(socket);
      socket.setNoDelay();
      socket.on('error', () => {});
      socket.on('close', () => {
        this.#sockets.delete(socket);
        sockets.forEach((other) => other.destroy());
      });
    }
    client.on('data', (bytes) => {
      if (isOver && mode !== 'mute') return;
      const head = bytes.toString('latin1');
      if (/^(GET|POST) /.test(head)) this.#requests.push({ at: performance.now(), line: head.split('\r\n', 1)[0] });
      isWebsocket ||= ASKS.test(head);
      server.write(bytes);
    });
    server.on('data', (bytes) => {
      if (isOver) return;
      const end = bytes.indexOf(HEAD_END);
      if (!isWebsocket || end < 0 || !GRANTED.test(bytes.toString('latin1', 0, 20))) return client.write(bytes);
      isOver = true;
      client.write(bytes.subarray(0, end + HEAD_END.length), () => {
        if (mode === 'close') sockets.forEach((socket) => socket.end());
        if (mode === 'reset') sockets.forEach((socket) => socket.resetAndDestroy());
      });
    });
  }

  async #close() {
    this.#sockets.forEach((socket) => socket.destroy());
    await once(this.#server.close(), 'close');
  }
}
