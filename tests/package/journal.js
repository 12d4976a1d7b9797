// What the case page of CHS (tests/support/chs.html) goes through. Stands below the page's own script and uses its names.
//
// The page's address says which `seat` of the office it is. Times are those of the machine's clock, so that the journals
// of all pages can be put in order.

let events = [];
let viewed = settings.caseRef;

function note(what, details) {
  events.push({ at: Date.now(), seat: settings.seat, what, ...details });
}

/** What has happened since the last time. */
function readJournal() {
  const { transport } = socket.io.engine ?? {};
  const told = { seat: settings.seat, connected: socket.connected, transport: transport?.name, events };
  events = [];
  return told;
}

/** Turns to another case as the page of CHS does, without loading anything. */
function turnTo(caseRef) {
  note('turns', { to: caseRef });
  history.pushState(null, '', `/call_centre/${caseRef}/?seat=${settings.seat}`);
  socket.emit('stopViewingCase', viewed);
  socket.emit('startViewingCase', caseRef);
  viewed = caseRef;
}

/** Turns to another case as soon as the connection is lost, before another one is tried. */
function turnWhenLost(caseRef) {
  socket.once('disconnect', () => turnTo(caseRef));
}

/** Turns to another case while the next connection is on its way, which was asked for under the old address. */
function turnWhenTrying(caseRef) {
  // The client tries right after it has said so.
  socket.once('reconnect_attempt', () => setTimeout(() => turnTo(caseRef)));
}

note('opens', { name: settings.name, to: viewed });
socket.on('connect', () => note('connects'));
socket.on('disconnect', (reason) => note('disconnects', { reason }));
socket.on('peopleViewing', (names) => note('list', { names }));
