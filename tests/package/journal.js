// A journal of the events of the CHS case page (tests/support/chs.html). It follows the page's own script and uses its names.
//
// `seat` in the URL identifies the page. Times are those of the system clock, so that the journals of all pages can be merged.

let events = [];
let viewed = settings.caseRef;

function note(what, details) {
  events.push({ at: Date.now(), seat: settings.seat, what, ...details });
}

/** Returns the events since the last call. */
function readJournal() {
  const { transport } = socket.io.engine ?? {};
  const journal = { seat: settings.seat, connected: socket.connected, transport: transport?.name, events };
  events = [];
  return journal;
}

/** Switches to another case as CHS does, without loading a page. */
function switchTo(caseRef) {
  note('switches', { to: caseRef });
  history.pushState(null, '', `/call_centre/${caseRef}/?seat=${settings.seat}`);
  socket.emit('stopViewingCase', viewed);
  socket.emit('startViewingCase', caseRef);
  viewed = caseRef;
}

/** Switches to another case when the connection is lost, before the client reconnects. */
function switchWhenLost(caseRef) {
  socket.once('disconnect', () => switchTo(caseRef));
}

/** Switches to another case while the client reconnects, after it has sent the request with the old URL as its `Referer`. */
function switchWhenTrying(caseRef) {
  // The client sends the request right after the event.
  socket.once('reconnect_attempt', () => setTimeout(() => switchTo(caseRef)));
}

note('opens', { name: settings.name, to: viewed });
socket.on('connect', () => note('connects'));
socket.on('disconnect', (reason) => note('disconnects', { reason }));
socket.on('peopleViewing', (names) => note('list', { names }));
