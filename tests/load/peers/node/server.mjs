// A server on socket.io 4.8.3 that does the same as the daemon, for `tests/load/compare`.
//
// It is written to be fast: it searches for no user, and builds and encodes a list once per change for all recipients. Like
// the server that the daemon replaced, it does not merge changes, has no limits and keeps no places.

import { once } from 'node:events';
import http from 'node:http';

import { Server } from 'socket.io';

const NAMESPACE = '/socket.io';

/** Users by name. */
const users = new Map();
/** For each case, the number of connections of each user that view it. */
const cases = new Map();
let nextRank = 0;

const publicServer = http.createServer();
const io = new Server(publicServer, {
  path: '/socket.io/',
  serveClient: false,
  allowEIO3: true,
  transports: ['polling', 'websocket'],
  pingInterval: 25_000,
  pingTimeout: 45_000,
  maxHttpBufferSize: 16_384,
  perMessageDeflate: false,
});
const namespace = io.of(NAMESPACE);

namespace.on('connection', (socket) => {
  socket.data = { user: null, usertype: null, version: null, caseRef: null };
  socket.on('identify', identify);
  socket.on('startViewingCase', startViewingCase);
  socket.on('stopViewingCase', stopViewingCase);
  socket.on('disconnect', disconnect);
});

// Handlers are called with the socket as `this`, so one function serves all of them.

function identify(said) {
  const identity = typeof said === 'string' ? { username: said } : (said ?? {});
  const { username, usertype = 'unknown', appVersion = 'unknown' } = identity;
  if (typeof username !== 'string' || typeof usertype !== 'string') return;
  const { user: known, caseRef } = this.data;
  if (known?.username === username) return;
  if (known) forget(this);
  const user = userCalled(username, usertype);
  user.sockets.add(this);
  this.data = { user, usertype, version: appVersion, caseRef };
  this.join(typeRoom(usertype));
  if (caseRef !== null) {
    enter(user, caseRef);
    tell(caseRef);
  }
}

function startViewingCase(caseRef) {
  if (this.data.user && typeof caseRef === 'string') view(this, caseRef);
}

function stopViewingCase(caseRef) {
  if (this.data.user && typeof caseRef === 'string') view(this, null);
}

function disconnect() {
  if (!this.data.user) return;
  view(this, null);
  forget(this);
}

function userCalled(username, usertype) {
  let user = users.get(username);
  if (!user) users.set(username, (user = { username, usertype, rank: nextRank++, sockets: new Set() }));
  return user;
}

/** Removes a connection from its user. The connection still views its case. */
function forget(socket) {
  const { user, usertype, caseRef } = socket.data;
  if (caseRef !== null) leave(user, caseRef);
  socket.leave(typeRoom(usertype));
  user.sockets.delete(socket);
  if (user.sockets.size === 0) users.delete(user.username);
}

/** Makes a connection leave its case and view another one, or none. */
function view(socket, caseRef) {
  const { data } = socket;
  const { user, caseRef: left } = data;
  if (left !== caseRef) {
    data.caseRef = caseRef;
    if (left !== null) {
      socket.leave(caseRoom(left));
      leave(user, left);
      tell(left);
    }
    if (caseRef !== null) {
      socket.join(caseRoom(caseRef));
      enter(user, caseRef);
    }
  }
  if (caseRef !== null) tell(caseRef);
}

function enter(user, caseRef) {
  let tabs = cases.get(caseRef);
  if (!tabs) cases.set(caseRef, (tabs = new Map()));
  tabs.set(user, (tabs.get(user) ?? 0) + 1);
}

function leave(user, caseRef) {
  const tabs = cases.get(caseRef);
  const left = tabs.get(user) - 1;
  if (left > 0) tabs.set(user, left);
  else tabs.delete(user);
  if (tabs.size === 0) cases.delete(caseRef);
}

/** Sends the list of a case to all its viewers. */
function tell(caseRef) {
  const tabs = cases.get(caseRef);
  if (!tabs) return;
  const viewers = [...tabs.keys()].sort((a, b) => a.rank - b.rank);
  const names = viewers.map(({ username }) => username);
  namespace.to(caseRoom(caseRef)).emit('peopleViewing', names);
}

// The prefixes keep both kinds apart from each other and from the room that socket.io gives every socket.
function caseRoom(caseRef) {
  return `case:${caseRef}`;
}

function typeRoom(usertype) {
  return `type:${usertype}`;
}

const routes = {
  'POST /admin/notifications/': async (request) => {
    const chunks = await request.toArray();
    const { notifications, usertype } = JSON.parse(Buffer.concat(chunks));
    namespace.to(typeRoom(usertype)).emit('notification', notifications);
    return json({ success: true });
  },
  'GET /admin/peopleMap/': () => {
    const people = [...users.values()].map((user) => [user.username, person(user)]);
    return json(Object.fromEntries(people));
  },
  'GET /admin/broadcast/': () => ({ type: 'text/html; charset=utf-8', body: page() }),
};

function json(value) {
  return { type: 'application/json', body: JSON.stringify(value) };
}

function person({ username, usertype, sockets }) {
  const connections = [...sockets].map(({ id, data }) => [
    id,
    { caseViewed: data.caseRef, appVersion: data.version, userType: data.usertype },
  ]);
  return { username, userType: usertype, connections: Object.fromEntries(connections) };
}

function page() {
  const rows = [...namespace.sockets.values()].map(({ id, data: { user, usertype, version, caseRef } }) => {
    const cells = [user?.username, usertype, id, version, caseRef].map((text) => `<td>${escaped(text ?? '')}</td>`);
    return `<tr>${cells.join('')}</tr>\n`;
  });
  const heads = ['User', 'User type', 'Id', 'Version', 'Case'].map((text) => `<th>${text}</th>`);
  return `<!doctype html><title>Connections</title>\n<table>\n<tr>${heads.join('')}</tr>\n${rows.join('')}</table>\n`;
}

const entities = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' };

function escaped(text) {
  return String(text).replace(/[&<>"]/g, (character) => entities[character]);
}

const adminServer = http.createServer(async (request, response) => {
  const route = routes[`${request.method} ${request.url}`];
  try {
    if (!route) return response.writeHead(404).end();
    const { type, body } = await route(request);
    response.writeHead(200, { 'Content-Type': type }).end(body);
  } catch {
    response.writeHead(400).end();
  }
});

for (const [name, server] of Object.entries({ public: publicServer, admin: adminServer })) {
  server.listen({ host: '127.0.0.1', port: 0, backlog: 4096 });
  await once(server, 'listening');
  console.error(`${name}: listening on 127.0.0.1:${server.address().port}`);
}
