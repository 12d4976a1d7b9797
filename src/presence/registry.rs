//! The state of presence, and the only code that changes it.
//!
//! Lives here: what follows from an event, and who is told. Not here: delivery.
//! Invariants: everybody who is listed has a connection, or a place that has not lapsed; after everybody has left and the last
//! interval is over, a registry that was woken equals a new one.

mod lists;
mod losses;
mod outcome;
mod views;

use std::time::Duration;

use super::{
    Audience, CaseRef, Change, ConnectionId, Departure, Effect, Ending, Event, Identity, Load,
    Message, Moment, Posting, Recipients, SavedPlace, Snapshot, WallTime,
    early::{Early, Statement},
    mass_cut::MassCutDetector,
    messages::Messages,
    pacer::Pacer,
    place::{Arrival, Certainty, Loss, Place},
    places::Places,
};

use outcome::Outcome;

/// Everybody who is connected or was lost a moment ago, and which cases they view.
#[derive(Debug, PartialEq, Eq)]
pub struct Registry {
    rules: Rules,
    started_at: WallTime,
    places: Places,
    messages: Messages,
    mass_cuts: MassCutDetector,
    early: Early,
    /// Merges the lists of each case.
    pacer: Pacer<CaseRef>,
    draining: bool,
}

/// The settings of a registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// For how long the lists of a case may be work, and a change is told at once all the same. Zero tells every change.
    pub merge_interval: Duration,
    /// How long the place of a lost connection is kept. Zero keeps none.
    pub grace: Duration,
    /// The most lost places. Beyond it, in the network with the most of them, the address with the most loses the place that
    /// would lapse first.
    pub lost_places: usize,
    /// The most connections of one user from one browser that are searched when a page comes back to its place.
    pub tabs_per_browser: usize,
}

impl Registry {
    /// An empty registry.
    #[must_use]
    pub fn new(rules: Rules) -> Self {
        Self {
            rules,
            started_at: WallTime::default(),
            places: Places::new(rules.tabs_per_browser),
            messages: Messages::default(),
            mass_cuts: MassCutDetector::default(),
            early: Early::default(),
            pacer: Pacer::new(rules.merge_interval),
            draining: false,
        }
    }

    /// The registry of the daemon before this one. All of its connections are lost now, and their places are kept for `grace`.
    #[must_use]
    pub fn restored(rules: Rules, snapshot: Snapshot, grace: Duration) -> Self {
        let mut registry = Self::new(rules);
        for saved in snapshot.places.into_iter().filter(|_| !grace.is_zero()) {
            // A connection is saved once, unless somebody has edited the file.
            if registry.places.get(saved.conn).is_none() {
                let user_type = saved.first_user_type.clone();
                let conn = saved.conn;
                let place = inherited(saved, grace);
                registry.places.insert(conn, place, user_type);
            }
        }
        if !registry.places.is_empty() {
            registry.messages = Messages::restored(snapshot.messages, snapshot.next_message);
        }
        registry
    }

    /// The same registry for a daemon that started at `time`, which the times in facts are counted from.
    #[must_use]
    pub fn started_at(mut self, time: WallTime) -> Self {
        self.started_at = time;
        self
    }

    /// Applies one event and returns what the hub must do, in order.
    ///
    /// A statement about a case that comes before `identify` is kept, and applied after it. The end of a connection is its last event.
    #[must_use]
    pub fn apply(&mut self, event: Event, now: Moment) -> Vec<Effect> {
        let due = self.wake(now);
        let mut outcome = Outcome::after(due);
        match event {
            Event::Identified {
                conn,
                identity,
                browser,
                page,
            } => {
                match self.places.get(conn) {
                    Some(_) => self.identify_again(conn, identity, &mut outcome),
                    None => self.arrive(conn, identity, browser, page.as_ref(), now, &mut outcome),
                }
                self.catch_up(conn, now, &mut outcome);
            }
            Event::CaseOpened { conn, case } => {
                self.hear(conn, Statement::Opened(case), now, &mut outcome);
            }
            Event::CaseClosed { conn, case } => {
                self.hear(conn, Statement::Closed(case), now, &mut outcome);
            }
            Event::Ended { conn, ending } => self.end(conn, ending, now, &mut outcome),
            Event::Dismissed { conn } => self.dismiss(conn, &mut outcome),
        }
        self.announce_changed(outcome, now)
    }

