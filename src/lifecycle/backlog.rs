//! What a peer has been sent and has not taken yet.
//!
//! Lives here: counting it. Not here: what is done about too much of it (`realtime`).

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

/// Bytes on their way to a peer. They shrink by what its connections carry away, which is a little more than what was
/// added: frames have heads, and there are heartbeats. So a backlog is never thought larger than it is, and is back at
/// nothing whenever there is none.
#[derive(Clone, Debug, Default)]
pub(crate) struct Backlog(Arc<AtomicUsize>);

impl Backlog {
    /// Adds so many bytes, unless there are more than `most` already.
    pub(crate) fn grow(&self, bytes: usize, most: usize) -> bool {
        let grown = |waiting: usize| (waiting <= most).then(|| waiting.saturating_add(bytes));
        self.0.fetch_update(Relaxed, Relaxed, grown).is_ok()
    }

    /// Takes off so many bytes, or all that there are.
    pub(crate) fn shrink(&self, bytes: usize) {
        let shrunk = |waiting: usize| Some(waiting.saturating_sub(bytes));
        // Never refuses.
        let _ = self.0.fetch_update(Relaxed, Relaxed, shrunk);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backlog_that_is_too_long_grows_no_more() {
        let backlog = Backlog::default();
        assert!(backlog.grow(1000, 100), "nobody has too much yet");
        assert!(!backlog.grow(1, 100));
        backlog.shrink(899);
        assert!(!backlog.grow(1, 100));
        backlog.shrink(1);
        assert!(backlog.grow(7, 100));
        backlog.shrink(5000);
        assert!(backlog.grow(7, 0), "nothing was left");
    }
}
