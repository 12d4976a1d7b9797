// The seats of office.mjs: 200 users on 50 cases, four on each case at first.
//
// Lives here: who sits where, and the state of each page according to its events. Not here: browsers (`office.mjs`).

export const site = 'http://127.0.0.1';
export const cases = Array.from({ length: 50 }, (_, row) => `AB-1234-${5650 + row}`);
const seatsPerCase = 4;

export const seatCount = cases.length * seatsPerCase;

/** One page, its user and its case. */
export class Seat {
  gone = false;
  connected = false;
  losses = 0;
  returns = 0;
  list = [];
  /** Whether the list arrived on the current connection and case. */
  fresh = false;
  /** Whether the last switch to another case happened without a connection. */
  switchedAway = false;
  longestAwayMs = 0;

  constructor(number) {
    this.row = Math.floor(number / seatsPerCase);
    this.chair = number % seatsPerCase;
    this.id = `${this.row}.${this.chair}`;
    this.case = cases[this.row];
    this.name = this.isOneOfTwoTabs ? `Zoë ${group(this.row)}` : nameOf(this.row, this.chair);
  }

  // Chairs 0 and 1 never leave their case, so that every case always has viewers. Chair 2 switches cases in some rounds.
  // Chair 3 has one of the three roles below.

  /** Opens five cases in turn, so that all their viewers receive a list. */
  get isRoaming() {
    return this.chair === 3 && this.row % 5 === 0;
  }

  /** Belongs to a user who has two tabs, each on another case. */
  get isOneOfTwoTabs() {
    return this.chair === 3 && [1, 2].includes(this.row % 5);
  }

  /** Is a tab, which can be closed and reloaded. All others are frames. */
  get isTab() {
    return this.chair === 3 && this.row % 5 === 3;
  }

  address(caseRef = this.case) {
    const settings = { seat: this.id, server: site, name: this.name, usertype: 'operator', caseRef };
    return `${site}/call_centre/${caseRef}/?${new URLSearchParams(settings)}`;
  }

  /** Updates the state by an event of the page's journal. */
  update({ at, what, to, names }) {
    switch (what) {
      case 'opens':
        return Object.assign(this, { case: to, fresh: false, connected: false, gone: false });
      case 'switches':
        return Object.assign(this, { case: to, fresh: false, switchedAway: !this.connected });
      case 'leaves':
        return (this.gone = true);
      case 'disconnects':
        this.losses += 1;
        return Object.assign(this, { connected: false, lostAt: at });
      case 'connects':
        this.returns += 1;
        this.longestAwayMs = Math.max(this.longestAwayMs, at - (this.lostAt ?? at));
        return Object.assign(this, { connected: true, fresh: false });
      case 'list':
        return Object.assign(this, { list: names, fresh: true });
    }
  }
}

export function nameOf(row, chair) {
  return `名 ${row}.${chair}`;
}

function group(row) {
  return Math.floor(row / 5);
}

export function elsewhere(seat) {
  return cases[(cases.indexOf(seat.case) + cases.length / 2) % cases.length];
}

/** A text for a user on a case, to compare with the people map. */
export function place(seat) {
  return `${seat.case} ${seat.name}`;
}
