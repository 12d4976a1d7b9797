//! Numbers that must not be mixed up.
//!
//! Lives here: one type for each. Not here: where they come from.

use std::{fmt, iter::Sum};

/// A number of bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Bytes(pub usize);

/// The position of a message among all messages that were posted. It grows by one from message to message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct MessageNumber(pub u64);

/// The position of a user in the order in which users identified. Viewers are listed in this order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rank(pub u64);

impl Sum for Bytes {
    fn sum<I: Iterator<Item = Self>>(sizes: I) -> Self {
        Self(sizes.map(|Self(size)| size).sum())
    }
}

impl MessageNumber {
    /// Sorts after every number that is used.
    pub(super) const LAST: Self = Self(u64::MAX);

    pub(super) fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl Rank {
    pub(super) fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
