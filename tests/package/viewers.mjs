// Users who open a case once and never again, with the clients that users have: after a loss only the daemon can know their
// case.
//
//   node viewers.mjs SITE
//
// Each user is named after client and transport, and views a case of the same name. Runs until it is killed.
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
