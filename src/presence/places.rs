//! All places, and the indexes over them.
//!
//! Lives here: storing and finding places. Not here: which place a new connection continues (`places::search`), and who is
//! told.
//! Invariants: the indexes agree with the places; a user has at least one place; without places this equals a new one.

mod search;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    mem,
};

use super::{
    AppVersion, CaseRef, ConnectionId, Rank, UserType, Username, WallTime,
    lost_places::LostPlaces,
    place::{Arrival, Loss, Place, Tab},
};

pub(super) use search::Predecessor;

/// Every place, by its connection, its user, its browser, its case and its deadline.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Places {
    all: HashMap<ConnectionId, Ranked>,
    users: HashMap<Username, User>,
    /// Places by the rank of their user and by browser. Any client may claim a user name, so the places of one browser must
    /// be found without looking at those of other browsers.
    tabs: BTreeSet<Tab>,
    cases: HashMap<CaseRef, Viewers>,
    lost: LostPlaces,
    /// The most places of one user in one browser that are searched for the place that a new connection continues.
    tabs_per_browser: usize,
    /// The number of places by version of the app. Counted as places come and go, because counting all of them is slow.
    versions: BTreeMap<AppVersion, usize>,
    next_rank: Rank,
}

/// The connections that view a case, each with the rank of its user.
pub(super) type Viewers = BTreeSet<(Rank, ConnectionId)>;

/// A place and the rank of its user, which is listed by it.
#[derive(Debug, PartialEq, Eq)]
struct Ranked {
    rank: Rank,
    /// Boxed, because up to half of what a table has room for is empty.
    place: Box<Place>,
}

#[derive(Debug, PartialEq, Eq)]
struct User {
    rank: Rank,
    /// The user type, as first identified.
    first_type: UserType,
    /// The number of places that the user has.
    places: usize,
}

impl Places {
    pub(super) fn new(tabs_per_browser: usize) -> Self {
        Self {
            all: HashMap::new(),
            users: HashMap::new(),
            tabs: BTreeSet::new(),
            cases: HashMap::new(),
            lost: LostPlaces::default(),
            tabs_per_browser,
            versions: BTreeMap::new(),
            next_rank: Rank::default(),
        }
    }

    /// Changes how many places of one user in one browser are searched.
    pub(super) fn reload(&mut self, tabs_per_browser: usize) {
        self.tabs_per_browser = tabs_per_browser;
    }

    pub(super) fn get(&self, conn: ConnectionId) -> Option<&Place> {
        self.all.get(&conn).map(|ranked| &*ranked.place)
    }

    /// The place of a connection that is there.
    pub(super) fn connected(&self, conn: ConnectionId) -> Option<&Place> {
        self.get(conn).filter(|place| place.is_connected())
    }

    /// All places, in no order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (ConnectionId, &Place)> {
        self.all
            .iter()
            .map(|(conn, ranked)| (*conn, &*ranked.place))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    pub(super) fn versions(&self) -> &BTreeMap<AppVersion, usize> {
        &self.versions
    }

    pub(super) fn user_count(&self) -> usize {
        self.users.len()
    }

    pub(super) fn next_rank(&self) -> Rank {
        self.next_rank
    }

    /// All places with the user types of their users, in the order in which the users identified.
    pub(super) fn by_user(&self) -> impl Iterator<Item = (&Tab, &Place, &UserType)> {
        self.by_user_from(&Tab::FIRST)
    }

    /// The places from `tab` on, in that order.
    pub(super) fn by_user_from(
        &self,
        tab: &Tab,
    ) -> impl Iterator<Item = (&Tab, &Place, &UserType)> {
        self.tabs.range(tab..).filter_map(|tab| {
            let place = self.get(tab.conn)?;
            let user = self.users.get(&place.facts.identity.username)?;
            Some((tab, place, &user.first_type))
        })
    }

    /// The users of `viewers`, each once, in order of identify.
    pub(super) fn names(&self, viewers: &Viewers) -> Vec<Username> {
        let mut last = None;
        let first_of_each = viewers
            .iter()
            .filter(|(rank, _)| last.replace(*rank) != Some(*rank));
        let places = first_of_each.filter_map(|(_, conn)| self.get(*conn));
        places
            .map(|place| place.facts.identity.username.clone())
            .collect()
    }

    pub(super) fn viewers(&self, case: &CaseRef) -> Option<&Viewers> {
        self.cases.get(case)
    }

    pub(super) fn lost(&self) -> &LostPlaces {
        &self.lost
    }

