//! How much a peer has been sent and has not taken yet.
//!
//! Lives here: counting bytes and messages. Not here: what happens when there are too many (`socketio`).

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
};

use crate::presence::Bytes;

/// The bytes and messages on their way to a peer.
///
/// The count of messages is exact. That of bytes shrinks by what its connections have written, which is a little more than what
/// was added: frames have headers, and there are heartbeats. So it is never above the truth, and reaches zero whenever nothing
/// waits.
#[derive(Clone, Debug, Default)]
pub(crate) struct Backlog(Arc<Waiting>);

#[derive(Debug, Default)]
struct Waiting {
    bytes: AtomicUsize,
    messages: AtomicUsize,
    /// Whether the peer was told that it is connected.
    is_connected: AtomicBool,
}

/// The bound that a backlog has reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Full {
    Bytes,
    Messages,
}

impl Backlog {
    /// Adds one message of `size`.
    ///
    /// # Errors
    /// When more than `most` bytes, or `messages` messages, wait already. Nothing is added then.
    pub(crate) fn grow(&self, size: Bytes, most: Bytes, messages: usize) -> Result<(), Full> {
        if self.0.messages.load(Relaxed) >= messages {
            return Err(Full::Messages);
        }
        let grown = |waiting: usize| (waiting <= most.0).then(|| waiting.saturating_add(size.0));
        let grown = self.0.bytes.fetch_update(Relaxed, Relaxed, grown);
        grown.map_err(|_| Full::Bytes)?;
        self.0.messages.fetch_add(1, Relaxed);
        Ok(())
    }

    /// Whether nothing waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.messages.load(Relaxed) == 0
    }

    /// Subtracts what was written, at most down to zero: bytes, and the messages that they completed.
    pub(crate) fn shrink(&self, bytes: Bytes, messages: usize) {
        subtract(&self.0.bytes, bytes.0);
        if messages > 0 {
            subtract(&self.0.messages, messages);
        }
    }

    /// Records that the peer was told that it is connected.
    pub(crate) fn connected(&self) {
        self.0.is_connected.store(true, Relaxed);
    }

    pub(crate) fn is_connected(&self) -> bool {
        self.0.is_connected.load(Relaxed)
    }
}

fn subtract(waiting: &AtomicUsize, gone: usize) {
    // The closure always returns `Some`, so this is always `Ok`.
    let _ = waiting.fetch_update(Relaxed, Relaxed, |waiting| {
        Some(waiting.saturating_sub(gone))
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_backlog_does_not_grow() {
        let backlog = Backlog::default();
        let grow = |size, most| backlog.grow(Bytes(size), Bytes(most), 3);
        let shrink = |written, messages| backlog.shrink(Bytes(written), messages);
        assert_eq!(grow(1000, 100), Ok(()), "nothing waits yet");
        assert_eq!(grow(1, 100), Err(Full::Bytes));
        shrink(899, 0);
        assert_eq!(grow(1, 100), Err(Full::Bytes));
        shrink(1, 0);
        assert_eq!(grow(7, 100), Ok(()));
        shrink(5000, 2);
        assert!(backlog.is_empty());
        assert_eq!(grow(7, 0), Ok(()), "nothing was left");
        assert!(!backlog.is_empty());
        assert_eq!(grow(7, 100), Ok(()));
        shrink(100, 0);
        assert!(!backlog.is_empty(), "heartbeats are no messages");
        assert_eq!(grow(7, 100), Ok(()));
        assert_eq!(grow(7, 100), Err(Full::Messages));
        shrink(21, 1);
        assert_eq!(grow(7, 100), Ok(()));
    }
}
