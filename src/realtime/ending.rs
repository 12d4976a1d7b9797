//! What the end of a connection means: a goodbye, or a loss.
//!
//! Lives here: the signs by which the two are told apart. Not here: what follows from either (`presence`).
//! Invariant: whatever the daemon itself ends is a loss, for the page is still there.
//!
//! What the daemon sees, measured with Chromium 148 behind nginx 1.22. Clients 1.7.4 and 4.8 look the same but where both are named.
//!
//! | what happens | over a websocket | by polling |
//! |---|---|---|
//! | the tab is closed, reloaded, or shows another page | goodbye: close frame 1001 | goodbye: the waiting poll breaks off |
//! | the page calls `disconnect()` | goodbye: a disconnect packet, then an empty close frame | goodbye: a disconnect packet, then a close packet |
//! | the browser is killed | loss: the connection ends without a close frame | goodbye: the waiting poll breaks off |
//! | the client misses the heartbeat, or is told to be offline (4.8) | loss: empty close frame | loss: close packet, or silence |
//! | the cable is pulled, the laptop suspended | loss: silence until the heartbeat fails | the same |
//! | cable and laptop are back sooner | nothing, the session goes on | the same |
//! | nginx reloads and cuts its old connections, or stops | loss: no close frame | loss: polls of several browsers break off at once |
//! | the daemon hangs up, or stops | loss | loss |
//! | the daemon is killed | loss: what the snapshot says | the same |
//!
//! Client 3.1.3, which nothing but its own code tells, closes without a status when its page is left, as if it had given
//! up: its user is then gone when the grace is over.
//!
//! Not seen by polling: a page that is left in the instant in which its poll has just been answered. It is silent from
//! then on, and gone when the heartbeat fails.

use std::time::Duration;

use socketioxide::{TransportType, socket::DisconnectReason};

use super::{Socket, hang_up::Cut};
use crate::{lifecycle::Line, presence::Ending, stats::Counter};

/// An empty close frame of a client begins with these two bytes; its mask of four follows, and ends what the client sends.
const EMPTY_CLOSE: [u8; 2] = [0x88, 0x80];

/// One with a status begins with these, two bytes earlier.
const CLOSE_WITH_STATUS: [u8; 2] = [0x88, 0x82];

/// Tells how a connection ended. `heartbeat` is how long the library waits for a sign of life.
pub(crate) fn ending(
    socket: &Socket,
    reason: DisconnectReason,
    line: Option<&Line>,
    heartbeat: Duration,
) -> Ending {
    let line = line.filter(|_| is_websocket(socket));
    let said_why = line.is_some_and(|line| !gave_up(line.tail()));
    // How long what was sent may have been in vain. A client that goes by itself has not been reached for long.
    let silence = match (reason, socket.extensions.get()) {
        (DisconnectReason::ClientNSDisconnect, _) => return Ending::Goodbye,
        (DisconnectReason::TransportClose, None) if said_why => return Ending::Goodbye,
        (_, Some(Cut::BrokenOff)) => return Ending::BrokenOff,
        (_, Some(Cut::Parted)) => Duration::ZERO,
        (DisconnectReason::TransportClose, None) | (_, Some(Cut::HungUp)) => heartbeat,
        (
            DisconnectReason::HeartbeatTimeout
            | DisconnectReason::TransportError
            | DisconnectReason::MultipleHttpPollingError
            | DisconnectReason::PacketParsingError
            | DisconnectReason::ServerNSDisconnect
            | DisconnectReason::ClosingServer,
            None,
        ) => line.map_or(heartbeat, Line::silence),
    };
    Ending::Lost { silence }
}

/// What a client did wrong so that the library has ended its session, if it did.
pub(crate) fn fault(
    socket: &Socket,
    reason: DisconnectReason,
    line: Option<&Line>,
) -> Option<Counter> {
    let is_open = line.is_some_and(|line| is_websocket(socket) && !line.is_over());
    match (reason, socket.extensions.get::<Cut>()) {
        (DisconnectReason::PacketParsingError, None) => Some(Counter::BadPacket),
        // Had the network ended it, there would be no more to read.
        (DisconnectReason::TransportError, None) if is_open => Some(Counter::Unreadable),
        _ => None,
    }
}

fn is_websocket(socket: &Socket) -> bool {
    socket.transport_type() == TransportType::Websocket
}

/// Whether the client closed the websocket without a reason. A browser that leaves the page gives one (1001); the client
/// library does not when it misses the heartbeat, and then it connects again.
fn gave_up(tail: [u8; 8]) -> bool {
    let [before @ .., _, _, _, _, _, _] = tail;
    let [_, _, one, two, ..] = tail;
    before != CLOSE_WITH_STATUS && [one, two] == EMPTY_CLOSE
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
        // With a mask that looks like the other.
        assert!(!gave_up([
            0x88,
            0x82,
            0x88,
            0x80,
            3,
            4,
            0x03 ^ 0x88,
            0xe9 ^ 0x80
        ]));
        assert!(!gave_up([0; 8]));
    }
}