    /// Posts a message, and returns for whom it is.
    #[must_use]
    pub fn post(&mut self, to: &Audience, message: &Message, now: Moment) -> Posting {
        let due = self.wake(now);
        let meant: Vec<_> = self
            .places
            .iter()
            .filter(|(conn, place)| is_meant(to, *conn, &place.facts.identity))
            .collect();
        let connected = meant.iter().filter(|(_, place)| place.is_connected());
        let mut connected: Vec<_> = connected.map(|(conn, _)| *conn).collect();
        connected.sort_unstable();
        let kept = meant.len() - connected.len();
        let recipients = match to {
            Audience::Everyone => Recipients::Everyone,
            Audience::Chosen { connections, .. } => {
                let unidentified = connections.iter().copied();
                let unidentified = unidentified.filter(|conn| self.places.get(*conn).is_none());
                Recipients::These(connected.into_iter().chain(unidentified).collect())
            }
            Audience::UserType(_) => Recipients::These(connected),
        };
        if !self.places.is_empty() {
            self.messages.remember(to.clone(), message.clone(), now);
        }
        Posting {
            due,
            to: recipients,
            kept,
            change: Change::Posted {
                to: to.clone(),
                text: message.text_bytes(),
            },
        }
    }

    /// Returns what has fallen due by `now`.
    #[must_use]
    pub fn wake(&mut self, now: Moment) -> Vec<Effect> {
        let due = self.pacer.release(now);
        let lists = due.into_iter().filter_map(|case| self.announce(case, now));
        let mut outcome = Outcome::after(lists.collect());
        while let Some((_, conn)) = self.next_lapse().filter(|(until, _)| *until <= now) {
            self.lapse(conn, now, &mut outcome);
        }
        self.announce_changed(outcome, now)
    }

    /// The moment at which [`wake`](Self::wake) next has something to do.
    #[must_use]
    pub fn next_due(&self) -> Option<Moment> {
        let lapse = self.next_lapse().map(|(until, _)| until);
        self.pacer.next_due().into_iter().chain(lapse).min()
    }

    /// Changes the rules. They hold from now on: a place that is kept for longer already, for example, stays as it is.
    pub fn reload(&mut self, rules: Rules) {
        self.rules = rules;
        self.places.reload(rules.tabs_per_browser);
        self.pacer.reload(rules.merge_interval);
    }

    /// Sets the load that later events are applied under.
    pub fn bear(&mut self, load: Load) {
        self.pacer.bear(load);
    }

    /// The load that events are applied under.
    #[must_use]
    pub fn load(&self) -> Load {
        self.pacer.load()
    }

    /// Prepares for the end of the daemon: connections that end from now on will come back to the next daemon, so no place
    /// lapses.
    pub fn drain(&mut self) {
        self.draining = true;
    }

    /// A connection that has a place identified again, perhaps as another user.
    fn identify_again(&mut self, conn: ConnectionId, identity: Identity, outcome: &mut Outcome) {
        let Some(known) = self.places.connected(conn) else {
            return;
        };
        let is_another = known.facts.identity.username != identity.username;
        let counts = if is_another {
            &identity
        } else {
            &known.facts.identity
        };
        outcome.changed(Change::Identified {
            conn,
            identity: counts.clone(),
        });
        if is_another && let Some(mut place) = self.places.remove(conn) {
            outcome.affects(place.facts.case.clone());
            let user_type = identity.user_type.clone();
            place.facts.identity = identity;
            self.places.insert(conn, place, user_type);
        }
    }

