//! Ending all sessions.
//!
//! Lives here: closing them one after the other, so that a thousand browsers do not come back in the same instant.

use std::time::Duration;

use socketioxide::{SocketIo, operators::BroadcastOperators};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::task::TaskTracker;

use super::{
    close::{CloseReason, close},
    engine::NAMESPACE,
};
use crate::net::FINISH_TIMEOUT;

/// The pause after closing one connection, as long as all of them fit into the time that is given.
const PER_CONNECTION: Duration = Duration::from_millis(2);

/// Ends every session.
pub(crate) struct Drain {
    pub(super) io: SocketIo,
    /// Tracks the connections in the namespace.
    pub(super) connections: TaskTracker,
}

impl Drain {
    /// Closes one connection after the other over at most `spread`. Then waits for them to end, and ends the sessions that are in no
    /// namespace of ours; either takes at most [`FINISH_TIMEOUT`].
    pub(crate) async fn run(self, spread: Duration) {
        let namespace = self.io.of(NAMESPACE);
        let sockets = namespace
            .map(BroadcastOperators::sockets)
            .unwrap_or_default();
        let count = u32::try_from(sockets.len()).unwrap_or(u32::MAX);
        let pause = PER_CONNECTION.min(spread / count.max(1));
        let mut due = Instant::now();
        for socket in sockets {
            close(&socket, CloseReason::Draining);
            due += pause;
            sleep_until(due).await;
        }
        self.connections.close();
        // A client that does not read would keep its session open for as long as the network lets it.
        let ended = timeout(FINISH_TIMEOUT, self.connections.wait()).await;
        if ended.is_ok() {
            // The rest are sessions that are not in our namespace.
            let _ = timeout(FINISH_TIMEOUT, self.io.close()).await;
        }
    }
}
