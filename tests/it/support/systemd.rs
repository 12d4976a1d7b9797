//! Sockets and notifications the way systemd passes and receives them.

use std::{
    net::{TcpListener, UdpSocket},
    os::fd::OwnedFd,
    path::Path,
    process::Stdio,
};

use tempfile::TempDir;
use tokio::{net::UnixDatagram, process::Command, time::timeout};

use super::{WAIT, daemon::binary};

/// A socket that receives notifications (`NOTIFY_SOCKET`).
pub struct NotifySocket {
    dir: TempDir,
    socket: UnixDatagram,
}

impl NotifySocket {
    pub fn bind() -> Self {
        let dir = TempDir::new().unwrap();
        let socket = UnixDatagram::bind(dir.path().join("notify")).unwrap();
        Self { dir, socket }
    }

    pub fn path(&self) -> String {
        self.dir.path().join("notify").display().to_string()
    }

    /// Waits for one notification that has all of these lines.
    pub async fn until(&self, expected: &str) {
        let mut buffer = [0; 1000];
        let mut notified = Vec::new();
        let reading = timeout(WAIT, async {
            loop {
                let length = self.socket.recv(&mut buffer).await.unwrap();
                let text = String::from_utf8(buffer[..length].to_vec()).unwrap();
                let has = |line: &str| text.lines().any(|it| it == line);
                if expected.lines().all(has) {
                    return;
                }
                notified.push(text);
            }
        });
        let in_time = reading.await.is_ok();
        assert!(in_time, "expected {expected:?}, notified {notified:?}");
    }
}

/// Two listeners on free ports of this machine.
pub fn two_listeners() -> [TcpListener; 2] {
    [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap())
}

/// The daemon with two sockets as descriptors 3 and 4. Its standard error is a pipe.
pub fn activated(names: &str, public: impl Into<OwnedFd>, admin: impl Into<OwnedFd>) -> Command {
    let mut shell = through_shell(r#"exec "$0" 3<&0 4<&1 0</dev/null 1>&2"#);
    shell
        .env("LISTEN_FDS", "2")
        .env("LISTEN_FDNAMES", names)
        .stdin(Stdio::from(public.into()))
        .stdout(Stdio::from(admin.into()))
        .stderr(Stdio::piped());
    shell
}

/// The daemon with its two listeners and the socket to send metrics from as descriptors 3 to 5. Its standard error is the file `log`.
pub fn activated_with_statsd(
    [public, admin]: [TcpListener; 2],
    statsd: &UdpSocket,
    log: &Path,
) -> Command {
    let statsd = OwnedFd::from(statsd.try_clone().unwrap());
    let mut shell = through_shell(r#"exec "$0" 3<&0 4<&1 5<&2 0</dev/null 1>&- 2>"$1""#);
    shell
        .arg(log)
        .env("LISTEN_FDS", "3")
        .env("LISTEN_FDNAMES", "public:admin:statsd")
        .stdin(Stdio::from(OwnedFd::from(public)))
        .stdout(Stdio::from(OwnedFd::from(admin)))
        .stderr(Stdio::from(statsd));
    shell
}

/// A shell that moves its descriptors and becomes the daemon (`$0`). `LISTEN_PID` must be the pid of the daemon itself.
fn through_shell(script: &str) -> Command {
    let program = binary().as_std().get_program().to_owned();
    let mut shell = Command::new("/bin/sh");
    shell
        .arg("-c")
        .arg(format!("LISTEN_PID=$$ {script}"))
        .arg(program)
        .env_clear()
        .kill_on_drop(true);
    shell
}
