//! One place: a user's presence that outlives its connection.
//!
//! Lives here: the facts about a place, which are written to the file, apart from what only this daemon knows of it. Not here:
//! finding places (`places`).

use std::{
    net::{IpAddr, Ipv4Addr},
    time::Duration,
};

use super::{Browser, CaseRef, ConnectionId, Identity, MessageNumber, Moment, Rank, WallTime};

/// The facts about a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// The user, and the version of the app.
    pub identity: Identity,
    /// The browser that the place belongs to.
    pub browser: Browser,
    /// The case on the screen.
    pub case: Option<CaseRef>,
    /// When the place began.
    pub since: WallTime,
    /// When the case was opened, if there is one.
    pub opened_at: Option<WallTime>,
}

/// A place, connected or lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) facts: Facts,
    pub(super) arrival: Arrival,
    /// Whether its page has said anything about a case over its present connection.
    pub(super) has_spoken: bool,
    pub(super) loss: Option<Loss>,
}

/// How the connection of a place began.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Arrival {
    pub(super) at: Moment,
    /// The number of the first message that is for it, also if that has not been posted yet.
    pub(super) message: MessageNumber,
    /// The case that it was put on because of its page.
    pub(super) case: Option<CaseRef>,
}

/// The loss of the connection of a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Loss {
    pub(super) since: Moment,
    pub(super) until: Moment,
    /// The first message that may not have reached the browser.
    pub(super) unread_from: MessageNumber,
    /// How long nothing may have reached the browser before the loss was noticed.
    pub(super) silence: Duration,
    pub(super) certainty: Certainty,
    /// Whether the loss was before this daemon started.
    pub(super) inherited: bool,
}

/// Whether a connection was really lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Certainty {
    /// The connection was lost.
    Lost,
    /// The connection was closed cleanly, unless other connections are cut off at the same moment.
    InDoubt,
}

impl Place {
    pub(super) fn is_connected(&self) -> bool {
        self.loss.is_none()
    }
}

/// The sort key of a place: users in the order of identify, and the places of one browser side by side.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Tab {
    pub(super) rank: Rank,
    pub(super) browser: Browser,
    pub(super) conn: ConnectionId,
}

impl Tab {
    /// Sorts before every other.
    pub(super) const FIRST: Self = Self {
        rank: Rank(0),
        browser: Browser {
            address: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            agent: None,
        },
        conn: ConnectionId::FIRST,
    };
}
