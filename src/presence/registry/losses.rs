//! Losing a connection, and coming back to its place.
//!
//! Lives here: what a registry does about both. Not here: which place a page continues (`places`), and whether an aborted poll
//! was a loss (`mass_cut`).

use std::time::Duration;

use super::super::{
    Browser, Change, ConnectionId, Departure, Facts, Identity, Message, MessageNumber, Moment,
    PagePath,
    mass_cut::{BrowserOfUser, SIMULTANEOUS},
    place::{Arrival, Certainty, Loss, Place},
    places::Predecessor,
};
use super::{Registry, is_meant, outcome::Outcome};

/// Data that is received within this time after the arrival of a connection does not prove that messages sent on arrival were
/// received.
const ARRIVING: Duration = Duration::from_secs(1);

impl Registry {
    /// A connection identified for the first time.
    pub(super) fn arrive(
        &mut self,
        conn: ConnectionId,
        identity: Identity,
        browser: Browser,
        page: Option<&PagePath>,
        now: Moment,
        outcome: &mut Outcome,
    ) {
        let arrival = Arrival {
            at: now,
            message: self.messages.next(),
            case: None,
        };
        let case = match self.places.predecessor(&identity, &browser, page) {
            Some(Predecessor::Lost(old)) => return self.resume(conn, old, arrival, outcome),
            Some(Predecessor::Connected(case)) => Some(case),
            None => None,
        };
        let at = self.started_at.after(now);
        let user_type = identity.user_type.clone();
        let facts = Facts {
            identity,
            browser,
            case: case.clone(),
            since: at,
            opened_at: case.is_some().then_some(at),
        };
        outcome.changed(Change::Arrived {
            conn,
            facts: facts.clone(),
        });
        let place = Place {
            facts,
            arrival: Arrival { case, ..arrival },
            has_spoken: false,
            loss: None,
        };
        self.places.insert(conn, place, user_type);
        self.tell_first_list(conn, outcome);
    }

    /// A new connection takes over a lost place. Nobody else is told, because nothing has changed for others.
    fn resume(
        &mut self,
        conn: ConnectionId,
        old: ConnectionId,
        arrival: Arrival,
        outcome: &mut Outcome,
    ) {
        let Some(place) = self.places.hand_over(old, conn, arrival) else {
            return;
        };
        outcome.changed(Change::Resumed {
            conn,
            old,
            watched: self.is_watched(conn) && !self.early.has(conn),
        });
        self.tell_first_list(conn, outcome);
        if let Some(loss) = place.loss {
            let identity = &place.facts.identity;
            for message in self.unread(old, identity, loss.unread_from, MessageNumber::LAST) {
                outcome.tell(conn, message);
            }
        }
    }

    pub(super) fn lose(
        &mut self,
        conn: ConnectionId,
        silence: Duration,
        certainty: Certainty,
        now: Moment,
        outcome: &mut Outcome,
    ) {
        let Some(place) = self.places.connected(conn) else {
            return;
        };
        if self.rules.grace.is_zero() && !self.draining {
            return self.leave(conn, Departure::Closed, outcome);
        }
        let party = BrowserOfUser {
            user: place.facts.identity.username.clone(),
            browser: place.facts.browser.clone(),
        };
        let arrival = place.arrival.clone();
        let last_heard = now.saturating_sub(silence);
        let unread_from = if self.send_missed_to_successor(conn, last_heard, outcome) {
            self.messages.next()
        } else {
            self.unread_since(&arrival, silence, last_heard)
        };
        let loss = Loss {
            since: now,
            until: now + SIMULTANEOUS,
            unread_from,
            silence,
            certainty: Certainty::InDoubt,
            inherited: false,
        };
        self.places.lose(conn, loss);
        if certainty == Certainty::Lost {
            self.make_certain(conn, outcome);
        }
        let left = self.places.connected_count();
        for cut in self.mass_cuts.end(conn, &party, left, now) {
            self.make_certain(cut, outcome);
        }
        self.make_room(now, outcome);
    }

    /// A connection whose end was in doubt was lost, and its place is kept.
    fn make_certain(&mut self, conn: ConnectionId, outcome: &mut Outcome) {
        let loss = self.places.get(conn).and_then(|place| place.loss);
        if let Some(loss) = loss.filter(|loss| loss.certainty == Certainty::InDoubt) {
            outcome.changed(Change::Lost { conn });
            let certain = Loss {
                until: loss.since + self.rules.grace,
                certainty: Certainty::Lost,
                ..loss
            };
            self.places.lose(conn, certain);
        }
    }

    /// Keeps the number of lost places within its bound.
    fn make_room(&mut self, now: Moment, outcome: &mut Outcome) {
        let lost = self.places.lost();
        let is_full = !self.draining && lost.count() > self.rules.lost_places;
        if let Some(first) = lost.first_of_largest().filter(|_| is_full) {
            self.lapse(first, now, outcome);
        }
    }

    /// If the page of a lost connection has connected again already, sends its new connection what was posted to the dead one
    /// meanwhile, and returns true. The place is kept all the same: the new connection may be of another tab.
    fn send_missed_to_successor(
        &self,
        conn: ConnectionId,
        last_heard: Moment,
        outcome: &mut Outcome,
    ) -> bool {
        let Some((successor, place)) = self.places.successor(conn, last_heard) else {
            return false;
        };
        outcome.changed(Change::Reconnected {
            conn: successor,
            old: conn,
        });
        let missed_from = self.messages.first_after(last_heard);
        let identity = &place.facts.identity;
        for message in self.unread(conn, identity, missed_from, place.arrival.message) {
            outcome.tell(successor, message);
        }
        true
    }

    pub(super) fn next_lapse(&self) -> Option<(Moment, ConnectionId)> {
        self.places
            .lost()
            .first_deadline()
            .filter(|_| !self.draining)
    }

    /// Ends a lost place. If its user has another place on the case, no list changes.
    pub(super) fn lapse(&mut self, conn: ConnectionId, now: Moment, outcome: &mut Outcome) {
        let Some(place) = self.places.get(conn) else {
            return;
        };
        if self.places.has_twin(conn, place) {
            outcome.changed(Change::Left {
                conn,
                reason: Departure::Duplicate,
            });
            self.remove(conn, &mut Outcome::default());
            return;
        }
        match place.loss {
            Some(loss) if loss.certainty == Certainty::Lost => {
                let staleness = now.saturating_sub(loss.since) + loss.silence;
                outcome.changed(Change::Lapsed { conn, staleness });
                self.remove(conn, outcome);
            }
            Some(_) | None => self.leave(conn, Departure::Closed, outcome),
        }
    }

    /// The first message that may not have reached a connection: the first one since data was last received from it. If that
    /// was only during its arrival, messages sent on arrival are in doubt as well. Older messages are not for it.
    fn unread_since(
        &self,
        arrival: &Arrival,
        silence: Duration,
        last_heard: Moment,
    ) -> MessageNumber {
        if silence > ARRIVING && last_heard <= arrival.at + ARRIVING {
            arrival.message
        } else {
            arrival.message.max(self.messages.first_after(last_heard))
        }
    }

    /// The messages for a connection whose number is at least `from` and below `to`.
    fn unread(
        &self,
        conn: ConnectionId,
        identity: &Identity,
        from: MessageNumber,
        to: MessageNumber,
    ) -> impl Iterator<Item = Message> {
        self.messages
            .iter()
            .filter(move |posted| (from..to).contains(&posted.number))
            .filter(move |posted| is_meant(&posted.to, conn, identity))
            .map(|posted| posted.message.clone())
    }
}
