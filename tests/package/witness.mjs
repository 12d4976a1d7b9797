// Whether somebody who was there was missing from a list that somebody else was sent.
//
// Lives here: putting the journals of all pages (`journal.js`) in order, and the judgement. Not here: browsers.
// Invariant: nobody is called missing who may rightly be so. A list can be on its way while somebody arrives or leaves, so
// somebody has to be on the lists of an observer from the first one that names them until they set out to leave, and
// on those of a newcomer if they knew themselves to be listed before the newcomer set out.

/** Order of what happened in the same millisecond: lists last, because they may have been sent before it. */
const order = ['leaves', 'opens', 'turns', 'disconnects', 'connects', 'list'];

/** Lists that lacked somebody: when, whose screen, what it showed, and who was missing. */
export function vanished(events) {
  const witness = new Witness();
  const inOrder = [...events].sort((one, other) => one.at - other.at || order.indexOf(one.what) - order.indexOf(other.what));
  return inOrder.flatMap((event) => witness[event.what]?.(event) ?? []);
}

class Witness {
  /** Who sits where, by seat: name, case, the names they have to go on seeing. */
  #people = new Map();

  opens({ seat, name, to }) {
    this.leaves({ seat });
    const listed = this.#listed(to);
    this.#people.set(seat, { name, case: to, listed, knowsItself: false });
  }

  turns({ seat, to }) {
    const { name, case: from } = this.#people.get(seat);
    this.opens({ seat, name, to });
    // The last lists of the other case may still be on their way.
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
    if (person.from && this.#isOfTheOtherCase(person, names)) return [];
    delete person.from;
    const missing = [...person.listed].filter((name) => !names.includes(name));
    person.listed = new Set(names.filter((name) => this.#isOn(person.case, name)));
    person.knowsItself ||= names.includes(person.name);
    return missing.length > 0 ? [{ at, seat, case: person.case, names, missing }] : [];
  }

  /** A list names no case: it is of the other one if it names people who are there, and nobody else but the newcomer. */
  #isOfTheOtherCase(person, names) {
    const others = names.filter((name) => name !== person.name);
    return others.some((name) => this.#isOn(person.from, name)) && !others.some((name) => this.#isOn(person.case, name));
  }

  /** Names on a case that the daemon certainly knows of. */
  #listed(caseRef) {
    return new Set(this.#on(caseRef).filter(({ knowsItself }) => knowsItself).map(({ name }) => name));
  }

  #on(caseRef) {
    return [...this.#people.values()].filter((person) => person.case === caseRef);
  }

  #isOn(caseRef, name) {
    return this.#on(caseRef).some((person) => person.name === name);
  }
}
