//! Pages that come back to their case without saying so.
//!
//! Lives here: the evidence for a return, and putting a connection on the case that its page names. Not here: taking over a
//! place (`losses`), and reading the case off an address (`socketio`).
//!
//! A page says which case it shows when it opens the case, and never again. When it connects again later, only its address names
//! the case. The address alone proves nothing: pages of errors and of lists have the address of a case now and then.

use std::time::Duration;

use super::super::{
    Absence, CaseRef, Change, ConnectionId, Entry, Evidence, Moment, Page,
    place::{Certainty, Place},
};
use super::{Registry, outcome::Outcome};

/// How long a page may take to say which case it shows. A page that is being loaded says it within that time.
const SILENCE: Duration = Duration::from_millis(1500);

impl Registry {
    /// Waits for the word of a page that has just identified, if its address names a case and nothing is known of its case.
    pub(super) fn wait_for_word(&mut self, conn: ConnectionId, page: Option<&Page>, now: Moment) {
        let place = self.places.connected(conn);
        let is_open = place.is_some_and(|it| it.facts.case.is_none() && !it.has_spoken);
        if let Some(case) = page.and_then(|page| page.case.clone()).filter(|_| is_open) {
            self.silent.wait_for(conn, case, now + SILENCE);
        }
    }

    /// The first connection whose page has said nothing for long enough, and when that is.
    pub(super) fn next_silence(&self) -> Option<(Moment, ConnectionId)> {
        let (due, conn) = self.silent.next_due().filter(|_| !self.is_draining())?;
        let heard_by = self.went_on_at.map(|at| at + SILENCE).unwrap_or_default();
        Some((due.max(heard_by), conn))
    }

    /// A page has said nothing: its connection is put on the case of its address, if there is evidence that it was there.
    pub(super) fn judge_silence(&mut self, conn: ConnectionId, now: Moment, outcome: &mut Outcome) {
        let Some(case) = self.silent.end_wait(conn) else {
            return;
        };
        if let Some(evidence) = self.evidence(conn, &case) {
            self.put_back(conn, case, evidence, now, outcome);
        } else if self.places.settle(conn) {
            self.silent.forget(conn);
        }
    }

    fn evidence(&self, conn: ConnectionId, case: &CaseRef) -> Option<Evidence> {
        let place = self.places.connected(conn)?;
        let absence = Absence::new(&place.facts.identity, case.clone());
        if place.arrival.at < self.restart_grace && !place.settled {
            Some(Evidence::Start)
        } else if self.absences.has(&absence) || self.places.has_on(&absence) {
            Some(Evidence::Absence)
        } else if place.settled {
            None
        } else {
            let mut others = self.places.beside(conn);
            let went_on = |(_, old): (_, &Place)| went_on(old, place, case);
            others.any(went_on).then_some(Evidence::DeadLine)
        }
    }

    /// A connection turned out to be dead. If its page has connected again and shows another case by now, it is put there.
    pub(super) fn follow_dead_line(
        &mut self,
        dead: ConnectionId,
        now: Moment,
        outcome: &mut Outcome,
    ) {
        let Some(old) = self.places.get(dead) else {
            return;
        };
        let successor = self.places.beside(dead).find_map(|(conn, place)| {
            let case = self.silent.kept_silent(conn)?;
            went_on(old, place, case).then(|| (conn, case.clone()))
        });
        if let Some((conn, case)) = successor {
            self.put_back(conn, case, Evidence::DeadLine, now, outcome);
        }
    }

    fn put_back(
        &mut self,
        conn: ConnectionId,
        case: CaseRef,
        evidence: Evidence,
        now: Moment,
        outcome: &mut Outcome,
    ) {
        self.silent.forget(conn);
        let at = self.started_at.after(now);
        outcome.affects(Some(case.clone()));
        outcome.changed(Change::PutBack {
            conn,
            case: case.clone(),
            at,
            evidence,
        });
        let entry = Entry::PutBack(evidence);
        self.places.set_case(conn, Some((case, entry)), at);
    }

    /// Remembers that the user of a place has not come back to its case.
    pub(super) fn remember(&mut self, conn: ConnectionId, place: &Place, until: Moment) {
        let facts = &place.facts;
        if let Some(case) = facts.case.clone().filter(|_| !self.rules.memory.is_zero()) {
            let absence = Absence::new(&facts.identity, case);
            let most = self.rules.lost_places;
            let address = facts.browser.address;
            self.absences.remember(conn, absence, address, until, most);
        }
    }
}

/// Whether the page of a connection is that of a dead connection, and went on to `case` meanwhile.
fn went_on(dead: &Place, place: &Place, case: &CaseRef) -> bool {
    let loss = dead.loss.filter(|loss| loss.certainty == Certainty::Lost);
    let was_elsewhere = dead.facts.case.as_ref().is_some_and(|left| left != case);
    let came_later = |last_heard: Moment| place.arrival.at >= last_heard;
    was_elsewhere && loss.is_some_and(|loss| came_later(loss.last_heard()))
}
