//! The end of all sessions.
//!
//! Lives here: closing them one after the other, so that a thousand browsers do not come back in the same instant.

use std::time::Duration;

use socketioxide::{SocketIo, operators::BroadcastOperators};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::task::TaskTracker;

use super::{NAMESPACE, hang_up::HangUp, upgrade::Upgrades};
use crate::lifecycle::LAST_WORDS;

/// Time that the closing of one connection adds to a stop, as long as that fits into what the stop may take.
const PER_CONNECTION: Duration = Duration::from_millis(2);

/// Ends every session.
pub(crate) struct Farewell {
    pub(crate) io: SocketIo,
    pub(crate) hang_up: HangUp,
    pub(crate) upgrades: Upgrades,
    /// Knows the connections that are in the namespace.
    pub(crate) crowd: TaskTracker,
}

impl Farewell {
    /// Closes one connection after the other, spread over `spread` or less, and returns when the last one is gone.
    pub(crate) async fn say(self, spread: Duration) {
        self.upgrades.close();
        let namespace = self.io.of(NAMESPACE);
        let sockets = namespace
            .map(BroadcastOperators::sockets)
            .unwrap_or_default();
        let count = u32::try_from(sockets.len()).unwrap_or(u32::MAX);
        let pause = PER_CONNECTION.min(spread / count.max(1));
        let mut due = Instant::now();
        for socket in sockets {
            self.hang_up.part(&socket);
            due += pause;
            sleep_until(due).await;
        }
        self.crowd.close();
        // One that does not read would keep its session open for as long as the network lets it.
        let gone = timeout(LAST_WORDS, self.crowd.wait()).await;
        if gone.is_ok() {
            // Whoever is in no namespace of ours.
            let _ = timeout(LAST_WORDS, self.io.close()).await;
        }
    }
}
