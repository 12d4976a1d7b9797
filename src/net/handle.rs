//! What is known about a TCP connection outside of its server.
//!
//! Lives here: handles on a connection, and its traffic. Not here: reading and writing for the server (`stream`).

use std::{
    net::Shutdown,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use socket2::SockRef;
use tokio::{net::TcpStream, time::Instant};

use super::backlog::Backlog;

/// A handle on the TCP connection that a request came over.
#[derive(Clone, Debug)]
pub(crate) struct TcpHandle {
    traffic: Arc<Traffic>,
}

/// What is known about the bytes that a connection has received and sent.
#[derive(Debug)]
pub(super) struct Traffic {
    since: Instant,
    /// When bytes were last received, in microseconds after `since`. A message that was sent within the same unit of time counts as
    /// not received.
    last_at: AtomicU64,
    /// Whether no more bytes can be received.
    pub(super) is_over: AtomicBool,
    /// The backlog that shrinks as bytes are written, once the connection is a websocket.
    pub(super) backlog: OnceLock<Backlog>,
}

impl TcpHandle {
    pub(super) fn new(traffic: &Arc<Traffic>) -> Self {
        let traffic = traffic.clone();
        Self { traffic }
    }

    /// The time since bytes were last received.
    pub(crate) fn silence(&self) -> Duration {
        let last_at = Duration::from_micros(self.traffic.last_at.load(Relaxed));
        self.traffic.since.elapsed().saturating_sub(last_at)
    }

    /// From now on, bytes written to the connection are subtracted from `backlog`. Only the first call counts.
    pub(crate) fn report_writes_to(&self, backlog: &Backlog) {
        self.traffic.backlog.get_or_init(|| backlog.clone());
    }
}

impl Traffic {
    pub(super) fn new() -> Self {
        Self {
            since: Instant::now(),
            last_at: AtomicU64::new(0),
            is_over: AtomicBool::new(false),
            backlog: OnceLock::new(),
        }
    }

    /// Records that bytes were received. Only one task reads a connection, so nothing comes between loading and storing.
    pub(super) fn hear(&self) {
        let micros = self.since.elapsed().as_micros();
        self.last_at
            .store(micros.try_into().unwrap_or(u64::MAX), Relaxed);
    }
}

/// Shuts a socket down. An error means that the peer was faster.
pub(super) fn shut_down(stream: &TcpStream, how: Shutdown) {
    let _ = SockRef::from(stream).shutdown(how);
}
