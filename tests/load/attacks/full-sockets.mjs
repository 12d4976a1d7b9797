// Viewers of small cases that never read. The daemon writes the lists of small cases to the sockets itself, without waiting for
// the tasks of the connections: a socket that takes no more must not delay the others.

import { viewWithoutReading } from './slow-readers.mjs';

export default {
  full: { readers: 500, cases: 10, seconds: 20, rate: 20 },
  quick: { readers: 180, cases: 3, seconds: 7, rate: 40 },
  describe: ({ readers, cases, seconds, rate }) =>
    `${readers} viewers with the longest names on ${cases} cases, each of which changes ${rate} times a second for ${seconds} s, and none of them reads`,
  maxMiB: 512,
  run: viewWithoutReading,
};
