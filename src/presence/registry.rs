//! The state of presence, and the only code that changes it.
//!
//! Lives here: what follows from an event, and who is told. Not here: delivery.
//! Invariants: whoever is listed has a connection, or a place that has not lapsed; after everybody has left, once it is
//! woken when the last interval is over, the registry equals a new one.

mod lists;
mod losses;

use std::{collections::BTreeSet, iter::once, time::Duration};

use super::{
    Audience, CaseRef, Census, Connection, ConnectionId, Effect, Ending, Event, Identity, Lost,
    Message, Moment, Person, Recipients, SavedPlace, Snapshot,
    doubt::Doubts,
    early::{Early, Statement},
    messages::Messages,
    pacer::Pacer,
    places::{Arrival, Certainty, Loss, Place, Places, Tab},
};

/// Everybody who is there, or was there a moment ago, and what they view.
#[derive(Debug, PartialEq, Eq)]
pub struct Registry {
    rules: Rules,
    places: Places,
    messages: Messages,
    doubts: Doubts,
    early: Early,
    pacer: Pacer<Topic>,
    draining: bool,
}

/// How patient a registry is, and how much it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// The shortest time between two lists of one case, and between two censuses, but for the second one after a quiet time.
    pub merge_interval: Duration,
    /// How long the place of a lost connection is kept; zero keeps none.
    pub grace: Duration,
    /// The most lost places. Beyond it, the address with most of them in the network with most of them loses the one that
    /// would lapse first.
    pub lost_places: usize,
    /// The most connections of one user from one browser that are searched when a page comes back to its place.
    pub tabs_per_browser: usize,
}

