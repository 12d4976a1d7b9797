// People with a case open, over the clients that users have, who open it once and never say so again: after a loss only the
// daemon can know that they are on it.
//
//   node viewers.mjs SITE
//
// Each is named after its client and its transport, and looks at a case of that name. Runs until it is ended.
import { createRequire } from 'node:module';

const require = createRequire('/tmp/clients/');
const versions = { '1.7.4': require('sio1'), 4.8: require('sio4') };

for (const [version, io] of Object.entries(versions)) {
  for (const transport of ['polling', 'websocket']) {
    const name = `${version}-${transport}`;
    const delays = { reconnectionDelay: 100, reconnectionDelayMax: 500 };
    const socket = io(`${process.argv[2]}/socket.io`, { transports: [transport], forceNew: true, ...delays });
    let opened = false;
    socket.on('connect', () => {
      socket.emit('identify', { username: name, usertype: 'operator', appVersion: '1.0' });
      if (!opened) socket.emit('startViewingCase', name);
      opened = true;
    });
  }
}
