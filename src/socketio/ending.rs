//! Whether the end of a connection was a clean close or a loss.
//!
//! Lives here: the signs by which the two are told apart. Not here: what follows from either (`presence`).
//! Invariant: a connection that the daemon itself closes is a loss, because its page is still there.
//!
//! `docs/protocol.md` has the table of what happens to a browser and what the daemon sees of it, and `docs/presence.md` the
//! cases in which that is not enough.

use std::time::Duration;

use socketioxide::{TransportType, socket::DisconnectReason};

use super::{close::CloseReason, engine::Socket, session::permit};
use crate::{
    net::{TAIL_BYTES, TcpHandle},
    presence::Ending,
    stats::Counter,
};

/// The first two bytes of a client's close frame without a status. A mask of four bytes follows, and ends what the client sends.
const EMPTY_CLOSE: [u8; 2] = [0x88, 0x80];

/// The first two bytes of a client's close frame with a status, which is two bytes longer.
const CLOSE_WITH_STATUS: [u8; 2] = [0x88, 0x82];

/// Tells how a connection ended. `heartbeat` is how long a session may be silent.
pub(super) fn ending(
    socket: &Socket,
    reason: DisconnectReason,
    tcp: Option<&TcpHandle>,
    heartbeat: Duration,
) -> Ending {
    let tcp = tcp.filter(|_| is_websocket(socket));
    let has_status = tcp.is_some_and(|tcp| !is_empty_close(tcp.tail()));
    // How long messages may not have reached the browser. A client that gives up has not received anything for long.
    let silence = match (reason, socket.extensions.get()) {
        (DisconnectReason::ClientNSDisconnect, _) | (_, Some(CloseReason::PageGone)) => {
            return Ending::CleanClose;
        }
        (DisconnectReason::TransportClose, None) if has_status => return Ending::CleanClose,
        (_, Some(CloseReason::PollAborted(at))) => {
            let silence = at.elapsed();
            return Ending::PollAborted { silence };
        }
        (_, Some(CloseReason::Draining)) if has_been_sent_everything(socket) => Duration::ZERO,
        (DisconnectReason::TransportClose, None)
        | (_, Some(CloseReason::Misbehaved | CloseReason::Draining)) => heartbeat,
        (
            DisconnectReason::HeartbeatTimeout
            | DisconnectReason::TransportError
            | DisconnectReason::MultipleHttpPollingError
            | DisconnectReason::PacketParsingError
            | DisconnectReason::ServerNSDisconnect
            | DisconnectReason::ClosingServer,
            None,
        ) => tcp.map_or(heartbeat, TcpHandle::silence),
    };
    Ending::Lost { silence }
}

/// The counter of the client's mistake for which the library ended its session, if there was one.
pub(super) fn fault(
    socket: &Socket,
    reason: DisconnectReason,
    tcp: Option<&TcpHandle>,
) -> Option<Counter> {
    let is_open = tcp.is_some_and(|tcp| is_websocket(socket) && !tcp.is_at_end());
    match (reason, socket.extensions.get::<CloseReason>()) {
        (DisconnectReason::PacketParsingError, None) => Some(Counter::BadPacket),
        // If the network had ended the session, the connection would have ended.
        (DisconnectReason::TransportError, None) if is_open => Some(Counter::Unreadable),
        _ => None,
    }
}

fn has_been_sent_everything(socket: &Socket) -> bool {
    permit(socket).is_none_or(|permit| permit.backlog.is_empty())
}

fn is_websocket(socket: &Socket) -> bool {
    socket.transport_type() == TransportType::Websocket
}

/// Whether the client closed the websocket without a status. A browser that leaves the page gives one (1001). The client library
/// gives none when it misses the heartbeat, and connects again then.
fn is_empty_close(tail: [u8; TAIL_BYTES]) -> bool {
    let [before @ .., _, _, _, _, _, _] = tail;
    let [_, _, one, two, ..] = tail;
    before != CLOSE_WITH_STATUS && [one, two] == EMPTY_CLOSE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_close_frame_without_a_status_means_that_the_client_gave_up() {
        assert!(is_empty_close([0, 0, 0x88, 0x80, 1, 2, 3, 4]));
        assert!(is_empty_close([b'x', b'y', 0x88, 0x80, 0, 0, 0, 0]));
        // With the status 1001.
        assert!(!is_empty_close([
            0x88,
            0x82,
            1,
            2,
            3,
            4,
            0x03 ^ 1,
            0xe9 ^ 2
        ]));
        // With a mask whose first bytes look like the head of an empty close frame.
        assert!(!is_empty_close([
            0x88,
            0x82,
            0x88,
            0x80,
            3,
            4,
            0x03 ^ 0x88,
            0xe9 ^ 0x80
        ]));
        assert!(!is_empty_close([0; 8]));
    }
}
