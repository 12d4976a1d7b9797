//! Closing sessions so that their clients come back by themselves.
//!
//! Lives here: closing the session of one socket. Not here: why a session is closed. A Socket.IO disconnect packet is never sent,
//! because a client stays away after it.

use engineioxide::{DisconnectReason, SessionHandle};

use super::engine::Socket;

/// Why the daemon closes a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CloseReason {
    /// Because of what its client did or failed to do.
    Misbehaved,
    /// Because the daemon stops.
    Draining,
}

/// Closes the session of a socket at once, whatever its client does, and returns whether it was not being closed already.
pub(super) fn close(socket: &Socket, reason: CloseReason) -> bool {
    let is_first = socket.extensions.insert(reason).is_none();
    if let Some(session) = session(socket) {
        session.close(DisconnectReason::ClosingServer);
    }
    is_first
}

/// The session under a socket.
pub(super) fn session(socket: &Socket) -> Option<&SessionHandle> {
    socket.req_parts().extensions.get()
}
