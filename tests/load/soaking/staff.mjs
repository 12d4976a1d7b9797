// Staff and cla_backend at the admin listener: what they post, what they look at, what they get wrong.
//
// Lives here: requests to the admin listener, and a note of every message. Not here: whom a message reached (`ledger.mjs`).
// Invariant: one message is posted after the other, so their numbers are in the order in which they were sent.

import assert from 'node:assert/strict';
import http from 'node:http';

import { now } from './clock.mjs';

const LOOKS = { '/admin/broadcast/': 200, '/admin/peopleMap/': 200, '/healthz': 200, '/readyz': 200, '/admin': 302, '/none': 404 };

/** Requests that must be refused and send nothing: path, body, status. */
const MISTAKES = [
  ['/admin/notifications/', '{"notifications":', 400],
  ['/admin/notifications/', '{"usertype":"operator"}', 400],
  ['/admin/broadcast/', '{"msg":"2","allClients":true}', 403],
  ['/admin/broadcast/', '{"msg":"1"}', 400],
  ['/admin/broadcast/', '{"msg":"1","selectedClients":true}', 400],
];

export class Staff {
  /** What was posted since the last look: `{ number, to, isFor, sent, answered, receipt }`; system messages have no number. */
  posts = [];
  /** How many requests were made. */
  requests = 0;
  #url;
  #next = 1;

  constructor(adminUrl) {
    this.#url = adminUrl;
  }

  /** Posts a notification to a user type, as a program or as a form does. */
  async notifies(type, format) {
    const number = this.#next++;
    const isFor = (_record, user) => user.type === type;
    // A form has the text of the JSON.
    const notifications = format === 'json' ? [number] : JSON.stringify([number]);
    await this.#posts({ number, isFor, to: type }, '/admin/notifications/', { notifications, usertype: type }, format);
  }

  /** Sends the system message to everyone. */
  async tellsEveryone(format) {
    await this.#posts({ isFor: () => true, to: 'everyone' }, '/admin/broadcast/', { msg: '1', allClients: 'true' }, format);
  }

  /** Sends it to all connections of a user. */
  async tellsUser({ name }, format) {
    const isFor = (_record, user) => user.name === name;
    await this.#posts({ isFor, to: name }, '/admin/broadcast/', { msg: '1', selectedClients: 'true', username: name }, format);
  }

  /** Sends it to the connections of some pages. */
  async tellsPages(pages, format) {
    const records = new Set(pages.map(({ record }) => record));
    const socketID = pages.map(({ entry }) => entry.id);
    const isFor = (record) => records.has(record);
    await this.#posts({ isFor, to: socketID.join() }, '/admin/broadcast/', { msg: '1', selectedClients: 'true', socketID }, format);
  }

  /** Looks at one of the pages. */
  async looks(chance) {
    const path = chance.oneOf(Object.keys(LOOKS));
    assert.equal((await this.#request('GET', path)).status, LOOKS[path], path);
  }

  /** Posts something that must be refused. */
  async errs(chance) {
    const [path, body, status] = chance.oneOf(MISTAKES);
    const answer = await this.#request('POST', path, body, 'application/json');
    assert.equal(answer.status, status, `${path} ${body}: ${answer.body}`);
  }

  /** Waits for the hub. */
  async asks() {
    assert.equal((await this.#request('GET', '/readyz')).status, 200, 'readyz');
  }

  /** Everybody who is connected, in order of identify. */
  async people() {
    return JSON.parse((await this.#request('GET', '/admin/peopleMap/')).body);
  }

  async #posts(post, path, fields, format) {
    const sent = now();
    const answer =
      format === 'json'
        ? await this.#request('POST', path, JSON.stringify(fields), 'application/json')
        : await this.#request('POST', path, form(fields), 'application/x-www-form-urlencoded');
    assert.equal(answer.status, 200, answer.body);
    // Only a program is answered with figures.
    const receipt = answer.type.startsWith('application/json') ? JSON.parse(answer.body) : null;
    this.posts.push({ ...post, sent, answered: now(), receipt });
  }

  /** A request on a connection of its own, which is gone with the answer. */
  #request(method, path, body, type) {
    this.requests += 1;
    const headers = body === undefined ? {} : { 'Content-Type': type, 'Content-Length': Buffer.byteLength(body) };
    return new Promise((resolve, reject) => {
      const request = http.request(`${this.#url}${path}`, { method, headers, agent: false, timeout: 10_000 }, (response) => {
        let text = '';
        response.setEncoding('utf8').on('data', (part) => (text += part));
        response.on('error', reject);
        response.on('end', () =>
          resolve({ status: response.statusCode, type: response.headers['content-type'] ?? '', body: text }),
        );
      });
      request.on('timeout', () => request.destroy(new Error(`no answer to ${method} ${path} within 10 s`)));
      request.on('error', reject);
      request.end(body);
    });
  }
}

function form(fields) {
  const encoded = new URLSearchParams();
  for (const [name, values] of Object.entries(fields)) [values].flat().forEach((value) => encoded.append(name, value));
  return encoded.toString();
}
