//! The state of presence, and the only code that changes it.
//!
//! Lives here: what follows from an event, and who is told. Not here: delivery.
//! Invariants: everybody who is listed has a connection, or a place that has not lapsed; after everybody has left and the last
//! interval is over, a registry that was woken equals a new one.

mod lists;
mod losses;
mod outcome;
mod returns;
mod views;

use std::time::Duration;

use super::{
    Absence, Audience, Browser, CaseRef, Change, ConnectionId, Departure, Effect, Ending, Entry,
    Event, Identity, Load, Message, Moment, Page, Posting, Recipients, SavedPlace, Snapshot,
    WallTime,
    absences::Absences,
    early::{Early, Statement},
    mass_cut::MassCutDetector,
    messages::Messages,
    pacer::Pacer,
    place::{Arrival, Certainty, Loss, Place},
    places::Places,
    silent::SilentPages,
};

use outcome::Outcome;

/// Everybody who is connected or was lost a moment ago, and which cases they view.
#[derive(Debug, PartialEq, Eq)]
pub struct Registry {
    rules: Rules,
    started_at: WallTime,
    /// The time after the start in which a page may have been on its case before, whatever is known.
    restart_grace: Duration,
    places: Places,
    absences: Absences,
    silent: SilentPages,
    messages: Messages,
    mass_cuts: MassCutDetector,
    early: Early,
    /// Merges the lists of each case.
    pacer: Pacer<CaseRef>,
    /// When the daemon last went on after it did not run for a while.
    went_on_at: Option<Moment>,
    /// When the daemon began to end.
    draining_since: Option<Moment>,
}

/// A deadline that passed this long ago shows that the daemon did not run: its machine was suspended, or it was stopped by a
/// signal.
const PAUSE: Duration = Duration::from_secs(2);

