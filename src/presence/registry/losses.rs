//! Losing a connection, and coming back to its place.
//!
//! Lives here: what a registry does about either. Not here: which place a page continues (`places`), and whether a poll
//! that broke off was a loss (`doubt`).

use std::time::Duration;

use super::super::{
    Browser, ConnectionId, Effect, Identity, Message, Moment, Note, Page,
    doubt::{DOUBT, Victim},
    places::{Arrival, Certainty, Loss, Place, Predecessor},
};
use super::{Registry, Topic, is_meant, to_one};

/// What a connection says this soon after it came may have been on its way before it was told anything.
const ARRIVING: Duration = Duration::from_secs(1);

impl Registry {
    /// A connection said whose it is for the first time.
    pub(super) fn arrive(
        &mut self,
        conn: ConnectionId,
        identity: Identity,
        browser: Browser,
        page: Option<&Page>,
        now: Moment,
        effects: &mut Vec<Effect>,
    ) -> Vec<Topic> {
        let mut arrival = Arrival {
            at: now,
            message: self.messages.next(),
            case: None,
        };
        let case = match self.places.predecessor(&identity, &browser, page) {
            Some(Predecessor::Lost(old)) => {
                self.resume(conn, old, arrival, effects);
                return vec![Topic::Census];
            }
            Some(Predecessor::Connected(case)) => Some(case),
            None => None,
        };
        arrival.case.clone_from(&case);
        let kind = identity.user_type.clone();
        let place = Place {
            identity,
            browser,
            case,
            arrival,
            has_spoken: false,
            loss: None,
        };
        self.places.insert(conn, place, kind);
        effects.extend(self.first_list(conn));
        vec![Topic::Census]
    }

    /// A new connection takes over a lost place. Nobody else hears of it, for nothing has changed.
    fn resume(
        &mut self,
        conn: ConnectionId,
        old: ConnectionId,
        arrival: Arrival,
        effects: &mut Vec<Effect>,
    ) {
        let Some(place) = self.places.hand_over(old, conn, arrival) else {
            return;
        };
        effects.push(Effect::Note(Note::Resumed));
        if self.is_watched(conn) && !self.early.has(conn) {
            effects.push(Effect::Note(Note::FlickerSuppressed));
        }
        effects.extend(self.first_list(conn));
        if let Some(loss) = place.loss {
            let unread = self.unread(old, &place.identity, loss.unread_from, u64::MAX);
            effects.extend(unread.map(|message| to_one(conn, message)));
        }
    }

    pub(super) fn lose(
        &mut self,
        conn: ConnectionId,
        silence: Duration,
        certainty: Certainty,
        now: Moment,
        effects: &mut Vec<Effect>,
    ) -> Vec<Topic> {
        let Some(place) = self.places.connected(conn) else {
            return Vec::new();
        };
        if self.rules.grace.is_zero() && !self.draining {
            return self.leave(conn);
        }
        let victim = Victim {
            user: place.identity.username.clone(),
            browser: place.browser.clone(),
        };
        let arrival = place.arrival.clone();
        let last_heard = now.saturating_sub(silence);
        let unread_from = if self.is_back(conn, last_heard, effects) {
            self.messages.next()
        } else {
            self.unread_since(&arrival, silence, last_heard)
        };
        let loss = Loss {
            since: now,
            until: now + DOUBT,
            unread_from,
            silence,
            certainty: Certainty::InDoubt,
            inherited: false,
        };
        self.places.lose(conn, loss);
        if certainty == Certainty::Lost {
            self.make_certain(conn, effects);
        }
        let left = self.places.connected_count();
        for cut in self.doubts.end(conn, &victim, left, now) {
            self.make_certain(cut, effects);
        }
        self.make_room(now, effects)
    }

    /// That connection was lost, and its place is kept.
    fn make_certain(&mut self, conn: ConnectionId, effects: &mut Vec<Effect>) {
        let loss = self.places.get(conn).and_then(|place| place.loss);
        if let Some(loss) = loss.filter(|loss| loss.certainty == Certainty::InDoubt) {
            effects.push(Effect::Note(Note::Lost));
            let certain = Loss {
                until: loss.since + self.rules.grace,
                certainty: Certainty::Lost,
                ..loss
            };
            self.places.lose(conn, certain);
        }
    }

    /// Keeps the number of lost places within its bound.
    fn make_room(&mut self, now: Moment, effects: &mut Vec<Effect>) -> Vec<Topic> {
        let lost = self.places.lost();
        match lost.first_of_largest() {
            Some(first) if !self.draining && lost.count() > self.rules.lost_places => {
                self.lapse(first, now, effects)
            }
            _ => Vec::new(),
        }
    }

    /// Whether the page of a lost connection has connected again already, and if so, hands on what was said to the dead
    /// line meanwhile. The place is kept all the same: it may have been another tab.
    fn is_back(&self, conn: ConnectionId, last_heard: Moment, effects: &mut Vec<Effect>) -> bool {
        let Some((successor, place)) = self.places.successor(conn, last_heard) else {
            return false;
        };
        effects.push(Effect::Note(Note::Resumed));
        let missed_from = self.messages.first_after(last_heard);
        let missed = self.unread(conn, &place.identity, missed_from, place.arrival.message);
        effects.extend(missed.map(|message| to_one(successor, message)));
        true
    }

    pub(super) fn next_lapse(&self) -> Option<(Moment, ConnectionId)> {
        self.places
            .lost()
            .first_deadline()
            .filter(|_| !self.draining)
    }

    /// Ends a lost place. Where its user is listed for another one, nothing changes on any screen.
    pub(super) fn lapse(
        &mut self,
        conn: ConnectionId,
        now: Moment,
        effects: &mut Vec<Effect>,
    ) -> Vec<Topic> {
        let Some(place) = self.places.get(conn) else {
            return Vec::new();
        };
        if self.places.has_twin(conn, place) {
            self.leave(conn);
            return vec![Topic::Census];
        }
        if let Some(loss) = place.loss.filter(|loss| loss.certainty == Certainty::Lost) {
            let staleness = now.saturating_sub(loss.since) + loss.silence;
            effects.push(Effect::Note(Note::Lapsed { staleness }));
        }
        self.leave(conn)
    }

    /// The first message that may not have reached a connection: the first since something was heard of it. If that was
    /// only while it came, what it was told on arrival is in doubt as well. What is older than it is not for it.
    fn unread_since(&self, arrival: &Arrival, silence: Duration, last_heard: Moment) -> u64 {
        if silence > ARRIVING && last_heard <= arrival.at + ARRIVING {
            arrival.message
        } else {
            arrival.message.max(self.messages.first_after(last_heard))
        }
    }

    /// The messages from one number to before another that a connection was meant to get.
    fn unread(
        &self,
        conn: ConnectionId,
        identity: &Identity,
        from: u64,
        to: u64,
    ) -> impl Iterator<Item = Message> {
        self.messages
            .iter()
            .filter(move |posted| (from..to).contains(&posted.number))
            .filter(move |posted| is_meant(&posted.to, conn, identity))
            .map(|posted| posted.message.clone())
    }
}
