//! Telling subscribers of changes.
//!
//! Lives here: the bounded feed. Not here: which changes there are (`presence`).
//! Invariant: publishing never waits. A subscriber that falls behind by more than [`CAPACITY`] changes is told how many it has
//! missed, and starts again from a snapshot.

use tokio::sync::broadcast;

use crate::presence::Change;

/// The most changes that are kept for a subscriber which has not read them yet.
const CAPACITY: usize = 1024;

/// The changes after a snapshot: `recv` returns the next one, or the number of changes that were missed.
pub(crate) type Changes = broadcast::Receiver<Change>;

/// The sending side.
#[derive(Debug)]
pub(super) struct Feed(broadcast::Sender<Change>);

impl Feed {
    pub(super) fn new() -> Self {
        Self(broadcast::Sender::new(CAPACITY))
    }

    pub(super) fn publish(&self, change: Change) {
        // An error means that nobody subscribes at the moment.
        let _ = self.0.send(change);
    }

    /// The changes from now on.
    pub(super) fn subscribe(&self) -> Changes {
        self.0.subscribe()
    }
}
