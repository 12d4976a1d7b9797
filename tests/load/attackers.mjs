// The process of the attackers, apart from the bystanders so that neither delays the other.
//
// Lives here: running one attack of attacks/. Not here: bounds (`overload.mjs`).
//
//   node attackers.mjs NAME '{"public": PORT, "admin": PORT, "seconds": …, "pingInterval": …, …}'
//
// Says what came of it, {tally}, and leaves without a goodbye when told to.

import os from 'node:os';

import { Tally } from './crowd.mjs';

const [name, settings] = process.argv.slice(2);
process.on('message', () => process.exit(0));
// Whoever started this is gone.
process.on('disconnect', () => process.exit(1));

// The daemon and the bystanders shall not wait for a processor because the attackers have it.
os.setPriority(os.getPriority() + 5);
const { default: attack } = await import(`./attacks/${name}.mjs`);
const tally = new Tally();
await attack.run(JSON.parse(settings), tally);
process.send({ tally: tally.counts });
