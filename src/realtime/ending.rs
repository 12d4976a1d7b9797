//! What the end of a connection means: a goodbye, or a loss.
//!
//! Lives here: the signs by which the two are told apart. Not here: what follows from either (`presence`).
//! Invariant: whatever the daemon itself ends is a loss, for the page is still there.

use std::time::Duration;

use socketioxide::{TransportType, socket::DisconnectReason};

use super::{
    Socket,
    hang_up::{HangUp, HungUp},
};
use crate::presence::Ending;

/// An empty close frame of a client begins with these two bytes; its mask of four follows, and ends what the client sends.
const EMPTY_CLOSE: [u8; 2] = [0x88, 0x80];

/// Tells how a connection ended. `heartbeat` is how long the library waits for a sign of life.
pub(crate) fn ending(
    socket: &Socket,
    reason: DisconnectReason,
    hang_up: &HangUp,
    heartbeat: Duration,
) -> Ending {
    let websocket = socket.transport_type() == TransportType::Websocket;
    let line = hang_up.take_line(socket).filter(|_| websocket);
    let gave_up = line.as_ref().is_some_and(|line| gave_up(line.tail()));
    let lost_since = |silence| Ending::Lost { silence };
    let lost = lost_since(Duration::ZERO);
    match reason {
        _ if socket.extensions.get::<HungUp>().is_some() => lost,
        DisconnectReason::TransportClose if gave_up => lost,
        DisconnectReason::TransportClose | DisconnectReason::ClientNSDisconnect => Ending::Goodbye,
        DisconnectReason::HeartbeatTimeout => {
            lost_since(line.map_or(heartbeat, |line| line.silence()))
        }
        DisconnectReason::TransportError
        | DisconnectReason::MultipleHttpPollingError
        | DisconnectReason::PacketParsingError
        | DisconnectReason::ServerNSDisconnect
        | DisconnectReason::ClosingServer => lost,
    }
}

/// Whether the client closed the websocket without a reason. A browser that leaves the page gives one (1001); the client
/// library does not when it misses the heartbeat, and then it connects again.
fn gave_up(tail: [u8; 8]) -> bool {
    matches!(tail, [_, _, one, two, ..] if [one, two] == EMPTY_CLOSE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_close_frame_without_a_status_means_that_the_client_gave_up() {
        assert!(gave_up([0, 0, 0x88, 0x80, 1, 2, 3, 4]));
        assert!(gave_up([b'x', b'y', 0x88, 0x80, 0, 0, 0, 0]));
        // With the status 1001.
        assert!(!gave_up([0x88, 0x82, 1, 2, 3, 4, 0x03 ^ 1, 0xe9 ^ 2]));
        assert!(!gave_up([0; 8]));
    }
}
