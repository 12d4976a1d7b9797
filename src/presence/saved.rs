//! Saved presence: what the next daemon must know.
//!
//! Lives here: plain data. Not here: the file that holds it (`store`).

use std::time::Duration;

use super::{ConnectionId, Facts, MessageNumber, NumberedMessage, UserType};

/// Everything that a restart must not lose.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// Every place, in order of identify of its user.
    pub places: Vec<SavedPlace>,
    /// The latest posted messages, in order.
    pub messages: Vec<NumberedMessage>,
    /// The number of the next message.
    pub next_message: MessageNumber,
}

/// One place of a [`Snapshot`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SavedPlace {
    /// The connection that had it.
    pub conn: ConnectionId,
    /// The facts about it.
    pub facts: Facts,
    /// The user type of its user, as first identified.
    pub first_user_type: UserType,
    /// The number of the first message that may not have reached it.
    pub unread_from: MessageNumber,
    /// How long it is still kept, if it has been waiting for its browser since before this daemon started. Otherwise it is
    /// kept for the full grace of a restart.
    pub left: Option<Duration>,
}
