//! Views: what others can read of presence.
//!
//! Lives here: plain data. Not here: who asks for it.

use std::{collections::BTreeMap, time::Duration};

use super::{AppVersion, CaseRef, ConnectionId, Identity, Rank, UserType, Username, place::Tab};

/// The numbers of users and connections.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Census {
    /// Distinct users connected.
    pub people: usize,
    /// Connections by the version of the app that they run.
    pub versions: BTreeMap<AppVersion, usize>,
}

/// A page of people in the order of identify.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeoplePage {
    /// The people of this page. A user with many connections may continue on the next page.
    pub people: Vec<Person>,
    /// Where the next page begins, if there is one.
    pub next: Option<PeopleCursor>,
}

/// The position at which a page of people begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeopleCursor {
    pub(super) from: Tab,
    /// Users of this rank or above identified after the first page was made, and are left out.
    pub(super) before: Rank,
}

/// A user and all of their connections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    /// The user's position in the order of identify.
    pub rank: Rank,
    /// The user.
    pub username: Username,
    /// The user type, as first identified.
    pub user_type: UserType,
    /// At least one connection, with those of one browser side by side. Most users have a single one, and a map would
    /// allocate room for eleven.
    pub connections: Vec<(ConnectionId, ConnectionView)>,
}

/// One connection, as others see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectionView {
    /// The user, and the version of the app.
    pub identity: Identity,
    /// The case on the screen.
    pub case: Option<CaseRef>,
    /// Since when it is lost and until when its place is kept, if it is lost.
    pub lost: Option<LossView>,
}

/// A lost connection, seen from the present.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LossView {
    /// The time since the loss was noticed.
    pub since: Duration,
    /// The time for which the place will still be kept.
    pub left: Duration,
}
