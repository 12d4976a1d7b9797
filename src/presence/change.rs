//! Changes: what subscribers are told of presence.
//!
//! Lives here: plain data, one change for each thing that happened to a place. Not here: the feed that carries it (`hub`).
//! Invariant: the facts of a snapshot and the changes after it give the facts of every later snapshot.

use std::time::Duration;

use super::{Audience, Bytes, CaseRef, ConnectionId, Facts, Identity, WallTime};

/// Something that became different about presence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A connection identified for the first time, and has a place now.
    Arrived {
        /// The connection.
        conn: ConnectionId,
        /// The facts about its place. It is on a case already if its page was on that case before.
        facts: Facts,
    },
    /// A connection identified again, perhaps as the same user.
    Identified {
        /// The connection.
        conn: ConnectionId,
        /// Its user from now on. Only another user name changes anything; then the version and the user type count as well.
        identity: Identity,
    },
    /// A page opened a case, perhaps the one that it was on.
    Opened {
        /// Its connection.
        conn: ConnectionId,
        /// The case.
        case: CaseRef,
        /// When it was opened.
        at: WallTime,
    },
    /// A page said that it left its case.
    Closed {
        /// Its connection.
        conn: ConnectionId,
        /// The case that it was on, if any.
        case: Option<CaseRef>,
    },
    /// A connection was lost, and its place is kept.
    Lost {
        /// The connection.
        conn: ConnectionId,
    },
    /// A new connection took over a lost place, with all facts.
    Resumed {
        /// The new connection.
        conn: ConnectionId,
        /// The connection that had the place.
        old: ConnectionId,
        /// Whether somebody else was viewing the case, who would have seen the user vanish and come back.
        watched: bool,
    },
    /// A page had connected again before the loss of its old connection was noticed. The old place is kept all the same.
    Reconnected {
        /// The new connection.
        conn: ConnectionId,
        /// The connection whose loss was noticed now.
        old: ConnectionId,
    },
    /// A lost place ended because its browser did not come back in time.
    Lapsed {
        /// The connection that had the place.
        conn: ConnectionId,
        /// How long others may have been shown a user who was gone.
        staleness: Duration,
    },
    /// A place ended in any other way.
    Left {
        /// The connection that had the place.
        conn: ConnectionId,
        /// Why it ended.
        reason: Departure,
    },
    /// A message was posted. Its text is not told here, so that a slow subscriber holds no memory.
    Posted {
        /// The users and connections it is for.
        to: Audience,
        /// The length of its text.
        text: Bytes,
    },
}

/// Why a place ended that did not lapse.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Departure {
    /// The connection was closed cleanly, or lost while no places are kept.
    Closed,
    /// An administrator ended the lost place by hand.
    Dismissed,
    /// The browser came back on another connection and said that it had left the case.
    ClosedLater,
    /// Nobody came back to the lost place, but its user has another one on the same case.
    Duplicate,
}
