//! Asking a running daemon to reload its configuration, and answering with the outcome.
//!
//! Lives here: the signal, and the socket for the answer. Not here: what a reload does (`app`).

use std::{
    fs, io,
    os::unix::net::UnixDatagram,
    path::{Path, PathBuf},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};

/// The socket for the answer. It is in the runtime directory of the unit, which nobody else can enter.
const SOCKET: &str = "reload.sock";

/// How long the daemon may take to answer. It normally takes milliseconds.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// The most bytes of an answer. The rest is cut off.
const MAX_ANSWER_BYTES: usize = 64 * 1024;

/// Why a reload did not happen. The daemon then goes on with the configuration that it had.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    /// The command was not run by the unit.
    #[error(
        "MAINPID is not set, so the daemon is not known; use: systemctl reload cla-socketserver"
    )]
    NoDaemon,
    /// The signal could not be sent.
    #[error("send SIGHUP to process {pid}")]
    Signal {
        /// The process of the daemon.
        pid: Pid,
        /// The cause.
        source: io::Error,
    },
    /// No answer was received.
    #[error("wait for the daemon's answer at {path}")]
    Socket {
        /// The socket.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The configuration has mistakes.
    #[error("{0}")]
    Refused(String),
}

/// Asks the daemon with the process id `pid` to reload. Waits until it has done so, if there is a `directory` for its answer.
///
/// # Errors
/// When the daemon goes on with the configuration that it had.
pub fn ask_for_reload(pid: Option<&str>, directory: Option<&Path>) -> Result<(), ReloadError> {
    let pid = pid.and_then(|pid| Pid::from_raw(pid.parse().ok()?));
    let pid = pid.ok_or(ReloadError::NoDaemon)?;
    let signal = || {
        let sent = kill_process(pid, Signal::HUP);
        sent.map_err(|error| ReloadError::Signal {
            pid,
            source: error.into(),
        })
    };
    let Some(directory) = directory else {
        return signal();
    };
    let path = directory.join(SOCKET);
    let unanswered = |source| ReloadError::Socket {
        path: path.clone(),
        source,
    };
    // A command that was killed while it waited has left its socket.
    let _ = fs::remove_file(&path);
    let socket = UnixDatagram::bind(&path).map_err(unanswered)?;
    let answer = signal().and_then(|()| receive(&socket).map_err(unanswered));
    let _ = fs::remove_file(&path);
    match answer?.as_str() {
        "" => Ok(()),
        problems => Err(ReloadError::Refused(problems.to_owned())),
    }
}

fn receive(socket: &UnixDatagram) -> io::Result<String> {
    socket.set_read_timeout(Some(ANSWER_TIMEOUT))?;
    let mut answer = vec![0; MAX_ANSWER_BYTES];
    let length = socket.recv(&mut answer)?;
    answer.truncate(length);
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

/// Sends `problems`, which are empty after a success, to the command that waits in `directory`, if one does.
pub(crate) fn answer_reload(directory: Option<&Path>, problems: &str) {
    let Some(directory) = directory else { return };
    let sent = UnixDatagram::unbound().and_then(|socket| {
        socket.set_nonblocking(true)?;
        socket.send_to(problems.as_bytes(), directory.join(SOCKET))
    });
    // An error means that no command waits: the signal was sent by hand.
    let _ = sent;
}