    /// The number of places that are connected.
    pub(super) fn connected_count(&self) -> usize {
        self.all.len().saturating_sub(self.lost.count())
    }

    /// Adds a place. If it is the first one of its user, `user_type` is remembered as first identified.
    pub(super) fn insert(&mut self, conn: ConnectionId, place: Place, user_type: UserType) {
        let facts = &place.facts;
        let rank = self.count_user(&facts.identity.username, user_type);
        self.tabs.insert(Tab {
            rank,
            browser: facts.browser.clone(),
            conn,
        });
        if let Some(case) = &facts.case {
            self.enter(conn, rank, case.clone());
        }
        if let Some(loss) = &place.loss {
            self.lost.insert(conn, facts.browser.address, loss.until);
        }
        let version = facts.identity.app_version.clone();
        *self.versions.entry(version).or_default() += 1;
        let place = Box::new(place);
        self.all.insert(conn, Ranked { rank, place });
    }

    pub(super) fn remove(&mut self, conn: ConnectionId) -> Option<Place> {
        let Ranked { rank, place } = self.all.remove(&conn)?;
        let place = *place;
        let facts = &place.facts;
        if let Some(case) = &facts.case {
            self.leave(conn, rank, case);
        }
        if let Some(loss) = &place.loss {
            self.lost.remove(conn, facts.browser.address, loss.until);
        }
        self.discount_version(&facts.identity.app_version);
        self.tabs.remove(&Tab {
            rank,
            browser: facts.browser.clone(),
            conn,
        });
        self.discount_user(&facts.identity.username);
        Some(place)
    }

    /// Puts a connection on another case, or on none, because its page says so.
    pub(super) fn set_case(&mut self, conn: ConnectionId, case: Option<CaseRef>, at: WallTime) {
        let Some(Ranked { rank, place }) = self.all.get_mut(&conn) else {
            return;
        };
        let rank = *rank;
        place.has_spoken = true;
        place.facts.opened_at = case.is_some().then_some(at);
        let left = mem::replace(&mut place.facts.case, case.clone());
        if let Some(left) = left {
            self.leave(conn, rank, &left);
        }
        if let Some(case) = case {
            self.enter(conn, rank, case);
        }
    }

    /// Marks a place as lost, or changes what is known about its loss.
    pub(super) fn lose(&mut self, conn: ConnectionId, loss: Loss) {
        if let Some(Ranked { place, .. }) = self.all.get_mut(&conn) {
            let address = place.facts.browser.address;
            match place.loss.replace(loss) {
                Some(known) => self.lost.postpone(conn, address, known.until, loss.until),
                None => self.lost.insert(conn, address, loss.until),
            }
        }
    }

    /// Gives a lost place to a new connection. Its user keeps the rank.
    pub(super) fn hand_over(
        &mut self,
        old: ConnectionId,
        new: ConnectionId,
        mut arrival: Arrival,
    ) -> Option<Place> {
        let place = self.get(old)?.clone();
        let user_type = place.facts.identity.user_type.clone();
        arrival.case.clone_from(&place.facts.case);
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
        self.insert(new, connected, user_type);
        self.remove(old)
    }

    /// Counts one more place of a user, and returns the user's rank.
    fn count_user(&mut self, name: &Username, user_type: UserType) -> Rank {
        let user = self.users.entry(name.clone()).or_insert_with(|| User {
            rank: self.next_rank,
            first_type: user_type,
            places: 0,
        });
        user.places += 1;
        self.next_rank = self.next_rank.max(user.rank.next());
        user.rank
    }

    fn discount_user(&mut self, name: &Username) {
        if let Some(user) = self.users.get_mut(name) {
            user.places -= 1;
            if user.places == 0 {
                self.users.remove(name);
            }
        }
        if self.users.is_empty() {
            self.next_rank = Rank::default();
        }
    }

    fn discount_version(&mut self, version: &AppVersion) {
        if let Some(places) = self.versions.get_mut(version) {
            *places -= 1;
            if *places == 0 {
                self.versions.remove(version);
            }
        }
    }

    fn enter(&mut self, conn: ConnectionId, rank: Rank, case: CaseRef) {
        self.cases.entry(case).or_default().insert((rank, conn));
    }

    fn leave(&mut self, conn: ConnectionId, rank: Rank, case: &CaseRef) {
        if let Some(viewers) = self.cases.get_mut(case) {
            viewers.remove(&(rank, conn));
            if viewers.is_empty() {
                self.cases.remove(case);
            }
        }
    }
}
