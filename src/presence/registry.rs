//! The state of presence, and the only code that changes it.
//!
//! Lives here: what follows from an event, and who is told. Not here: delivery.
//! Invariants: whoever is listed has a connection, or a place that has not lapsed; after everybody has left and
//! the last interval is over, the registry equals a new one.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use super::{
    Audience, Browser, CaseRef, Census, Connection, ConnectionId, Effect, Ending, Event, Identity,
    Lost, Message, Moment, Note, Page, Person, Recipients, SavedPlace, Snapshot, Username,
    doubt::{DOUBT, Doubts},
    messages::Messages,
    pacer::Pacer,
    places::{Arrival, Certainty, Loss, Place, Places, Predecessor},
};

/// Everybody who is there, or was there a moment ago, and what they view.
#[derive(Debug, PartialEq, Eq)]
pub struct Registry {
    rules: Rules,
    places: Places,
    messages: Messages,
    doubts: Doubts,
    pacer: Pacer<Topic>,
    draining: bool,
}

/// How patient a registry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// The shortest time between two lists of one case, and between two censuses.
    pub merge_interval: Duration,
    /// How long the place of a lost connection is kept; zero keeps none.
    pub grace: Duration,
    /// How many such places there may be; beyond it the one that would lapse first does so at once.
    pub lost_places: usize,
}

/// What observers are told about. Bursts of changes to one topic are merged.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Topic {
    Viewers(CaseRef),
    Census,
}

impl Registry {
    /// An empty registry.
    #[must_use]
    pub fn new(rules: Rules) -> Self {
        Self {
            rules,
            places: Places::default(),
            messages: Messages::default(),
            doubts: Doubts::default(),
            pacer: Pacer::new(rules.merge_interval),
            draining: false,
        }
    }

    /// The registry of a daemon before this one. All its connections are lost now, and their places kept for `grace`.
    #[must_use]
    pub fn restored(rules: Rules, snapshot: Snapshot, grace: Duration) -> Self {
        let mut registry = Self::new(rules);
        let places = snapshot.places.into_iter().take(rules.lost_places);
        for saved in places.filter(|_| grace > Duration::ZERO) {
            let place = Place {
                identity: saved.identity,
                browser: saved.browser,
                case: saved.case,
                arrival: Arrival {
                    at: Moment::ZERO,
                    message: 0,
                    case: None,
                },
                loss: Some(Loss {
                    since: Moment::ZERO,
                    until: grace,
                    unread_from: saved.unread_from,
                    silence: Duration::ZERO,
                    certainty: Certainty::Lost,
                }),
            };
            registry.places.insert(saved.conn, place, saved.user_type);
        }
        if !registry.places.is_empty() {
            registry.messages = Messages::restored(snapshot.messages, snapshot.next_message);
        }
        registry
    }

    /// Applies one event and returns what the shell must do, in order.
    ///
    /// Unknown connections are ignored: a frame can arrive before its identify or after its end.
    #[must_use]
    pub fn apply(&mut self, event: Event, now: Moment) -> Vec<Effect> {
        let mut effects = self.wake(now);
        let changed = match event {
            Event::Identified {
                conn,
                identity,
                browser,
                page,
            } => match self.places.get(conn) {
                Some(_) => self.rename(conn, identity),
                None => self.arrive(conn, identity, browser, page.as_ref(), now, &mut effects),
            },
            Event::CaseOpened { conn, case } => self.open(conn, case),
            Event::CaseClosed { conn, case } => self.close(conn, &case),
            Event::Ended { conn, ending } => match ending {
                Ending::Goodbye => self.leave(conn),
                Ending::Lost { silence } => {
                    self.lose(conn, silence, Certainty::Lost, now, &mut effects)
                }
                Ending::BrokenOff => {
                    let silence = Duration::ZERO;
                    self.lose(conn, silence, Certainty::InDoubt, now, &mut effects)
                }
            },
            Event::Dismissed { conn } if self.is_lost(conn) => self.leave(conn),
            Event::Dismissed { .. } => Vec::new(),
            Event::Posted { to, message } => {
                self.post(to, message, now, &mut effects);
                Vec::new()
            }
        };
        self.spread(changed, now, &mut effects);
        effects
    }

    /// Returns what has fallen due by `now`.
    #[must_use]
    pub fn wake(&mut self, now: Moment) -> Vec<Effect> {
        let due = self.pacer.release(now);
        let mut effects: Vec<_> = due
            .into_iter()
            .filter_map(|topic| self.announce(topic))
            .collect();
        let mut changed = Vec::new();
        while let Some((_, conn)) = self.next_lapse().filter(|(until, _)| *until <= now) {
            changed.extend(self.lapse(conn, now, &mut effects));
        }
        self.spread(changed, now, &mut effects);
        effects
    }

    /// When [`wake`](Self::wake) next has something to do.
    #[must_use]
    pub fn next_due(&self) -> Option<Moment> {
        let lapse = self.next_lapse().map(|(until, _)| until);
        self.pacer.next_due().into_iter().chain(lapse).min()
    }

