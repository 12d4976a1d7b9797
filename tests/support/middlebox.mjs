// A proxy that breaks websockets: it forwards the handshake and its answer, status 101, and nothing after them.
//
// Lives here: the proxy, and the four ways in which such proxies fail.
// Not here: clients, daemons.

import { once } from 'node:events';
import net from 'node:net';

/** The fate of a websocket after status 101: closed, reset, all data dropped, or only the server's data dropped (`mute`). */
export const modes = ['close', 'reset', 'swallow', 'mute'];

const HEAD_END = Buffer.from('\r\n\r\n');

/** The request for a websocket, and the answer that accepts it. */
const ASKS = /^get [^\r]*\r\n(?:.*\r\n)*upgrade: *websocket\r\n/i;
const GRANTED = /^http\/1\.1 101 /i;

export class Middlebox {
  #server;
  #sockets = new Set();
  #requests = [];

  /** Starts a proxy for `target`, a URL, on the same address and a free port. It ends with the test. */
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

  /** Number of polls forwarded since a moment of `performance.now`. */
  pollsSince(moment) {
    const isPoll = ({ at, line }) => at >= moment && /^GET .*transport=polling.*sid=/.test(line);
    return this.#requests.filter(isPoll).length;
  }

  /** Number of websockets that clients have requested. */
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
