//! The state of presence, and the only code that changes it.
//!
//! Lives here: who is connected, as whom, viewing what. Not here: delivery.
//! Invariants: every viewer has a connection; a user has at least one connection; after everybody has left and
//! the last interval is over, the registry equals a new one.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use super::{
    Audience, CaseRef, Census, Connection, ConnectionId, Effect, Event, Identity, Message, Moment,
    Person, Recipients, UserType, Username, pacer::Pacer,
};

/// Everybody who is connected, and what they view.
#[derive(Debug, PartialEq, Eq)]
pub struct Registry {
    connections: BTreeMap<ConnectionId, Connection>,
    users: BTreeMap<Username, User>,
    cases: BTreeMap<CaseRef, BTreeSet<ConnectionId>>,
    next_place: u64,
    pacer: Pacer<Topic>,
}

#[derive(Debug, PartialEq, Eq)]
struct User {
    /// Place in the order of identify, which is the order in which viewers are listed.
    place: u64,
    kind: UserType,
    connections: BTreeSet<ConnectionId>,
}

/// What observers are told about. Bursts of changes to one topic are merged.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Topic {
    Viewers(CaseRef),
    Census,
}

impl Registry {
    /// An empty registry that speaks of one case, and of the census, at most once every `merge_interval`.
    #[must_use]
    pub fn new(merge_interval: Duration) -> Self {
        Self {
            connections: BTreeMap::new(),
            users: BTreeMap::new(),
            cases: BTreeMap::new(),
            next_place: 0,
            pacer: Pacer::new(merge_interval),
        }
    }

    /// Applies one event and returns what the shell must do, in order.
    ///
    /// Unknown connections are ignored: a frame can arrive before its identify or after its disconnect.
    #[must_use]
    pub fn apply(&mut self, event: Event, now: Moment) -> Vec<Effect> {
        let mut effects = self.wake(now);
        let changed = match event {
            Event::Identified { conn, identity } => self.identify(conn, identity),
            Event::CaseOpened { conn, case } => self.open(conn, case),
            Event::CaseClosed { conn } => self.close(conn),
            Event::Disconnected { conn } => self.disconnect(conn),
            Event::Posted { to, message } => {
                let to = self.recipients(to);
                effects.push(Effect::Send { to, message });
                Vec::new()
            }
        };
        for topic in changed {
            if self.pacer.changed(&topic, now) {
                effects.extend(self.announce(topic));
            }
        }
        effects
    }

    /// Returns what has fallen due by `now`.
    #[must_use]
    pub fn wake(&mut self, now: Moment) -> Vec<Effect> {
        let due = self.pacer.release(now);
        due.into_iter()
            .filter_map(|topic| self.announce(topic))
            .collect()
    }

    /// When [`wake`](Self::wake) next has something to do.
    #[must_use]
    pub fn next_due(&self) -> Option<Moment> {
        self.pacer.next_due()
    }

    /// Everybody, in order of identify.
    #[must_use]
    pub fn people(&self) -> Vec<Person> {
        let by_place: BTreeMap<_, _> = self.users.iter().map(|(n, u)| (u.place, (n, u))).collect();
        by_place
            .into_values()
            .map(|(username, user)| Person {
                username: username.clone(),
                user_type: user.kind.clone(),
                connections: user
                    .connections
                    .iter()
                    .filter_map(|conn| Some((*conn, self.connections.get(conn)?.clone())))
                    .collect(),
            })
            .collect()
    }

    /// How many there are.
    #[must_use]
    pub fn census(&self) -> Census {
        let mut versions = BTreeMap::new();
        for connection in self.connections.values() {
            *versions
                .entry(connection.identity.app_version.clone())
                .or_default() += 1;
        }
        Census {
            people: self.users.len(),
            versions,
        }
    }

