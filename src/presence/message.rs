//! Messages to browsers, and for whom they are.
//!
//! Lives here: plain data. Not here: names on the wire, and who is told what.

use std::{collections::BTreeSet, sync::Arc};

use super::{Bytes, ConnectionId, MessageNumber, UserType, Username};

/// The users and connections that a posted message is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Audience {
    /// Every connection, also one that has not identified.
    Everyone,
    /// Every connection of this user type.
    UserType(UserType),
    /// All connections of these users, and these connections.
    Chosen {
        /// Users, with all of their connections.
        users: BTreeSet<Username>,
        /// Single connections.
        connections: BTreeSet<ConnectionId>,
    },
}

/// A message to a browser.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// The viewers of the case that the receiver views: the full list, never a difference.
    PeopleViewing(Vec<Username>),
    /// An announcement that the browser app words by itself.
    System(SystemMessage),
    /// JSON text that is passed on as it is.
    Notification(Arc<str>),
}

impl Message {
    /// The memory that its text takes.
    pub(super) fn text_bytes(&self) -> Bytes {
        Bytes(match self {
            Self::PeopleViewing(_) | Self::System(_) => 0,
            Self::Notification(json) => json.len(),
        })
    }
}

/// An announcement that the browser app knows. It throws an exception at any other id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SystemMessage {
    /// The app in the browser is out of date and asks its user to refresh the page.
    OutOfDate,
}

impl SystemMessage {
    /// All announcements, in the order in which to offer them.
    pub const ALL: [Self; 1] = [Self::OutOfDate];

    /// The name of the announcement on the wire.
    #[must_use]
    pub const fn id(self) -> &'static str {
        match self {
            Self::OutOfDate => "1",
        }
    }
}

/// A posted message and its number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NumberedMessage {
    /// The position among all posted messages.
    pub number: MessageNumber,
    /// The users and connections it is for.
    pub to: Audience,
    /// The message itself.
    pub message: Message,
}
