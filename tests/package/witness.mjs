// Finds lists that lack a user who was on the case.
//
// Lives here: merging the journals of all pages (`journal.js`) and checking the lists. Not here: browsers.
// Invariant: no false alarms. A list can be in transit while a user arrives or leaves. So a user must be on the lists of
// another viewer from the first list that names the user until the user begins to leave. On the lists of a viewer who opens
// the case later, the user must be if an earlier list has named the user on the user's own page.

/** Order of events in the same millisecond. Lists are last, because they may have been sent before the other events. */
const order = ['leaves', 'opens', 'switches', 'disconnects', 'connects', 'list'];

/** The lists that lack a user: `{ at, seat, case, names, missing }`. */
export function vanished(events) {
  const witness = new Witness();
  const inOrder = [...events].sort((one, other) => one.at - other.at || order.indexOf(one.what) - order.indexOf(other.what));
  return inOrder.flatMap((event) => witness[event.what]?.(event) ?? []);
}

class Witness {
  /** Users by seat: name, case, and the names that their lists must contain. */
  #people = new Map();

  opens({ seat, name, to }) {
    this.leaves({ seat });
    const listed = this.#listed(to);
    this.#people.set(seat, { name, case: to, listed, isConfirmed: false });
  }

  switches({ seat, to }) {
    const { name, case: from } = this.#people.get(seat);
    this.opens({ seat, name, to });
    // The last lists of the old case may still be in transit.
    this.#people.get(seat).from = from;
  }

  leaves({ seat }) {
    const left = this.#people.get(seat);
    this.#people.delete(seat);
    if (!left || this.#isOn(left.case, left.name)) return;
    for (const { listed } of this.#on(left.case)) listed.delete(left.name);
  }

  list({ at, seat, names }) {
    const person = this.#people.get(seat);
    if (person.from && this.#isOfOldCase(person, names)) return [];
    delete person.from;
    const missing = [...person.listed].filter((name) => !names.includes(name));
    person.listed = new Set(names.filter((name) => this.#isOn(person.case, name)));
    person.isConfirmed ||= names.includes(person.name);
    return missing.length > 0 ? [{ at, seat, case: person.case, names, missing }] : [];
  }

  /** Whether a list, which names no case, is of the old case: it names users of that case and, except its own, no other. */
  #isOfOldCase(person, names) {
    const others = names.filter((name) => name !== person.name);
    return others.some((name) => this.#isOn(person.from, name)) && !others.some((name) => this.#isOn(person.case, name));
  }

  /** Names on a case that the daemon has certainly processed. */
  #listed(caseRef) {
    return new Set(this.#on(caseRef).filter(({ isConfirmed }) => isConfirmed).map(({ name }) => name));
  }

  #on(caseRef) {
    return [...this.#people.values()].filter((person) => person.case === caseRef);
  }

  #isOn(caseRef, name) {
    return this.#on(caseRef).some((person) => person.name === name);
  }
}