    fn identify(&mut self, conn: ConnectionId, identity: Identity) -> Vec<Topic> {
        let mut changed = vec![Topic::Census];
        let case = match self.connections.get(&conn) {
            Some(known) if known.identity.username == identity.username => return changed,
            Some(known) => known.case.clone(),
            None => None,
        };
        self.forget_user_of(conn);
        self.remember_user(conn, &identity);
        changed.extend(case.clone().map(Topic::Viewers));
        self.connections.insert(conn, Connection { identity, case });
        changed
    }

    fn open(&mut self, conn: ConnectionId, case: CaseRef) -> Vec<Topic> {
        let mut changed = self.close(conn);
        if let Some(connection) = self.connections.get_mut(&conn) {
            connection.case = Some(case.clone());
            self.cases.entry(case.clone()).or_default().insert(conn);
            let opened = Topic::Viewers(case);
            if !changed.contains(&opened) {
                changed.push(opened);
            }
        }
        changed
    }

    fn close(&mut self, conn: ConnectionId) -> Vec<Topic> {
        let Some(connection) = self.connections.get_mut(&conn) else {
            return Vec::new();
        };
        let mut changed = vec![Topic::Census];
        if let Some(case) = connection.case.take() {
            if let Some(viewers) = self.cases.get_mut(&case) {
                viewers.remove(&conn);
                if viewers.is_empty() {
                    self.cases.remove(&case);
                }
            }
            changed.push(Topic::Viewers(case));
        }
        changed
    }

    fn disconnect(&mut self, conn: ConnectionId) -> Vec<Topic> {
        let changed = self.close(conn);
        self.forget_user_of(conn);
        self.connections.remove(&conn);
        changed
    }

    fn remember_user(&mut self, conn: ConnectionId, identity: &Identity) {
        let user = self
            .users
            .entry(identity.username.clone())
            .or_insert_with(|| User {
                place: self.next_place,
                kind: identity.user_type.clone(),
                connections: BTreeSet::new(),
            });
        user.connections.insert(conn);
        self.next_place = self.next_place.max(user.place + 1);
    }

    fn forget_user_of(&mut self, conn: ConnectionId) {
        let Some(connection) = self.connections.get(&conn) else {
            return;
        };
        let username = &connection.identity.username;
        if let Some(user) = self.users.get_mut(username) {
            user.connections.remove(&conn);
            if user.connections.is_empty() {
                self.users.remove(username);
            }
            if self.users.is_empty() {
                self.next_place = 0;
            }
        }
    }

    fn recipients(&self, audience: Audience) -> Recipients {
        match audience {
            Audience::Everyone => Recipients::Everyone,
            Audience::UserType(user_type) => Recipients::These(
                self.connections
                    .iter()
                    .filter(|(_, connection)| connection.identity.user_type == user_type)
                    .map(|(conn, _)| *conn)
                    .collect(),
            ),
            Audience::Chosen {
                users,
                mut connections,
            } => {
                let users = users.iter().filter_map(|name| self.users.get(name));
                connections.extend(users.flat_map(|user| &user.connections));
                Recipients::These(connections)
            }
        }
    }

    /// Puts a topic as it stands now into words; a case that nobody views has nobody to tell.
    fn announce(&self, topic: Topic) -> Option<Effect> {
        match topic {
            Topic::Viewers(case) => {
                let viewers = self.cases.get(&case)?;
                Some(Effect::Send {
                    to: Recipients::These(viewers.clone()),
                    message: Message::PeopleViewing(self.names(viewers)),
                })
            }
            Topic::Census => Some(Effect::Report(self.census())),
        }
    }

    /// The users behind some connections, each once, in order of identify.
    fn names(&self, connections: &BTreeSet<ConnectionId>) -> Vec<Username> {
        let by_place: BTreeMap<_, _> = connections
            .iter()
            .filter_map(|conn| {
                let username = &self.connections.get(conn)?.identity.username;
                Some((self.users.get(username)?.place, username))
            })
            .collect();
        by_place.into_values().cloned().collect()
    }
}
