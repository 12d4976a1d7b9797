// The process of the attackers. The bystanders run in another one, so that neither delays the other.
//
// Lives here: running one attack of attacks/. Not here: bounds (`overload.mjs`).
//
//   node attackers.mjs NAME '{"public": PORT, "admin": PORT, "seconds": …, "pingInterval": …, …}'
//
// Sends {tally}, the number of outcomes by kind, when the attack is over. Exits without closing connections at any message.

import os from 'node:os';

import { Tally } from './attack-tools.mjs';

const [name, settings] = process.argv.slice(2);
process.on('message', () => process.exit(0));
// The parent process has ended.
process.on('disconnect', () => process.exit(1));

// The daemon and the bystanders have precedence over the attackers.
os.setPriority(os.getPriority() + 5);
const { default: attack } = await import(`./attacks/${name}.mjs`);
const tally = new Tally();
await attack.run(JSON.parse(settings), tally);
process.send({ tally: tally.counts });
