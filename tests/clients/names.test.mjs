// Names and case references outside ASCII, sent by every client version to every other.
//
// Over polling with Engine.IO 3, clients 1.x encode UTF-8 twice and 2.x once, and each decodes in its own way.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { clients } from '../support/clients.mjs';
import { Office } from '../support/people.mjs';

// Over polling, "Ã©" of a 2.x client has the same bytes as "é" of a 1.x client. This is the only ambiguity.
const readsAsTwiceEncoded = ({ version, transports }) => version.startsWith('2.') && transports[0] === 'polling';

const names = [
  { name: 'ann', of: 'in ASCII' },
  { name: 'Zoë Ω 😀 名前', of: 'with letters of one, two, three and four bytes' },
  { name: 'é', of: 'with one accented letter' },
  { name: 'Renée Müller-Þór ÿ', of: 'with every letter in Latin-1' },
  { name: '"\\</script>&amp;\u2028%C3%A9', of: 'with characters that HTML, JSON or URLs escape' },
  { name: 'Ã©', of: 'that looks as if encoded twice', but: readsAsTwiceEncoded },
];

describe('every client sees the names of all others as they were sent', () => {
  for (const { name, of, but = () => false } of names) {
    test(`names ${of}`, async (t) => {
      const office = await Office.open(t);
      const people = [];
      for (const client of clients.filter((client) => !but(client))) {
        people.push(await office.arrives(client, `${name} ${client.title.replace('→', '+')}`, `case ${name}`));
      }
      const everybody = people.map((person) => person.name);
      await Promise.all(people.map((person) => person.shows(everybody)));
      const known = Object.values(await office.daemon.peopleMap());
      assert.deepEqual(known.map(({ username }) => username).sort(), [...everybody].sort());
      const cases = known.flatMap(({ connections }) => Object.values(connections).map(({ caseViewed }) => caseViewed));
      assert.deepEqual(new Set(cases), new Set([`case ${name}`]));
    });
  }
});
