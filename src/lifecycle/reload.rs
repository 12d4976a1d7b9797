//! Asking a running daemon to read its configuration again, and telling the one who asked what came of it.
//!
//! Lives here: the signal and the socket of the answer. Not here: what a reload does (`app`).

use std::{
    fs, io,
    os::unix::net::UnixDatagram,
    path::{Path, PathBuf},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};

/// Where the answer is waited for, in the unit's runtime directory, which nobody else can enter.
const SOCKET: &str = "reload.sock";

/// How long the daemon has to answer. It does within milliseconds when it is well.
const PATIENCE: Duration = Duration::from_secs(10);

/// More of an answer is cut off.
const MAX_ANSWER_BYTES: usize = 64 * 1024;

/// Why a daemon runs with the configuration that it had before.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    /// Not run by the unit.
    #[error(
        "MAINPID is not set, so there is no daemon to tell; use: systemctl reload cla-socketserver"
    )]
    NoDaemon,
    /// The daemon cannot be told.
    #[error("send SIGHUP to process {pid}")]
    Signal {
        /// Its process.
        pid: Pid,
        /// Why not.
        source: io::Error,
    },
    /// The answer cannot be waited for.
    #[error("wait for the daemon's answer at {path}")]
    Socket {
        /// Where.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The daemon has found a mistake.
    #[error("{0}")]
    Refused(String),
}

/// Tells the daemon with the process id `pid` to reload, and waits until it has, if there is a `directory` for its answer.
///
/// # Errors
/// When it goes on with the configuration that it had.
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
    // One that was killed while it waited may have left its own.
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
    socket.set_read_timeout(Some(PATIENCE))?;
    let mut answer = vec![0; MAX_ANSWER_BYTES];
    let length = socket.recv(&mut answer)?;
    answer.truncate(length);
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

/// Answers whoever waits in `directory`, if anybody does: with the problems of the configuration, or with nothing.
pub(crate) fn answer_reload(directory: Option<&Path>, problems: &str) {
    let Some(directory) = directory else { return };
    let sent = UnixDatagram::unbound().and_then(|socket| {
        socket.set_nonblocking(true)?;
        socket.send_to(problems.as_bytes(), directory.join(SOCKET))
    });
    // An error means that nobody waits: the signal was sent by hand.
    let _ = sent;
}
