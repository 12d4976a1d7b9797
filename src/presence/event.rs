//! What goes into the registry and what comes out of it.
//!
//! Lives here: plain data. Not here: behaviour.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use super::{AppVersion, Browser, CaseRef, ConnectionId, Page, UserType, Username};

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
        /// The browser it belongs to.
        browser: Browser,
        /// The page that it showed when it connected, if it told.
        page: Option<Page>,
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
        /// The case that it named.
        case: CaseRef,
    },
    /// A connection ended.
    Ended {
        /// The connection that is no more.
        conn: ConnectionId,
        /// How it ended.
        ending: Ending,
    },
    /// An administrator ended a lost place by hand.
    Dismissed {
        /// The connection that had the place.
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

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The page said goodbye: it was closed, left or reloaded.
    Goodbye,
    /// A long poll broke off: a goodbye, unless others are cut off in the same moment.
    BrokenOff,
    /// The connection was lost, and the page may well still be on a screen.
    Lost {
        /// How long nothing may have got through before that was noticed.
        silence: Duration,
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

impl Message {
    /// Memory that its text takes.
    pub(super) fn text_bytes(&self) -> usize {
        match self {
            Self::PeopleViewing(_) | Self::System(_) => 0,
            Self::Notification(json) => json.len(),
        }
    }
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
    /// So many lost places keep the message that was just sent for whoever takes them over.
    Keep(usize),
    /// Publish how many there are.
    Report(Census),
    /// Count what has happened.
    Note(Note),
}

/// What became of a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Note {
    /// Its connection was lost.
    Lost,
    /// A new connection has taken it over.
    Resumed,
    /// Others on its case never saw its user vanish and come back.
    FlickerSuppressed,
    /// Nobody came back to it in time.
    Lapsed {
        /// How long others may have been shown somebody who was gone.
        staleness: Duration,
    },
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
    /// The user's position in the order of identify.
    pub rank: u64,
    /// The user.
    pub username: Username,
    /// The user's kind, as first identified.
    pub user_type: UserType,
    /// The user's connections, those of one browser side by side; at least one. Most users have no more, and a map makes room
    /// for eleven.
    pub connections: Vec<(ConnectionId, Connection)>,
}

/// What is known about one connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connection {
    /// Whose it is, and in which version of the app.
    pub identity: Identity,
    /// The case on its screen.
    pub case: Option<CaseRef>,
    /// That it was lost and its place is kept, if so.
    pub lost: Option<Lost>,
}

/// A lost connection, seen from the present.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lost {
    /// How long ago that was noticed.
    pub since: Duration,
    /// How long its place will still be kept.
    pub left: Duration,
}

/// A message, in its place among all messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Posted {
    /// Counts up from message to message.
    pub number: u64,
    /// For whom it is meant.
    pub to: Audience,
    /// What it says.
    pub message: Message,
}

/// Everything that a restart shall not lose.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// Every place, in order of identify of their users.
    pub places: Vec<SavedPlace>,
    /// What was posted lately, in order.
    pub messages: Vec<Posted>,
    /// The number of the message that comes next.
    pub next_message: u64,
}

/// One place of a [`Snapshot`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SavedPlace {
    /// The connection that had it.
    pub conn: ConnectionId,
    /// Whose it is, and in which version of the app.
    pub identity: Identity,
    /// The user's kind, as first identified.
    pub user_type: UserType,
    /// The browser it belongs to.
    pub browser: Browser,
    /// The case on its screen.
    pub case: Option<CaseRef>,
    /// The number of the first message that may not have reached it.
    pub unread_from: u64,
    /// How long it is kept yet, if it has been waiting for its browser since before this daemon began. Otherwise, as
    /// long as any after a restart.
    pub left: Option<Duration>,
}
