//! Users who were on a case, were lost, and have not come back in time.
//!
//! Lives here: remembering them, for a while and up to a bound. Not here: when a user becomes absent, and when one has left
//! (`registry`).
//! Invariants: one entry for each user and case; the indexes agree; without absences this equals a new one.

use std::{collections::BTreeMap, net::IpAddr};

use super::{Absence, ConnectionId, Facts, Moment, SavedAbsence, lost_places::LostPlaces};

/// All absences that are remembered.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Absences {
    all: BTreeMap<Absence, ConnectionId>,
    /// The same by the lost connection, with its address and the end of the memory.
    by_connection: BTreeMap<ConnectionId, (Absence, IpAddr, Moment)>,
    /// By the end of the memory, and by network: a client that causes many absences loses its own.
    order: LostPlaces,
}

impl Absences {
    /// Remembers an absence until a moment. If there are more than `most`, another one makes room.
    pub(super) fn remember(
        &mut self,
        conn: ConnectionId,
        absence: Absence,
        address: IpAddr,
        until: Moment,
        most: usize,
    ) {
        self.forget(&absence);
        self.remove(conn);
        self.all.insert(absence.clone(), conn);
        self.by_connection.insert(conn, (absence, address, until));
        self.order.insert(conn, address, until);
        if let Some(first) = self
            .order
            .first_of_largest()
            .filter(|_| self.count() > most)
        {
            self.remove(first);
        }
    }

    pub(super) fn forget(&mut self, absence: &Absence) {
        if let Some(conn) = self.all.get(absence) {
            self.remove(*conn);
        }
    }

    /// The user of a place has left its case cleanly.
    pub(super) fn left(&mut self, facts: &Facts) {
        if let Some(case) = facts.case.clone() {
            self.forget(&Absence::new(&facts.identity, case));
        }
    }

    /// Forgets what was to be remembered until now.
    pub(super) fn expire(&mut self, now: Moment) {
        while let Some((_, conn)) = self
            .order
            .first_deadline()
            .filter(|(until, _)| *until <= now)
        {
            self.remove(conn);
        }
    }

    pub(super) fn has(&self, absence: &Absence) -> bool {
        self.all.contains_key(absence)
    }

    pub(super) fn saved(&self, now: Moment) -> impl Iterator<Item = SavedAbsence> {
        let all = self.by_connection.iter();
        all.map(move |(conn, (absence, address, until))| SavedAbsence {
            conn: *conn,
            absence: absence.clone(),
            address: *address,
            left: until.saturating_sub(now),
        })
    }

    fn count(&self) -> usize {
        self.by_connection.len()
    }

    fn remove(&mut self, conn: ConnectionId) {
        if let Some((absence, address, until)) = self.by_connection.remove(&conn) {
            self.all.remove(&absence);
            self.order.remove(conn, address, until);
        }
    }
}
