//! A session, for whoever has the request of its handshake.
//!
//! Lives here: what the crate that this one stands in for does not offer.

use std::{fmt, sync::Arc, time::Duration};

use engineioxide_core::TransportType;

use crate::{DisconnectReason, ended::Ended, queue::Waiting, session::Session};

/// A handle on a session. The engine puts it into the extensions of the request that a socket keeps.
#[derive(Clone)]
pub struct SessionHandle(pub(crate) Arc<Session>);

impl SessionHandle {
    /// What waits for the client. What was handed to the kernel does not count.
    #[must_use]
    pub fn waiting(&self) -> Waiting {
        self.0.waiting()
    }

    /// The transport that the client uses now, or used last.
    #[must_use]
    pub fn transport(&self) -> TransportType {
        self.0.transport()
    }

    /// The time since the client was last heard.
    #[must_use]
    pub fn silence(&self) -> Duration {
        self.0.silence()
    }

    /// What has ended the session, once it has ended.
    #[must_use]
    pub fn ended(&self) -> Option<Ended> {
        self.0.ended()
    }

    /// Ends the session at once, whatever its client does or does not do. The handler is told.
    pub fn close(&self, reason: DisconnectReason) {
        self.0.close(reason);
    }
}

impl fmt::Debug for SessionHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SessionHandle of {}", self.0.id)
    }
}