    /// A connection made a statement about its case.
    fn hear(&mut self, conn: ConnectionId, said: Statement, now: Moment, outcome: &mut Outcome) {
        if self.places.get(conn).is_none() {
            self.early.keep(conn, said);
            return;
        }
        match said {
            Statement::Opened(case) => self.open(conn, case, now, outcome),
            Statement::Closed(case) => self.close(conn, &case, now, outcome),
        }
    }

    /// Applies the statements that a connection made before it identified. Nobody is told of the states in between.
    fn catch_up(&mut self, conn: ConnectionId, now: Moment, outcome: &mut Outcome) {
        for said in self.early.take(conn) {
            self.hear(conn, said, now, outcome);
        }
    }

    fn end(&mut self, conn: ConnectionId, ending: Ending, now: Moment, outcome: &mut Outcome) {
        self.early.forget(conn);
        match ending {
            Ending::CleanClose => self.leave(conn, Departure::Closed, outcome),
            Ending::Lost { silence } => self.lose(conn, silence, Certainty::Lost, now, outcome),
            Ending::PollAborted { silence } => {
                self.lose(conn, silence, Certainty::InDoubt, now, outcome);
            }
        }
    }

    fn dismiss(&mut self, conn: ConnectionId, outcome: &mut Outcome) {
        if self.is_lost(conn) {
            self.leave(conn, Departure::Dismissed, outcome);
        }
    }

    fn open(&mut self, conn: ConnectionId, case: CaseRef, now: Moment, outcome: &mut Outcome) {
        let Some(place) = self.places.connected(conn) else {
            return;
        };
        outcome.affects(place.facts.case.clone().filter(|left| *left != case));
        outcome.affects(Some(case.clone()));
        let at = self.started_at.after(now);
        outcome.changed(Change::Opened {
            conn,
            case: case.clone(),
            at,
        });
        self.places.set_case(conn, Some(case), at);
    }

    fn close(&mut self, conn: ConnectionId, case: &CaseRef, now: Moment, outcome: &mut Outcome) {
        let Some(place) = self.places.connected(conn) else {
            return;
        };
        let (left, has_spoken) = (place.facts.case.clone(), place.has_spoken);
        outcome.changed(Change::Closed {
            conn,
            case: left.clone(),
        });
        self.places.set_case(conn, None, self.started_at.after(now));
        if left.is_some() {
            outcome.affects(left);
        } else if let Some(old) = self.places.lost_on(conn, case).filter(|_| !has_spoken) {
            // The page left the case while its connection was lost. It did not get its place back, but named its case.
            self.leave(old, Departure::ClosedLater, outcome);
        }
    }

    fn leave(&mut self, conn: ConnectionId, reason: Departure, outcome: &mut Outcome) {
        if self.remove(conn, outcome) {
            outcome.changed(Change::Left { conn, reason });
        }
    }

    /// Removes a place, and returns whether there was one.
    fn remove(&mut self, conn: ConnectionId, outcome: &mut Outcome) -> bool {
        let Some(place) = self.places.remove(conn) else {
            return false;
        };
        if self.places.is_empty() {
            self.messages.clear();
            self.mass_cuts.clear();
        }
        outcome.affects(place.facts.case);
        true
    }
}

/// A place of the daemon before this one.
fn inherited(saved: SavedPlace, grace: Duration) -> Place {
    Place {
        facts: saved.facts,
        arrival: Arrival {
            at: Moment::ZERO,
            message: saved.unread_from,
            case: None,
        },
        has_spoken: false,
        loss: Some(Loss {
            since: Moment::ZERO,
            until: saved.left.unwrap_or(grace).min(grace),
            unread_from: saved.unread_from,
            silence: Duration::ZERO,
            certainty: Certainty::Lost,
            inherited: true,
        }),
    }
}

/// Whether a posted message is for a connection.
fn is_meant(to: &Audience, conn: ConnectionId, identity: &Identity) -> bool {
    match to {
        Audience::Everyone => true,
        Audience::UserType(user_type) => identity.user_type == *user_type,
        Audience::Chosen { users, connections } => {
            users.contains(&identity.username) || connections.contains(&conn)
        }
    }
}