/// The settings of a registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// For how long the lists of a case may be work, and a change is told at once all the same. Zero tells every change.
    pub merge_interval: Duration,
    /// How long the place of a lost connection is kept. Zero keeps none.
    pub grace: Duration,
    /// How long a user is remembered who did not come back to a case in time. Zero remembers nobody.
    pub memory: Duration,
    /// The most lost places, and the most users that are remembered. Beyond it, in the network with the most of them, the address
    /// with the most loses the place that would lapse first.
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
            restart_grace: Duration::ZERO,
            places: Places::new(rules.tabs_per_browser),
            absences: Absences::default(),
            silent: SilentPages::default(),
            messages: Messages::default(),
            mass_cuts: MassCutDetector::default(),
            early: Early::default(),
            pacer: Pacer::new(rules.merge_interval),
            went_on_at: None,
            draining_since: None,
        }
    }

    /// The registry of the daemon before this one. All of its connections are lost now, and their places are kept for `grace`. If
    /// that is over already, their users are absent.
    #[must_use]
    pub fn restored(rules: Rules, snapshot: Snapshot, grace: Duration) -> Self {
        let mut registry = Self::new(rules);
        registry.restart_grace = grace;
        if grace.is_zero() {
            return registry;
        }
        let age = snapshot.age;
        for saved in snapshot.absences {
            let until = saved.left.min(rules.memory).saturating_sub(age);
            let most = rules.lost_places;
            registry
                .absences
                .remember(saved.conn, saved.absence, saved.address, until, most);
        }
        for saved in snapshot.places {
            registry.inherit(saved, grace, age, snapshot.complete);
        }
        registry.absences.expire(Moment::ZERO);
        if !registry.places.is_empty() {
            registry.messages = Messages::restored(snapshot.messages, snapshot.next_message);
        }
        registry
    }

    fn inherit(&mut self, saved: SavedPlace, grace: Duration, age: Duration, is_complete: bool) {
        let (conn, user_type) = (saved.conn, saved.first_user_type.clone());
        let place = inherited(saved, grace, is_complete);
        if age > grace {
            self.remember(conn, &place, self.rules.memory.saturating_sub(age));
        } else if self.places.get(conn).is_none() {
            // A connection is saved once, unless somebody has edited the file.
            self.places.insert(conn, place, user_type);
        }
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
            } => match self.places.get(conn) {
                Some(_) => self.identify_again(conn, identity, &mut outcome),
                None => self.identify(conn, identity, browser, page.as_ref(), now, &mut outcome),
            },
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
        self.notice_pause(now);
        let due = self.pacer.release(now);
        let lists = due.into_iter().filter_map(|case| self.announce(case, now));
        let mut outcome = Outcome::after(lists.collect());
        while let Some((_, conn)) = self.next_lapse().filter(|(until, _)| *until <= now) {
            self.lapse(conn, now, &mut outcome);
        }
        while let Some((_, conn)) = self.next_silence().filter(|(due, _)| *due <= now) {
            self.judge_silence(conn, now, &mut outcome);
        }
        self.absences.expire(now);
        self.announce_changed(outcome, now)
    }

    /// The moment at which [`wake`](Self::wake) next has something to do. That an absence need not be remembered any longer is
    /// no reason to wake up.
    #[must_use]
    pub fn next_due(&self) -> Option<Moment> {
        let lists = self.pacer.next_due();
        lists.into_iter().chain(self.next_deadline()).min()
    }

    /// The moment at which the next place lapses or the next silence is judged.
    fn next_deadline(&self) -> Option<Moment> {
        let lapse = self.next_lapse().map(|(until, _)| until);
        let silence = self.next_silence().map(|(due, _)| due);
        lapse.into_iter().chain(silence).min()
    }

    /// Puts off all deadlines if the daemon did not run for a while. Browsers that came back meanwhile have not been heard yet.
    fn notice_pause(&mut self, now: Moment) {
        match self.next_deadline() {
            Some(deadline) if deadline + PAUSE <= now => self.went_on_at = Some(now),
            Some(_) => {}
            None => self.went_on_at = None,
        }
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
    pub fn drain(&mut self, now: Moment) {
        self.draining_since = Some(now);
    }

    fn is_draining(&self) -> bool {
        self.draining_since.is_some()
    }

    /// A connection identified for the first time.
    fn identify(
        &mut self,
        conn: ConnectionId,
        identity: Identity,
        browser: Browser,
        page: Option<&Page>,
        now: Moment,
        outcome: &mut Outcome,
    ) {
        let path = page.map(|page| &page.path);
        self.arrive(conn, identity, browser, path, now, outcome);
        self.catch_up(conn, now, outcome);
        self.wait_for_word(conn, page, now);
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
            self.silent.forget(conn);
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
        self.silent.forget(conn);
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
        let unsaid = self.silent.forget(conn);
        match ending {
            Ending::CleanClose => {
                if let Some((case, place)) = unsaid.zip(self.places.get(conn)) {
                    let absence = Absence::new(&place.facts.identity, case);
                    self.absences.forget(&absence);
                }
                self.leave(conn, Departure::Closed, outcome);
            }
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
        if place.facts.case.as_ref() != Some(&case) {
            self.absences.left(&place.facts);
        }
        self.places.speak(conn);
        self.places.set_case(conn, Some((case, Entry::Opened)), at);
    }

    fn close(&mut self, conn: ConnectionId, case: &CaseRef, now: Moment, outcome: &mut Outcome) {
        let Some(place) = self.places.connected(conn) else {
            return;
        };
        let (left, has_spoken) = (place.facts.case.clone(), place.has_spoken);
        self.absences
            .forget(&Absence::new(&place.facts.identity, case.clone()));
        self.absences.left(&place.facts);
        outcome.changed(Change::Closed {
            conn,
            case: left.clone(),
        });
        self.places.speak(conn);
        self.places.set_case(conn, None, self.started_at.after(now));
        if left.is_some() {
            outcome.affects(left);
        } else if let Some(old) = self.places.lost_on(conn, case).filter(|_| !has_spoken) {
            // The page left the case while its connection was lost. It did not get its place back, but named its case.
            self.leave(old, Departure::ClosedLater, outcome);
        }
    }

    fn leave(&mut self, conn: ConnectionId, reason: Departure, outcome: &mut Outcome) {
        if let Some(place) = self.remove(conn, outcome) {
            outcome.changed(Change::Left { conn, reason });
            self.absences.left(&place.facts);
        }
    }

    /// Removes and returns a place.
    fn remove(&mut self, conn: ConnectionId, outcome: &mut Outcome) -> Option<Place> {
        let place = self.places.remove(conn)?;
        if self.places.is_empty() {
            self.messages.clear();
            self.mass_cuts.clear();
        }
        outcome.affects(place.facts.case.clone());
        Some(place)
    }
}

/// A place of the daemon before this one.
fn inherited(saved: SavedPlace, grace: Duration, is_complete: bool) -> Place {
    Place {
        facts: saved.facts,
        arrival: Arrival {
            at: Moment::ZERO,
            message: saved.unread_from,
            case: None,
        },
        has_spoken: false,
        settled: saved.settled && is_complete,
        loss: Some(Loss {
            since: Moment::ZERO,
            until: saved.left.unwrap_or(grace).min(grace),
            unread_from: saved.unread_from,
            silence: Duration::ZERO,
            certainty: Certainty::Lost,
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