    /// From now on every connection that ends is about to come back to another daemon, so no place lapses.
    pub fn drain(&mut self) {
        self.draining = true;
    }

    /// Whether that connection was lost, and its place is kept.
    #[must_use]
    pub fn is_lost(&self, conn: ConnectionId) -> bool {
        let place = self.places.get(conn);
        place.is_some_and(|place| !place.is_connected())
    }

    /// Everybody, in order of identify.
    #[must_use]
    pub fn people(&self, now: Moment) -> Vec<Person> {
        let seen = |conn: &ConnectionId| {
            let place = self.places.get(*conn)?;
            let connection = Connection {
                identity: place.identity.clone(),
                case: place.case.clone(),
                lost: place.loss.map(|loss| Lost {
                    since: now.saturating_sub(loss.since),
                    left: loss.until.saturating_sub(now),
                }),
            };
            Some((*conn, connection))
        };
        self.places
            .users()
            .map(|(username, user)| Person {
                username: username.clone(),
                user_type: user.kind.clone(),
                connections: user.connections.iter().filter_map(seen).collect(),
            })
            .collect()
    }

    /// How many there are.
    #[must_use]
    pub fn census(&self) -> Census {
        let mut versions = BTreeMap::new();
        for (_, place) in self.places.iter() {
            *versions
                .entry(place.identity.app_version.clone())
                .or_default() += 1;
        }
        Census {
            people: self.places.user_count(),
            versions,
        }
    }

