//! What was posted lately, for those who were away.
//!
//! Lives here: remembering messages, in order. Not here: who is away.
//! Invariant: never more than [`MOST`] messages and, but for the last one, never more than [`MOST_BYTES`] of text.

use std::collections::VecDeque;

use super::{Audience, Message, Moment, Posted};

/// More than anybody posts while somebody is away. What a browser is pushed replaces what it was pushed before.
const MOST: usize = 32;

/// Memory that a back-end which repeats itself may take, in bytes.
pub(crate) const MOST_BYTES: usize = 4 * 1024 * 1024;

/// The latest messages.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Messages {
    posted: VecDeque<(Moment, Posted)>,
    next: u64,
}

impl Messages {
    /// Those of a daemon before this one.
    pub(super) fn restored(messages: Vec<Posted>, next: u64) -> Self {
        let posted = messages.into_iter().map(|posted| (Moment::ZERO, posted));
        let mut messages = Self {
            posted: posted.collect(),
            next,
        };
        messages.forget();
        messages
    }

    pub(super) fn remember(&mut self, to: Audience, message: Message, now: Moment) {
        let number = self.next;
        self.next = self.next.saturating_add(1);
        let posted = Posted {
            number,
            to,
            message,
        };
        self.posted.push_back((now, posted));
        self.forget();
    }

    /// Keeps within the bounds.
    fn forget(&mut self) {
        let mut bytes: usize = self.iter().map(|posted| posted.message.text_bytes()).sum();
        while self.posted.len() > MOST || (self.posted.len() > 1 && bytes > MOST_BYTES) {
            let oldest = self.posted.pop_front();
            bytes -= oldest.map_or(0, |(_, posted)| posted.message.text_bytes());
        }
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// The number that the next message will have.
    pub(super) fn next(&self) -> u64 {
        self.next
    }

    /// The number of the first message after a moment.
    pub(super) fn first_after(&self, moment: Moment) -> u64 {
        let later = self.posted.iter().find(|(at, _)| *at > moment);
        later.map_or(self.next, |(_, posted)| posted.number)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Posted> {
        self.posted.iter().map(|(_, posted)| posted)
    }
}
