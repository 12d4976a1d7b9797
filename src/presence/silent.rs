//! Connections that have said nothing of a case, although the address of their page names one.
//!
//! Lives here: how long to wait for their word, and who has kept silent. Not here: what follows from silence (`registry`).
//! Invariant: an entry is removed when its connection speaks, takes another name or ends, so there are never more entries than
//! connections.

use std::collections::{BTreeMap, BTreeSet};

use super::{CaseRef, ConnectionId, Moment};

/// These connections, each with the case of its page.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct SilentPages {
    pages: BTreeMap<ConnectionId, Silent>,
    /// Connections that may still speak, by the end of the time for it.
    due: BTreeSet<(Moment, ConnectionId)>,
}

#[derive(Debug, PartialEq, Eq)]
struct Silent {
    case: CaseRef,
    due: Moment,
}

impl SilentPages {
    /// Gives the page of a connection until `due` to say which case it shows.
    pub(super) fn wait_for(&mut self, conn: ConnectionId, case: CaseRef, due: Moment) {
        self.due.insert((due, conn));
        self.pages.insert(conn, Silent { case, due });
    }

    /// Forgets a connection, and returns the case of its page.
    pub(super) fn forget(&mut self, conn: ConnectionId) -> Option<CaseRef> {
        let silent = self.pages.remove(&conn)?;
        self.due.remove(&(silent.due, conn));
        Some(silent.case)
    }

    /// The first connection whose time is over, and when that is.
    pub(super) fn next_due(&self) -> Option<(Moment, ConnectionId)> {
        self.due.first().copied()
    }

    /// Ends the time of a connection, and returns the case of its page.
    pub(super) fn end_wait(&mut self, conn: ConnectionId) -> Option<CaseRef> {
        let silent = self.pages.get(&conn)?;
        self.due.remove(&(silent.due, conn));
        Some(silent.case.clone())
    }

    /// The case of the page of a connection that has kept silent for all of its time.
    pub(super) fn kept_silent(&self, conn: ConnectionId) -> Option<&CaseRef> {
        let silent = self.pages.get(&conn)?;
        let may_speak = self.due.contains(&(silent.due, conn));
        (!may_speak).then_some(&silent.case)
    }
}
