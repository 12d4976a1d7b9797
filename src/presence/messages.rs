//! The latest posted messages, kept for browsers whose connection is lost.
//!
//! Lives here: remembering messages, in order. Not here: which connections are lost (`places`).
//! Invariant: never more than [`MOST`] messages, and never more than [`MOST_BYTES`] of text unless a single message is longer.

use std::collections::VecDeque;

use super::{Audience, Bytes, Message, MessageNumber, Moment, NumberedMessage};

/// The most messages. A browser replaces the message on its screen with the next one, so more are of no use.
const MOST: usize = 32;

/// The most text. It bounds the memory that a back-end can fill by posting again and again.
pub(crate) const MOST_BYTES: Bytes = Bytes(4 * 1024 * 1024);

/// The latest messages.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Messages {
    posted: VecDeque<(Moment, NumberedMessage)>,
    next: MessageNumber,
}

impl Messages {
    /// The messages of the daemon before this one.
    pub(super) fn restored(messages: Vec<NumberedMessage>, next: MessageNumber) -> Self {
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
        self.next = self.next.next();
        let posted = NumberedMessage {
            number,
            to,
            message,
        };
        self.posted.push_back((now, posted));
        self.forget();
    }

    /// Drops the oldest messages until the rest is within the bounds.
    fn forget(&mut self) {
        while self.posted.len() > MOST || (self.posted.len() > 1 && self.bytes() > MOST_BYTES) {
            self.posted.pop_front();
        }
    }

    fn bytes(&self) -> Bytes {
        self.iter().map(|posted| posted.message.text_bytes()).sum()
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// The number that the next message will have.
    pub(super) fn next(&self) -> MessageNumber {
        self.next
    }

    /// The number of the first message after a moment.
    pub(super) fn first_after(&self, moment: Moment) -> MessageNumber {
        let later = self.posted.iter().find(|(at, _)| *at > moment);
        later.map_or(self.next, |(_, posted)| posted.number)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &NumberedMessage> {
        self.posted.iter().map(|(_, posted)| posted)
    }
}
