//! Whether the end of a connection was a clean close or a loss.
//!
//! Lives here: the signs by which the two are told apart. Not here: what follows from either (`presence`).
//! Invariant: a connection that the daemon itself closes is a loss, because its page is still there.
//!
//! `docs/protocol.md` has the table of what happens to a browser and what the daemon sees of it, and `docs/presence.md` the
//! cases in which that is not enough.

use std::time::Duration;

use engineioxide::Ended;
use socketioxide::{TransportType, socket::DisconnectReason};

use super::{
    close::{CloseReason, session},
    engine::Socket,
    session::Session,
};
use crate::{presence::Ending, stats::Counter};

/// Tells how a connection ended. `heartbeat` is how long a session may be silent.
pub(super) fn ending(socket: &Socket, reason: DisconnectReason, heartbeat: Duration) -> Ending {
    let session = session(socket).filter(|_| is_websocket(socket));
    // How long messages may not have reached the browser. A client that gives up has not received anything for long.
    let silence = match (reason, ended(socket), socket.extensions.get()) {
        // A browser that leaves the page gives a status (1001). The client library gives none when it misses the heartbeat, and
        // connects again then.
        (DisconnectReason::ClientNSDisconnect, ..)
        | (_, Some(Ended::CloseFrame(Some(_))), None) => return Ending::CleanClose,
        (_, Some(Ended::ClosePacket), None) if is_websocket(socket) => return Ending::CleanClose,
        (_, Some(Ended::PollAborted), None) => {
            let silence = Duration::ZERO;
            return Ending::PollAborted { silence };
        }
        (.., Some(CloseReason::Draining)) if has_been_sent_everything(socket) => Duration::ZERO,
        (DisconnectReason::TransportClose, _, None)
        | (.., Some(CloseReason::Misbehaved | CloseReason::Draining)) => heartbeat,
        (
            DisconnectReason::HeartbeatTimeout
            | DisconnectReason::TransportError
            | DisconnectReason::MultipleHttpPollingError
            | DisconnectReason::PacketParsingError
            | DisconnectReason::ServerNSDisconnect
            | DisconnectReason::ClosingServer,
            _,
            None,
        ) => session.map_or(heartbeat, |session| session.silence()),
    };
    Ending::Lost { silence }
}

/// The counter of the client's mistake for which the engine ended its session, if there was one.
pub(super) fn fault(socket: &Socket, reason: DisconnectReason) -> Option<Counter> {
    match (
        reason,
        ended(socket),
        socket.extensions.get::<CloseReason>(),
    ) {
        (DisconnectReason::PacketParsingError, _, None) => Some(Counter::BadPacket),
        (_, Some(Ended::BadFrame), None) => Some(Counter::Unreadable),
        _ => None,
    }
}

fn ended(socket: &Socket) -> Option<Ended> {
    session(socket)?.ended()
}

fn has_been_sent_everything(socket: &Socket) -> bool {
    let (Some(engine), Some(session)) = (session(socket), Session::of(socket)) else {
        return true;
    };
    session.waiting(engine).packets == 0
}

fn is_websocket(socket: &Socket) -> bool {
    socket.transport_type() == TransportType::Websocket
}
