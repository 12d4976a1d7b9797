//! Signals.
//!
//! Lives here: which signals the daemon handles, and what each asks for. Not here: what is done then (`app`).

use std::io::{self, IsTerminal, stdin};

use tokio::signal::unix::{self, SignalKind, signal};

/// The request that a signal stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signal {
    /// Reload the configuration: SIGHUP, unless the terminal that the daemon was started in was closed.
    Reload,
    /// Stop: SIGTERM, SIGINT, or SIGHUP because the terminal was closed.
    Stop,
}

/// The signals that the daemon handles.
#[derive(Debug)]
pub struct Signals {
    /// Whether the daemon was started in a terminal.
    had_terminal: bool,
    hangup: unix::Signal,
    terminate: unix::Signal,
    interrupt: unix::Signal,
}

impl Signals {
    /// Begins to handle SIGHUP, SIGTERM and SIGINT.
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
            // Standard input is no terminal any more once the terminal was closed.
            _ = self.hangup.recv() => if self.had_terminal && !stdin().is_terminal() {
                Signal::Stop
            } else {
                Signal::Reload
            },
            _ = self.terminate.recv() => Signal::Stop,
            _ = self.interrupt.recv() => Signal::Stop,
        }
    }

    /// Waits for the next SIGTERM or SIGINT.
    pub(crate) async fn stop(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
