// The table of client versions that users have. It also runs inside the throw-away systems of tests/package, beside a copy
// of package.json.

import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';

const require = createRequire(import.meta.url);
const { devDependencies } = JSON.parse(readFileSync(new URL('package.json', import.meta.url), 'utf8'));

const transportChoices = [['polling'], ['websocket'], ['polling', 'websocket']];

/** Every client version in `package.json`, with every choice of transports. */
export const clients = Object.entries(devDependencies)
  .filter(([alias]) => alias.startsWith('sio'))
  .map(([alias, spec]) => ({ version: spec.split('@').at(-1), io: require(alias) }))
  .flatMap(({ version, io }) => transportChoices.map((transports) => ({ version, io, transports })))
  .map((client) => ({ ...client, title: `${client.version} ${client.transports.join('→')}` }));

/** The client and the transports of the case page of CHS. */
export const chs = clients.find(({ title }) => title === '1.7.4 polling→websocket');