/// Where a list of people goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeopleCursor {
    next: Tab,
    /// The rank before which users identified when the list was begun.
    before: u64,
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
            places: Places::new(rules.tabs_per_browser),
            messages: Messages::default(),
            doubts: Doubts::default(),
            early: Early::default(),
            pacer: Pacer::new(rules.merge_interval),
            draining: false,
        }
    }

    /// The registry of a daemon before this one. All its connections are lost now, and their places kept for `grace`.
    #[must_use]
    pub fn restored(rules: Rules, snapshot: Snapshot, grace: Duration) -> Self {
        let mut registry = Self::new(rules);
        for saved in snapshot.places.into_iter().filter(|_| !grace.is_zero()) {
            if registry.places.get(saved.conn).is_some() {
                // Only a file that somebody has meddled with names one twice.
                continue;
            }
            let place = Place {
                identity: saved.identity,
                browser: saved.browser,
                case: saved.case,
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
    /// What a connection says of its case before it has a place waits for that. Its end is the last that is said of it.
    #[must_use]
    pub fn apply(&mut self, event: Event, now: Moment) -> Vec<Effect> {
        let mut effects = self.wake(now);
        let changed = match event {
            Event::Identified {
                conn,
                identity,
                browser,
                page,
            } => {
                let mut changed = match self.places.get(conn) {
                    Some(_) => self.rename(conn, identity),
                    None => self.arrive(conn, identity, browser, page.as_ref(), now, &mut effects),
                };
                changed.extend(self.catch_up(conn));
                changed
            }
            Event::CaseOpened { conn, case } => self.hear(conn, Statement::Opened(case)),
            Event::CaseClosed { conn, case } => self.hear(conn, Statement::Closed(case)),
            Event::Ended { conn, ending } => self.end(conn, ending, now, &mut effects),
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
        let mut effects = Vec::new();
        for topic in due {
            effects.extend(self.speak_of(topic, now));
        }
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

    /// Goes by other rules from now on. What is beyond them already stays: they hold for newcomers.
    pub fn reload(&mut self, rules: Rules) {
        self.rules = rules;
        self.pacer.reload(rules.merge_interval);
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

    /// Some of the people in the order of identify, with `most` connections together, and where to go on if there are more.
    /// To list all of them at once would keep events waiting.
    ///
    /// Without a cursor it begins anew. People who identify after that are left out: a user who takes name after name would
    /// be met again and again.
    #[must_use]
    pub fn people(
        &self,
        from: Option<PeopleCursor>,
        most: usize,
        now: Moment,
    ) -> (Vec<Person>, Option<PeopleCursor>) {
        let from = from.unwrap_or_else(|| PeopleCursor {
            next: Tab::FIRST,
            before: self.places.next_rank(),
        });
        let places = self.places.by_user_from(&from.next);
        let mut places = places.take_while(|(tab, _, _)| tab.rank < from.before);
        let mut people: Vec<Person> = Vec::new();
        for (tab, place, kind) in places.by_ref().take(most) {
            let connection = (tab.conn, connection(place, now));
            match people.last_mut() {
                Some(person) if person.rank == tab.rank => person.connections.push(connection),
                Some(_) | None => people.push(Person {
                    rank: tab.rank,
                    username: place.identity.username.clone(),
                    user_type: kind.clone(),
                    connections: vec![connection],
                }),
            }
        }
        let next = places.next().map(|(tab, _, _)| PeopleCursor {
            next: tab.clone(),
            ..from
        });
        (people, next)
    }

    /// How many there are.
    #[must_use]
    pub fn census(&self) -> Census {
        Census {
            people: self.places.user_count(),
            versions: self.places.versions().clone(),
        }
    }

    /// Everything that the next daemon must know.
    #[must_use]
    pub fn snapshot(&self, now: Moment) -> Snapshot {
        let next_message = self.messages.next();
        let places = self.places.by_user();
        let places = places.map(|(tab, place, kind)| SavedPlace {
            conn: tab.conn,
            identity: place.identity.clone(),
            user_type: kind.clone(),
            browser: place.browser.clone(),
            case: place.case.clone(),
            unread_from: place.loss.map_or(next_message, |loss| loss.unread_from),
            left: place
                .loss
                .filter(|loss| loss.inherited)
                .map(|loss| loss.until.saturating_sub(now)),
        });
        Snapshot {
            places: places.collect(),
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

    /// A connection said something of its case.
    fn hear(&mut self, conn: ConnectionId, statement: Statement) -> Vec<Topic> {
        if self.places.get(conn).is_none() {
            self.early.keep(conn, statement);
            return Vec::new();
        }
        match statement {
            Statement::Opened(case) => self.open(conn, case),
            Statement::Closed(case) => self.close(conn, &case),
        }
    }

    /// What a connection has said before it had a place holds now. Nobody has been told anything in between.
    fn catch_up(&mut self, conn: ConnectionId) -> Vec<Topic> {
        let early = self.early.take(conn);
        early
            .flat_map(|statement| self.hear(conn, statement))
            .collect()
    }

    fn end(
        &mut self,
        conn: ConnectionId,
        ending: Ending,
        now: Moment,
        effects: &mut Vec<Effect>,
    ) -> Vec<Topic> {
        self.early.forget(conn);
        match ending {
            Ending::Goodbye => self.leave(conn),
            Ending::Lost { silence } => self.lose(conn, silence, Certainty::Lost, now, effects),
            Ending::BrokenOff => self.lose(conn, Duration::ZERO, Certainty::InDoubt, now, effects),
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
        let (left, has_spoken) = (place.case.clone(), place.has_spoken);
        self.places.set_case(conn, None);
        if let Some(left) = left {
            changed.push(Topic::Viewers(left));
        } else if let Some(old) = self.places.lost_on(conn, case).filter(|_| !has_spoken) {
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
        once(Topic::Census).chain(case).collect()
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

    /// Announces each topic once, or leaves that to later.
    fn spread(&mut self, changed: Vec<Topic>, now: Moment, effects: &mut Vec<Effect>) {
        let mut spoken = BTreeSet::new();
        for topic in changed {
            if spoken.insert(topic.clone()) && self.pacer.changed(&topic) {
                effects.extend(self.speak_of(topic, now));
            }
        }
    }
}

fn connection(place: &Place, now: Moment) -> Connection {
    Connection {
        identity: place.identity.clone(),
        case: place.case.clone(),
        lost: place.loss.map(|loss| Lost {
            since: now.saturating_sub(loss.since),
            left: loss.until.saturating_sub(now),
        }),
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
