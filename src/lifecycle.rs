//! How the daemon comes to life and ends.
//!
//! Lives here: listeners, open files, the HTTP server, systemd, signals, tasks that must not die. Not here: presence.

mod backlog;
mod files;
mod hold;
mod line;
mod listeners;
mod reload;
mod server;
mod systemd;
mod tasks;

use std::io::{self, IsTerminal, stdin};

use tokio::signal::unix::{self, SignalKind, signal};

pub(crate) use backlog::{Backlog, Full};
pub use files::raise_file_limit;
pub(crate) use files::{Shares, too_few_files};
pub(crate) use line::{Held, Line};
pub(crate) use listeners::log_listening;
pub use listeners::{ListenError, Listeners, Passed};
pub(crate) use reload::answer_reload;
pub use reload::{ReloadError, ask_for_reload};
pub(crate) use server::{HttpService, LAST_WORDS, Patience, Peer, Server};
pub(crate) use systemd::{announce, ready, reloaded, reloading, stopping, watch};
pub use tasks::Died;
pub(crate) use tasks::Tasks;

/// Where the daemon is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Not everything is in place yet.
    Starting,
    /// Serving.
    Ready,
    /// On its way out.
    Draining,
}

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signal {
    /// SIGHUP: take up a changed configuration. That of a terminal that is gone is a request to stop.
    Reload,
    /// SIGTERM or SIGINT: end.
    Stop,
}

/// The signals that the daemon listens to.
#[derive(Debug)]
pub struct Signals {
    /// Whether the daemon was started in a terminal.
    had_terminal: bool,
    hangup: unix::Signal,
    terminate: unix::Signal,
    interrupt: unix::Signal,
}

impl Signals {
    /// Begins to listen to SIGHUP, SIGTERM and SIGINT.
    ///
    /// # Errors
    /// When the operating system refuses.
    pub fn listen() -> io::Result<Self> {
        Ok(Self {
            had_terminal: stdin().is_terminal(),
            hangup: signal(SignalKind::hangup())?,
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// Waits for the next signal.
    pub(crate) async fn next(&mut self) -> Signal {
        tokio::select! {
            // A terminal that was closed is none any more.
            _ = self.hangup.recv() => if self.had_terminal && !stdin().is_terminal() {
                Signal::Stop
            } else {
                Signal::Reload
            },
            _ = self.terminate.recv() => Signal::Stop,
            _ = self.interrupt.recv() => Signal::Stop,
        }
    }

    /// Waits for the next signal that asks for an end.
    pub(crate) async fn stop(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
