// What the app of a call centre does, without a library: Socket.IO over Engine.IO 4 on a plain WebSocket.
"use strict";

const NAMESPACE = "/socket.io";
const APP_VERSION = "demo";
const LONGEST_WAIT = 10_000;

const form = document.getElementById("case");
const nameField = document.getElementById("name");
const referenceField = document.getElementById("reference");
const connection = document.getElementById("connection");
const viewers = document.getElementById("viewers");
const stale = document.getElementById("stale");
const nobody = document.getElementById("nobody");
const messages = document.getElementById("messages");

let socket = null;
let joined = false;
let failures = 0;
let heartbeat = null;
let me = null;
let openCase = null;

function emit(event, payload) {
  if (joined) socket.send(`42${NAMESPACE},${JSON.stringify([event, payload])}`);
}

function identify() {
  emit("identify", { username: me, usertype: "operator", appVersion: APP_VERSION });
}

function sayWhereIAm() {
  if (me !== null) identify();
  if (openCase !== null) emit("startViewingCase", openCase);
}

function showViewers(names) {
  const items = names.map((name) => {
    const item = document.createElement("li");
    const isolated = document.createElement("bdi");
    isolated.textContent = name;
    item.append(isolated, name === me ? " (you)" : "");
    return item;
  });
  viewers.replaceChildren(...items);
  nobody.hidden = names.length > 0;
  showWhetherStale(false);
}

// Without a connection the list is out of date: people on it may be gone.
function showWhetherStale(isStale) {
  stale.hidden = !isStale;
  viewers.classList.toggle("stale", isStale);
}

function showMessage(text) {
  const item = document.createElement("li");
  item.textContent = text;
  messages.append(item);
}

const listeners = {
  peopleViewing: (names) => { if (openCase !== null) showViewers(names); },
  systemMessage: (id) => showMessage(messages.dataset[`system-${id}`] ?? `Unknown message ${id}`),
  notification: (notifications) => showMessage(`Notification: ${JSON.stringify(notifications)}`),
};

// A server that has fallen silent is gone, even if the network has not noticed.
function expectPing(silence) {
  clearTimeout(heartbeat);
  heartbeat = setTimeout(() => socket.close(), silence);
}

function receive(packet) {
  const join = `40${NAMESPACE},`;
  const event = `42${NAMESPACE},`;
  if (packet.startsWith("0")) {
    const { pingInterval, pingTimeout } = JSON.parse(packet.slice(1));
    socket.silence = pingInterval + pingTimeout;
    expectPing(socket.silence);
    socket.send(join);
  } else if (packet === "2") {
    expectPing(socket.silence);
    socket.send("3");
  } else if (packet.startsWith(join)) {
    joined = true;
    failures = 0;
    connection.textContent = "connected";
    sayWhereIAm();
  } else if (packet.startsWith(event)) {
    const [name, payload] = JSON.parse(packet.slice(event.length));
    if (Object.hasOwn(listeners, name)) listeners[name](payload);
  } else if (packet.startsWith("41") || packet.startsWith("44")) {
    socket.close();
  }
}

function connect() {
  connection.textContent = "connecting";
  socket = new WebSocket(`${form.dataset.socket}/socket.io/?EIO=4&transport=websocket`);
  socket.addEventListener("message", ({ data }) => receive(data));
  socket.addEventListener("close", reconnect);
}

function reconnect() {
  clearTimeout(heartbeat);
  joined = false;
  connection.textContent = "not connected, trying again";
  if (viewers.childElementCount > 0) showWhetherStale(true);
  const wait = Math.min(LONGEST_WAIT, 500 * 2 ** failures);
  failures += 1;
  setTimeout(connect, wait * (0.5 + Math.random() / 2));
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  me = nameField.value;
  openCase = referenceField.value;
  sayWhereIAm();
});

document.getElementById("leave").addEventListener("click", () => {
  if (openCase !== null) emit("stopViewingCase", openCase);
  openCase = null;
  showViewers([]);
});

connect();
