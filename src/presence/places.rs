//! Who has which place.
//!
//! Lives here: places, the indexes over them, and which of them a new connection continues. Not here: who is told.
//! Invariants: the indexes agree with the places; a user has at least one place; without places this equals a new one.

use std::{
    collections::{BTreeMap, BTreeSet},
    mem,
    ops::Bound,
    time::Duration,
};

use super::{
    AppVersion, Browser, CaseRef, ConnectionId, Identity, Moment, Page, UserType, Username,
};

/// So many places of one user are looked at when one of them is continued.
const MOST_TABS: usize = 64;

/// Every place, by its connection, its user, its case and its deadline.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Places {
    all: BTreeMap<ConnectionId, Ranked>,
    users: BTreeMap<Username, User>,
    cases: BTreeMap<CaseRef, BTreeSet<ConnectionId>>,
    deadlines: BTreeSet<(Moment, ConnectionId)>,
    /// How many places run which version of the app. Counted here, because everybody would have to be asked otherwise.
    versions: BTreeMap<AppVersion, usize>,
    next_rank: u64,
}

/// A place and the rank of its user, which is listed by it.
#[derive(Debug, PartialEq, Eq)]
struct Ranked {
    rank: u64,
    /// Boxed, because a third of what a tree has room for is empty.
    place: Box<Place>,
}

/// Where a connection stands, or stood until it was lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) identity: Identity,
    pub(super) browser: Browser,
    pub(super) case: Option<CaseRef>,
    pub(super) arrival: Arrival,
    /// Whether its page has said anything of a case since it came.
    pub(super) has_spoken: bool,
    pub(super) loss: Option<Loss>,
}

/// How the connection of a place came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Arrival {
    pub(super) at: Moment,
    /// The first message that it was sent.
    pub(super) message: u64,
    /// The case that it was put on, going by its page.
    pub(super) case: Option<CaseRef>,
}

/// That the connection of a place was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Loss {
    pub(super) since: Moment,
    pub(super) until: Moment,
    /// The first message that may not have reached it.
    pub(super) unread_from: u64,
    /// How long nothing may have got through before that was noticed.
    pub(super) silence: Duration,
    pub(super) certainty: Certainty,
    /// Whether that was before this daemon began.
    pub(super) inherited: bool,
}

/// Whether a connection really was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Certainty {
    /// It was.
    Lost,
    /// If nothing happens to others at once, it was a goodbye.
    InDoubt,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct User {
    /// Position in the order of identify, which is the order in which viewers are listed.
    pub(super) rank: u64,
    pub(super) kind: UserType,
    /// In order. Nearly everybody has one, for which a set would take room for eleven.
    pub(super) connections: Vec<ConnectionId>,
}

/// What a new connection continues.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Predecessor {
    /// A lost place, which it takes over.
    Lost(ConnectionId),
    /// A place that still looks connected. The same page cannot be told from a second tab on this case, and either way
    /// the case is on the screen.
    Connected(CaseRef),
}

impl Place {
    pub(super) fn is_connected(&self) -> bool {
        self.loss.is_none()
    }

    fn belongs_to(&self, identity: &Identity, browser: &Browser) -> bool {
        self.identity == *identity && self.browser == *browser
    }
}

impl User {
    fn add(&mut self, conn: ConnectionId) {
        if let Err(position) = self.connections.binary_search(&conn) {
            self.connections.reserve_exact(1);
            self.connections.insert(position, conn);
        }
    }

    fn remove(&mut self, conn: ConnectionId) {
        if let Ok(position) = self.connections.binary_search(&conn) {
            self.connections.remove(position);
        }
    }
}

impl Places {
    pub(super) fn get(&self, conn: ConnectionId) -> Option<&Place> {
        self.all.get(&conn).map(|ranked| &*ranked.place)
    }

