//! Saved presence: what the next daemon must know.
//!
//! Lives here: plain data. Not here: the file that holds it (`store`).

use std::{net::IpAddr, time::Duration};

use super::{
    CaseRef, ConnectionId, Facts, Identity, MessageNumber, NumberedMessage, UserType, Username,
};

/// Everything that a restart must not lose.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// Every place, in order of identify of its user.
    pub places: Vec<SavedPlace>,
    /// The latest posted messages, in order.
    pub messages: Vec<NumberedMessage>,
    /// The number of the next message.
    pub next_message: MessageNumber,
    /// Users who have not come back in time to their cases.
    pub absences: Vec<SavedAbsence>,
    /// Whether the daemon has ended in an orderly way. Otherwise the latest events may be missing.
    pub complete: bool,
    /// The time since the snapshot was made.
    pub age: Duration,
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
    /// Whether it is known to be right that it is on no case, if it is on none.
    pub settled: bool,
    /// How long it is still kept, if it has been waiting for its browser since before the daemon ended. Otherwise it is kept
    /// for the full grace of a restart.
    pub left: Option<Duration>,
}

/// One absence of a [`Snapshot`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SavedAbsence {
    /// The connection that was lost.
    pub conn: ConnectionId,
    /// Who is absent from which case.
    pub absence: Absence,
    /// The address that the connection came from.
    pub address: IpAddr,
    /// How long it is still remembered.
    pub left: Duration,
}

/// A user who has not come back to a case. The browser may come back from another address, and with another version.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Absence {
    /// The user.
    pub username: Username,
    /// The user type.
    pub user_type: UserType,
    /// The case.
    pub case: CaseRef,
}

impl Absence {
    pub(super) fn new(identity: &Identity, case: CaseRef) -> Self {
        Self {
            username: identity.username.clone(),
            user_type: identity.user_type.clone(),
            case,
        }
    }
}
