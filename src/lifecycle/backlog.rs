//! What a peer has been sent and has not taken yet.
//!
//! Lives here: counting it. Not here: what is done about too much of it (`realtime`).

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

/// Bytes on their way to a peer, and the messages that they are. Bytes shrink by what its connections carry away, which is
/// a little more than what was added: frames have heads, and there are heartbeats. So a backlog is never thought larger
/// than it is, and is back at nothing whenever there is none.
#[derive(Clone, Debug, Default)]
pub(crate) struct Backlog(Arc<Waiting>);

#[derive(Debug, Default)]
struct Waiting {
    bytes: AtomicUsize,
    /// Those since nothing waited.
    messages: AtomicUsize,
}

/// Why a backlog grows no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Full {
    Bytes,
    Messages,
}

impl Backlog {
    /// Adds a message of so many bytes, unless there are more than `most` bytes or so many messages already.
    pub(crate) fn grow(&self, bytes: usize, most: usize, messages: usize) -> Result<(), Full> {
        if self.0.messages.load(Relaxed) >= messages {
            return Err(Full::Messages);
        }
        let grown = |waiting: usize| (waiting <= most).then(|| waiting.saturating_add(bytes));
        let grown = self.0.bytes.fetch_update(Relaxed, Relaxed, grown);
        grown.map_err(|_| Full::Bytes)?;
        self.0.messages.fetch_add(1, Relaxed);
        Ok(())
    }

    /// Takes off so many bytes, or all that there are.
    pub(crate) fn shrink(&self, bytes: usize) {
        let shrunk = |waiting: usize| Some(waiting.saturating_sub(bytes));
        let before = self.0.bytes.fetch_update(Relaxed, Relaxed, shrunk);
        // Never refuses.
        if before.is_ok_and(|before| before <= bytes) {
            self.0.messages.store(0, Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backlog_that_is_too_long_grows_no_more() {
        let backlog = Backlog::default();
        let grow = |bytes, most| backlog.grow(bytes, most, 3);
        assert_eq!(grow(1000, 100), Ok(()), "nobody has too much yet");
        assert_eq!(grow(1, 100), Err(Full::Bytes));
        backlog.shrink(899);
        assert_eq!(grow(1, 100), Err(Full::Bytes));
        backlog.shrink(1);
        assert_eq!(grow(7, 100), Ok(()));
        backlog.shrink(5000);
        assert_eq!(grow(7, 0), Ok(()), "nothing was left");
        assert_eq!(grow(7, 100), Ok(()));
        assert_eq!(grow(7, 100), Ok(()));
        assert_eq!(grow(7, 100), Err(Full::Messages));
        backlog.shrink(21);
        assert_eq!(grow(7, 100), Ok(()));
    }
}