    /// The place of a connection that is there.
    pub(super) fn connected(&self, conn: ConnectionId) -> Option<&Place> {
        self.get(conn).filter(|place| place.is_connected())
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (ConnectionId, &Place)> {
        self.all
            .iter()
            .map(|(conn, ranked)| (*conn, &*ranked.place))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    pub(super) fn user(&self, name: &Username) -> Option<&User> {
        self.users.get(name)
    }

    pub(super) fn versions(&self) -> &BTreeMap<AppVersion, usize> {
        &self.versions
    }

    pub(super) fn user_count(&self) -> usize {
        self.users.len()
    }

    /// Everybody, in order of identify.
    pub(super) fn users(&self) -> impl Iterator<Item = (&Username, &User)> {
        let mut users: Vec<_> = self.users.iter().collect();
        users.sort_unstable_by_key(|(_, user)| user.rank);
        users.into_iter()
    }

    pub(super) fn next_rank(&self) -> u64 {
        self.next_rank
    }

    /// Users in order of their names, from the one after that on.
    pub(super) fn users_after(
        &self,
        name: Option<&Username>,
    ) -> impl Iterator<Item = (&Username, &User)> {
        let start = name.map_or(Bound::Unbounded, Bound::Excluded);
        self.users.range::<Username, _>((start, Bound::Unbounded))
    }

    /// The places of everybody, users in the order of [`users`](Self::users): as many in a row as one has.
    pub(super) fn by_user(&self) -> impl Iterator<Item = (ConnectionId, &Place)> {
        let mut places: Vec<_> = self.all.iter().collect();
        // Stable, so that those of one user stay in order.
        places.sort_by_key(|(_, ranked)| ranked.rank);
        let places = places.into_iter();
        places.map(|(conn, ranked)| (*conn, &*ranked.place))
    }

    /// The users behind some connections, each once, in order of identify.
    pub(super) fn names(&self, connections: &BTreeSet<ConnectionId>) -> Vec<Username> {
        let ranked = connections.iter().filter_map(|conn| self.all.get(conn));
        let mut ranked: Vec<_> = ranked.collect();
        ranked.sort_unstable_by_key(|ranked| ranked.rank);
        ranked.dedup_by_key(|ranked| ranked.rank);
        let names = ranked.into_iter();
        names
            .map(|ranked| ranked.place.identity.username.clone())
            .collect()
    }

    pub(super) fn viewers(&self, case: &CaseRef) -> Option<&BTreeSet<ConnectionId>> {
        self.cases.get(case)
    }

    pub(super) fn case_count(&self) -> usize {
        self.cases.len()
    }

    pub(super) fn lost_count(&self) -> usize {
        self.deadlines.len()
    }

    /// The lost place that ends first, and when.
    pub(super) fn first_deadline(&self) -> Option<(Moment, ConnectionId)> {
        self.deadlines.first().copied()
    }

    /// `kind` is what is remembered of the user, if this is the first place.
    pub(super) fn insert(&mut self, conn: ConnectionId, place: Place, kind: UserType) {
        let user = self
            .users
            .entry(place.identity.username.clone())
            .or_insert_with(|| User {
                rank: self.next_rank,
                kind,
                connections: Vec::new(),
            });
        user.add(conn);
        let rank = user.rank;
        self.next_rank = self.next_rank.max(rank + 1);
        if let Some(case) = &place.case {
            self.cases.entry(case.clone()).or_default().insert(conn);
        }
        if let Some(loss) = &place.loss {
            self.deadlines.insert((loss.until, conn));
        }
        let version = place.identity.app_version.clone();
        *self.versions.entry(version).or_default() += 1;
        let place = Box::new(place);
        self.all.insert(conn, Ranked { rank, place });
    }

    pub(super) fn remove(&mut self, conn: ConnectionId) -> Option<Place> {
        let Ranked { place, .. } = self.all.remove(&conn)?;
        if let Some(case) = &place.case {
            self.leave(conn, case);
        }
        if let Some(loss) = &place.loss {
            self.deadlines.remove(&(loss.until, conn));
        }
        self.discount(&place.identity.app_version);
        let username = &place.identity.username;
        if let Some(user) = self.users.get_mut(username) {
            user.remove(conn);
            if user.connections.is_empty() {
                self.users.remove(username);
            }
        }
        if self.users.is_empty() {
            self.next_rank = 0;
        }
        Some(*place)
    }

    /// Puts a connection on another case, or on none, because its page says so.
    pub(super) fn set_case(&mut self, conn: ConnectionId, case: Option<CaseRef>) {
        let Some(Ranked { place, .. }) = self.all.get_mut(&conn) else {
            return;
        };
        place.has_spoken = true;
        let left = mem::replace(&mut place.case, case.clone());
        if let Some(left) = left {
            self.leave(conn, &left);
        }
        if let Some(case) = case {
            self.cases.entry(case).or_default().insert(conn);
        }
    }

    /// Marks a place as lost, or changes what is known of that.
    pub(super) fn lose(&mut self, conn: ConnectionId, loss: Loss) {
        if let Some(Ranked { place, .. }) = self.all.get_mut(&conn) {
            if let Some(known) = place.loss.replace(loss) {
                self.deadlines.remove(&(known.until, conn));
            }
            self.deadlines.insert((loss.until, conn));
        }
    }

    /// Gives a lost place to a new connection. Its user stays in the same position.
    pub(super) fn hand_over(
        &mut self,
        old: ConnectionId,
        new: ConnectionId,
        mut arrival: Arrival,
    ) -> Option<Place> {
        let place = self.get(old)?.clone();
        let kind = place.identity.user_type.clone();
        arrival.case.clone_from(&place.case);
        if let Some(loss) = place.loss {
            arrival.message = loss.unread_from;
        }
        let connected = Place {
            arrival,
            has_spoken: false,
            loss: None,
            ..place
        };
        // In this order, so that the user is never without a place.
        self.insert(new, connected, kind);
        self.remove(old)
    }

    /// What a connection continues that has just said whose it is.
    ///
    /// A page that is known decides. Without one a lost place is taken only if there is no other to be mistaken for it.
    pub(super) fn predecessor(
        &self,
        identity: &Identity,
        browser: &Browser,
        page: Option<&Page>,
    ) -> Option<Predecessor> {
        let own = || {
            self.of_user(&identity.username)
                .filter(|(_, place)| place.belongs_to(identity, browser))
        };
        let lost = |on_page: &dyn Fn(&Place) -> bool| {
            first_to_lapse(own().filter(|(_, place)| on_page(place))).map(Predecessor::Lost)
        };
        let Some(page) = page else {
            let mut lost = own().filter(|(_, place)| !place.is_connected());
            let (only, _) = lost.next()?;
            return lost.next().is_none().then_some(Predecessor::Lost(only));
        };
        let named = |place: &Place| place.case.as_ref().is_some_and(|case| page.names(case));
        let beside = || {
            let (_, place) = own().find(|(_, place)| named(place))?;
            place.case.clone().map(Predecessor::Connected)
        };
        lost(&named)
            .or_else(beside)
            .or_else(|| lost(&|place| place.case.is_none()))
    }

    /// The lost place of the same page, going by what a connection says of its case.
    pub(super) fn lost_on(&self, conn: ConnectionId, case: &CaseRef) -> Option<ConnectionId> {
        let own = self.get(conn)?;
        let on_case = self
            .of_user(&own.identity.username)
            .filter(|(_, place)| place.belongs_to(&own.identity, &own.browser))
            .filter(|(_, place)| place.case.as_ref() == Some(case));
        first_to_lapse(on_case)
    }

    /// The connection that the page of a lost one has opened since, because it noticed the loss before we did.
    pub(super) fn successor(
        &self,
        conn: ConnectionId,
        last_heard: Moment,
    ) -> Option<(ConnectionId, &Place)> {
        let own = self.get(conn)?;
        self.of_user(&own.identity.username)
            .filter(|(other, place)| *other != conn && place.is_connected())
            .filter(|(_, place)| place.belongs_to(&own.identity, &own.browser))
            .find(|(_, place)| place.arrival.at > last_heard && place.arrival.case == own.case)
    }

    /// Whether the user of a place has another one on the same case.
    pub(super) fn has_twin(&self, conn: ConnectionId, place: &Place) -> bool {
        self.of_user(&place.identity.username)
            .any(|(other, it)| other != conn && it.case == place.case)
    }

    /// Of a user with more tabs than anybody has, not all are looked at: it must not cost more than others.
    fn of_user(&self, name: &Username) -> impl Iterator<Item = (ConnectionId, &Place)> {
        let connections = self.users.get(name).map(|user| &user.connections);
        connections
            .into_iter()
            .flatten()
            .take(MOST_TABS)
            .filter_map(|conn| Some((*conn, self.get(*conn)?)))
    }

    fn discount(&mut self, version: &AppVersion) {
        if let Some(places) = self.versions.get_mut(version) {
            *places -= 1;
            if *places == 0 {
                self.versions.remove(version);
            }
        }
    }

    fn leave(&mut self, conn: ConnectionId, case: &CaseRef) {
        if let Some(viewers) = self.cases.get_mut(case) {
            viewers.remove(&conn);
            if viewers.is_empty() {
                self.cases.remove(case);
            }
        }
    }
}

/// Which of some places, as far as they are lost. What is left then stays longest, should it be somebody else's.
fn first_to_lapse<'a>(
    places: impl Iterator<Item = (ConnectionId, &'a Place)>,
) -> Option<ConnectionId> {
    let lost = places.filter_map(|(conn, place)| Some((place.loss?.until, conn)));
    lost.min().map(|(_, conn)| conn)
}
