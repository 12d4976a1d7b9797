//! What goes into the registry and what comes out of it.
//!
//! Lives here: plain data. Not here: behaviour.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use super::{AppVersion, CaseRef, ConnectionId, UserType, Username};

/// Time since the daemon started. The registry is told it and never asks.
pub type Moment = Duration;

/// Something that happened outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A browser said whose it is.
    Identified {
        /// The connection that spoke.
        conn: ConnectionId,
        /// Whom it named.
        identity: Identity,
    },
    /// A browser opened a case; it leaves the one it viewed.
    CaseOpened {
        /// The connection that spoke.
        conn: ConnectionId,
        /// The case on its screen.
        case: CaseRef,
    },
    /// A browser left its case, whichever that was.
    CaseClosed {
        /// The connection that spoke.
        conn: ConnectionId,
    },
    /// A connection ended.
    Disconnected {
        /// The connection that is no more.
        conn: ConnectionId,
    },
    /// An administrator or the back-end has something to tell.
    Posted {
        /// For whom it is meant.
        to: Audience,
        /// What to tell them.
        message: Message,
    },
}

/// What a browser says about its user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The user.
    pub username: Username,
    /// The user's kind, as far as this tab knows.
    pub user_type: UserType,
    /// The version of the app in this tab.
    pub app_version: AppVersion,
}

/// For whom a message is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Audience {
    /// Every connection, also one that has not identified.
    Everyone,
    /// Every connection of this user type.
    UserType(UserType),
    /// All connections of these users, and these connections.
    Chosen {
        /// Users who are meant as a whole.
        users: BTreeSet<Username>,
        /// Connections that are meant by themselves.
        connections: BTreeSet<ConnectionId>,
    },
}

/// What a browser can be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// Who views the case that the receiver views: the full list, never a difference.
    PeopleViewing(Vec<Username>),
    /// An announcement that the browser words by itself.
    System(SystemMessage),
    /// JSON text that is none of our business.
    Notification(Arc<str>),
}

/// The announcements that a browser knows. It throws at any other, so there is no other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SystemMessage {
    /// The app in the browser is out of date and asks for a refresh.
    OutOfDate,
}

impl SystemMessage {
    /// All of them, in the order in which to offer them.
    pub const ALL: [Self; 1] = [Self::OutOfDate];

    /// What the browser calls it.
    #[must_use]
    pub const fn id(self) -> &'static str {
        match self {
            Self::OutOfDate => "1",
        }
    }

    /// What the administrator reads.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::OutOfDate => "Your app is out of date: please refresh the page",
        }
    }
}

/// Something that the shell must do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Deliver a message.
    Send {
        /// To whom.
        to: Recipients,
        /// What.
        message: Message,
    },
    /// Publish how many there are.
    Report(Census),
}

/// An [`Audience`] worked out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Recipients {
    /// Every connection, also one that the registry has not heard of.
    Everyone,
    /// These, in order of their ids.
    These(BTreeSet<ConnectionId>),
}

/// How many there are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Census {
    /// Distinct users connected.
    pub people: usize,
    /// Connections by the version of the app that they run.
    pub versions: BTreeMap<AppVersion, usize>,
}

/// A user, for those who look at the whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    /// The user.
    pub username: Username,
    /// The user's kind, as first identified.
    pub user_type: UserType,
    /// The user's connections, at least one.
    pub connections: BTreeMap<ConnectionId, Connection>,
}

/// What is known about one connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connection {
    /// Whose it is, and in which version of the app.
    pub identity: Identity,
    /// The case on its screen.
    pub case: Option<CaseRef>,
}