    /// Everything that the next daemon must know.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let next_message = self.messages.next();
        let mut places = Vec::new();
        for (_, user) in self.places.users() {
            let own = user.connections.iter();
            let own = own.filter_map(|conn| Some((*conn, self.places.get(*conn)?.clone())));
            places.extend(own.map(|(conn, place)| SavedPlace {
                conn,
                identity: place.identity,
                user_type: user.kind.clone(),
                browser: place.browser,
                case: place.case,
                unread_from: place.loss.map_or(next_message, |loss| loss.unread_from),
            }));
        }
        Snapshot {
            places,
            messages: self.messages.iter().cloned().collect(),
            next_message,
        }
    }

    /// A connection that has a place said a name again, perhaps another one.
    fn rename(&mut self, conn: ConnectionId, identity: Identity) -> Vec<Topic> {
        let Some(known) = self.places.connected(conn) else {
            return Vec::new();
        };
        let mut changed = vec![Topic::Census];
        if known.identity.username != identity.username
            && let Some(place) = self.places.remove(conn)
        {
            changed.extend(place.case.clone().map(Topic::Viewers));
            let kind = identity.user_type.clone();
            self.places.insert(conn, Place { identity, ..place }, kind);
        }
        changed
    }

    /// A connection said whose it is for the first time.
    fn arrive(
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
            loss: None,
        };
        self.places.insert(conn, place, kind);
        effects.extend(self.list_for(conn));
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
        if self.is_watched(conn) {
            effects.push(Effect::Note(Note::FlickerSuppressed));
        }
        effects.extend(self.list_for(conn));
        if let Some(loss) = place.loss {
            let unread = self.unread(old, &place.identity, loss.unread_from, u64::MAX);
            effects.extend(unread.map(|message| to_one(conn, message)));
        }
    }

    fn open(&mut self, conn: ConnectionId, case: CaseRef) -> Vec<Topic> {
        let Some(place) = self.places.connected(conn) else {
            return Vec::new();
        };
        let mut changed = vec![Topic::Census];
        let left = place.case.clone().filter(|left| *left != case);
        changed.extend(left.map(Topic::Viewers));
        self.places.set_case(conn, Some(case.clone()));
        changed.push(Topic::Viewers(case));
        changed
    }

    fn close(&mut self, conn: ConnectionId, case: &CaseRef) -> Vec<Topic> {
        let Some(place) = self.places.connected(conn) else {
            return Vec::new();
        };
        let mut changed = vec![Topic::Census];
        if let Some(left) = place.case.clone() {
            self.places.set_case(conn, None);
            changed.push(Topic::Viewers(left));
        } else if let Some(old) = self.places.lost_on(conn, case) {
            // The page left while it was away. It did not get its place back, but knows which one that was.
            changed.extend(self.leave(old));
        }
        changed
    }

    fn leave(&mut self, conn: ConnectionId) -> Vec<Topic> {
        let Some(place) = self.places.remove(conn) else {
            return Vec::new();
        };
        if self.places.is_empty() {
            self.messages.clear();
            self.doubts.clear();
        }
        let case = place.case.map(Topic::Viewers);
        std::iter::once(Topic::Census).chain(case).collect()
    }

    fn lose(
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
        let browser = place.browser.clone();
        let last_heard = now.saturating_sub(silence);
        let unread_from = if self.is_back(conn, last_heard, effects) {
            self.messages.next()
        } else {
            self.messages.first_after(last_heard)
        };
        let loss = Loss {
            since: now,
            until: now + DOUBT.min(self.rules.grace),
            unread_from,
            silence,
            certainty: Certainty::InDoubt,
        };
        self.places.lose(conn, loss);
        self.doubts.add(conn, now);
        let shared = silence.is_zero() && self.doubts.is_shared(&browser, now);
        if shared || self.draining {
            for conn in self.doubts.take(now) {
                self.make_certain(conn, effects);
            }
        } else if certainty == Certainty::Lost {
            self.make_certain(conn, effects);
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
        match self.places.first_deadline() {
            Some((_, first)) if self.places.lost_count() > self.rules.lost_places => {
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

    fn next_lapse(&self) -> Option<(Moment, ConnectionId)> {
        self.places.first_deadline().filter(|_| !self.draining)
    }

    /// Ends a lost place. Where its user is listed for another one, nothing changes on any screen.
    fn lapse(&mut self, conn: ConnectionId, now: Moment, effects: &mut Vec<Effect>) -> Vec<Topic> {
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

    fn post(&mut self, to: Audience, message: Message, now: Moment, effects: &mut Vec<Effect>) {
        let meant: Vec<_> = self
            .places
            .iter()
            .filter(|(conn, place)| is_meant(&to, *conn, &place.identity))
            .collect();
        let connected = meant.iter().filter(|(_, place)| place.is_connected());
        let connected: BTreeSet<_> = connected.map(|(conn, _)| *conn).collect();
        let keep = meant.len() - connected.len();
        let recipients = match &to {
            Audience::Everyone => Recipients::Everyone,
            Audience::Chosen { connections, .. } => {
                // Also those that have not identified.
                let strangers = connections.iter().copied();
                let strangers = strangers.filter(|conn| self.places.get(*conn).is_none());
                Recipients::These(connected.into_iter().chain(strangers).collect())
            }
            Audience::UserType(_) => Recipients::These(connected),
        };
        effects.push(Effect::Send {
            to: recipients,
            message: message.clone(),
        });
        effects.push(Effect::Keep(keep));
        if !self.places.is_empty() {
            self.messages.remember(to, message, now);
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

    /// Announces each topic once, or leaves that to later.
    fn spread(&mut self, changed: Vec<Topic>, now: Moment, effects: &mut Vec<Effect>) {
        let mut spoken = BTreeSet::new();
        for topic in changed {
            if spoken.insert(topic.clone()) && self.pacer.changed(&topic, now) {
                effects.extend(self.announce(topic));
            }
        }
    }

    /// Puts a topic as it stands now into words; a case that nobody views has nobody to tell.
    fn announce(&self, topic: Topic) -> Option<Effect> {
        match topic {
            Topic::Viewers(case) => {
                let viewers = self.places.viewers(&case)?;
                let connected = viewers.iter().copied();
                let connected = connected.filter(|conn| self.places.connected(*conn).is_some());
                let to: BTreeSet<_> = connected.collect();
                (!to.is_empty()).then(|| Effect::Send {
                    to: Recipients::These(to),
                    message: Message::PeopleViewing(self.names(viewers)),
                })
            }
            Topic::Census => Some(Effect::Report(self.census())),
        }
    }

    /// The list of the case that a connection views, for it alone.
    fn list_for(&self, conn: ConnectionId) -> Option<Effect> {
        let case = self.places.get(conn)?.case.as_ref()?;
        let names = self.names(self.places.viewers(case)?);
        Some(to_one(conn, Message::PeopleViewing(names)))
    }

    /// Whether another connection views the same case.
    fn is_watched(&self, conn: ConnectionId) -> bool {
        let case = self.places.get(conn).and_then(|place| place.case.as_ref());
        let viewers = case.and_then(|case| self.places.viewers(case));
        let mut others = viewers
            .into_iter()
            .flatten()
            .filter(|other| **other != conn);
        others.any(|other| self.places.connected(*other).is_some())
    }

    /// The users behind some connections, each once, in order of identify.
    fn names(&self, connections: &BTreeSet<ConnectionId>) -> Vec<Username> {
        let by_rank: BTreeMap<_, _> = connections
            .iter()
            .filter_map(|conn| {
                let username = &self.places.get(*conn)?.identity.username;
                Some((self.places.user(username)?.rank, username))
            })
            .collect();
        by_rank.into_values().cloned().collect()
    }
}

fn is_meant(to: &Audience, conn: ConnectionId, identity: &Identity) -> bool {
    match to {
        Audience::Everyone => true,
        Audience::UserType(user_type) => identity.user_type == *user_type,
        Audience::Chosen { users, connections } => {
            users.contains(&identity.username) || connections.contains(&conn)
        }
    }
}

fn to_one(conn: ConnectionId, message: Message) -> Effect {
    Effect::Send {
        to: Recipients::These(BTreeSet::from([conn])),
        message,
    }
}
