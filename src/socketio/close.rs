//! Closing sessions so that their clients come back by themselves.
//!
//! Lives here: closing the session of one socket. Not here: why a session is closed. A Socket.IO disconnect packet is never sent,
//! because a client stays away after it.

use engineioxide::SessionHandle;
use socketioxide::{SocketIo, socket::Sid};

use super::{
    engine::{NAMESPACE, Socket},
    session::permit,
};
use crate::presence::Bytes;

/// Why the daemon closes a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CloseReason {
    /// Because of what its client did or failed to do.
    Misbehaved,
    /// Because the daemon stops.
    Draining,
}

/// Closes sessions.
#[derive(Clone)]
pub(super) struct Closer(SocketIo);

impl Closer {
    pub(super) fn new(io: SocketIo) -> Self {
        Self(io)
    }

    /// Records that a session was sent `taken` by polling.
    pub(super) fn polled(&self, session: Sid, taken: Bytes) {
        let namespace = self.0.of(NAMESPACE);
        let socket = namespace.and_then(|namespace| namespace.get_socket(session));
        if let Some(permit) = socket.as_deref().and_then(permit) {
            permit.backlog.shrink(taken);
        }
    }

    /// Closes the session of a socket because of what its client did, and returns whether it was not being closed already.
    #[expect(clippy::unused_self, reason = "only who has a closer may close")]
    pub(super) fn close(&self, socket: &Socket) -> bool {
        close_for(socket, CloseReason::Misbehaved)
    }

    /// Closes the session of a socket because the daemon stops.
    #[expect(clippy::unused_self, reason = "only who has a closer may close")]
    pub(super) fn close_for_stop(&self, socket: &Socket) {
        close_for(socket, CloseReason::Draining);
    }
}

/// The session under a socket.
pub(super) fn session(socket: &Socket) -> Option<&SessionHandle> {
    socket.req_parts().extensions.get()
}

fn close_for(socket: &Socket, reason: CloseReason) -> bool {
    let is_first = socket.extensions.insert(reason).is_none();
    if let Some(session) = session(socket) {
        session.close(engineioxide::DisconnectReason::ClosingServer);
    }
    is_first
}
