// Staff and cla_backend at the admin listener: messages, page views and invalid requests.
//
// Lives here: requests to the admin listener, and a record of every message. Not here: the recipients (`model.mjs`).
// Invariant: one message is posted at a time, so that message numbers are in the order of sending.

import assert from 'node:assert/strict';
import http from 'node:http';

import { now } from './clock.mjs';

const PAGES = { '/admin/broadcast/': 200, '/admin/peopleMap/': 200, '/healthz': 200, '/readyz': 200, '/admin': 302, '/none': 404 };

/** Requests that must be refused without a message to browsers: path, body, status. */
const MISTAKES = [
  ['/admin/notifications/', '{"notifications":', 400],
  ['/admin/notifications/', '{"usertype":"operator"}', 400],
  ['/admin/broadcast/', '{"msg":"2","allClients":true}', 403],
  ['/admin/broadcast/', '{"msg":"1"}', 400],
  ['/admin/broadcast/', '{"msg":"1","selectedClients":true}', 400],
];

export class Staff {
  /** Messages posted in this round: `{ number, to, isFor, sent, answered, receipt }`. System messages have no number. */
  posts = [];
  /** Number of requests so far. */
  requests = 0;
  #url;
  #next = 1;

  constructor(adminUrl) {
    this.#url = adminUrl;
  }

  /** Posts a notification to a user type, as JSON or as a form. */
  async notifies(type, format) {
    const number = this.#next++;
    const isFor = (_record, user) => user.type === type;
    // In a form, the value is the text of the JSON.
    const notifications = format === 'json' ? [number] : JSON.stringify([number]);
    await this.#posts({ number, isFor, to: type }, '/admin/notifications/', { notifications, usertype: type }, format);
  }

  /** Sends the system message to everyone. */
  async messagesEveryone(format) {
    await this.#posts({ isFor: () => true, to: 'everyone' }, '/admin/broadcast/', { msg: '1', allClients: 'true' }, format);
  }

  /** Sends the system message to all connections of a user. */
  async messagesUser({ name }, format) {
    const isFor = (_record, user) => user.name === name;
    await this.#posts({ isFor, to: name }, '/admin/broadcast/', { msg: '1', selectedClients: 'true', username: name }, format);
  }

  /** Sends the system message to the connections of some pages. */
  async messagesPages(pages, format) {
    const records = new Set(pages.map(({ record }) => record));
    const socketID = pages.map(({ entry }) => entry.id);
    const isFor = (record) => records.has(record);
    await this.#posts({ isFor, to: socketID.join() }, '/admin/broadcast/', { msg: '1', selectedClients: 'true', socketID }, format);
  }

  /** Requests one of the pages. */
  async requestsPage(random) {
    const path = random.oneOf(Object.keys(PAGES));
    assert.equal((await this.#request('GET', path)).status, PAGES[path], path);
  }

  /** Posts an invalid request, which must be refused. */
  async postsMistake(random) {
    const [path, body, status] = random.oneOf(MISTAKES);
    const answer = await this.#request('POST', path, body, 'application/json');
    assert.equal(answer.status, status, `${path} ${body}: ${answer.body}`);
  }

  /** Waits for an answer of the hub. */
  async asks() {
    assert.equal((await this.#request('GET', '/readyz')).status, 200, 'readyz');
  }

  /** The people map, in order of identify. */
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
    // Only a JSON request is answered with a receipt.
    const receipt = answer.type.startsWith('application/json') ? JSON.parse(answer.body) : null;
    this.posts.push({ ...post, sent, answered: now(), receipt });
  }

  /** Sends a request on a new connection, which closes after the answer. */
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
