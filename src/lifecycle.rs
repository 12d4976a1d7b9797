//! How the daemon comes to life and ends.
//!
//! Lives here: listeners, open files, the HTTP server, systemd, signals, tasks that must not die. Not here: presence.

mod backlog;
mod files;
mod line;
mod listeners;
mod server;
mod systemd;
mod tasks;

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

pub(crate) use backlog::{Backlog, Full};
pub use files::raise_file_limit;
pub(crate) use files::{Shares, too_few_files};
pub(crate) use line::{Held, Line};
pub(crate) use listeners::log_listening;
pub use listeners::{ListenError, Listeners, Passed};
pub(crate) use server::{HttpService, LAST_WORDS, Patience, Peer, Server};
pub(crate) use systemd::{announce, ready, stopping, watch};
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

/// The signals that end the daemon.
#[derive(Debug)]
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Begins to listen to SIGTERM and SIGINT.
    ///
    /// # Errors
    /// When the operating system refuses.
    pub fn listen() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// Waits for the next signal.
    pub(crate) async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
