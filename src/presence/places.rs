//! Who has which place.
//!
//! Lives here: places, the indexes over them, and which of them a new connection continues. Not here: who is told.
//! Invariants: the indexes agree with the places; a user has at least one place; without places this equals a new one.

use std::{
    collections::{BTreeMap, BTreeSet},
    mem,
    net::{IpAddr, Ipv4Addr},
    time::Duration,
};

use super::{
    AppVersion, Browser, CaseRef, ConnectionId, Identity, Moment, Page, UserType, Username,
    lost::LostPlaces,
};

/// Every place, by its connection, its user, its browser, its case and its deadline.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Places {
    all: BTreeMap<ConnectionId, Ranked>,
    users: BTreeMap<Username, User>,
    /// Places by the rank of their user and by browser. Anybody may claim a name, so the places of one browser must be
    /// found without looking at those of others.
    tabs: BTreeSet<Tab>,
    cases: BTreeMap<CaseRef, Viewers>,
    lost: LostPlaces,
    /// The most places of one user in one browser that are searched for the one that a new connection continues.
    tabs_per_browser: usize,
    /// How many places run which version of the app. Counted here, because everybody would have to be asked otherwise.
    versions: BTreeMap<AppVersion, usize>,
    next_rank: u64,
}

/// What places are sorted by: users in the order of identify, and then those of one browser side by side.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Tab {
    pub(super) rank: u64,
    pub(super) browser: Browser,
    pub(super) conn: ConnectionId,
}

impl Tab {
    /// Sorts before every other.
    pub(super) const FIRST: Self = Self {
        rank: 0,
        browser: Browser {
            address: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            agent: None,
        },
        conn: ConnectionId::FIRST,
    };
}

/// The connections that view a case, each with the rank of its user.
pub(super) type Viewers = BTreeSet<(u64, ConnectionId)>;

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
    /// How many places the user has.
    pub(super) places: usize,
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
}

impl Places {
    pub(super) fn new(tabs_per_browser: usize) -> Self {
        Self {
            all: BTreeMap::new(),
            users: BTreeMap::new(),
            tabs: BTreeSet::new(),
            cases: BTreeMap::new(),
            lost: LostPlaces::default(),
            tabs_per_browser,
            versions: BTreeMap::new(),
            next_rank: 0,
        }
    }

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

    pub(super) fn versions(&self) -> &BTreeMap<AppVersion, usize> {
        &self.versions
    }

    pub(super) fn user_count(&self) -> usize {
        self.users.len()
    }

    pub(super) fn next_rank(&self) -> u64 {
        self.next_rank
    }

    /// All places with the kind of their users, in the order in which the users identified.
    pub(super) fn by_user(&self) -> impl Iterator<Item = (&Tab, &Place, &UserType)> {
        self.by_user_from(&Tab::FIRST)
    }

    /// The same from a tab on.
    pub(super) fn by_user_from(
        &self,
        tab: &Tab,
    ) -> impl Iterator<Item = (&Tab, &Place, &UserType)> {
        self.tabs.range(tab..).filter_map(|tab| {
            let place = self.get(tab.conn)?;
            let user = self.users.get(&place.identity.username)?;
            Some((tab, place, &user.kind))
        })
    }

    /// The users behind some connections, each once, in order of identify.
    pub(super) fn names(&self, viewers: &Viewers) -> Vec<Username> {
        let mut last = None;
        let first_of_each = viewers
            .iter()
            .filter(|(rank, _)| last.replace(*rank) != Some(*rank));
        let places = first_of_each.filter_map(|(_, conn)| self.get(*conn));
        places
            .map(|place| place.identity.username.clone())
            .collect()
    }

    pub(super) fn viewers(&self, case: &CaseRef) -> Option<&Viewers> {
        self.cases.get(case)
    }

    pub(super) fn lost(&self) -> &LostPlaces {
        &self.lost
    }

    /// How many connections are there.
    pub(super) fn connected_count(&self) -> usize {
        self.all.len().saturating_sub(self.lost.count())
    }

    /// `kind` is what is remembered of the user, if this is the first place.
    pub(super) fn insert(&mut self, conn: ConnectionId, place: Place, kind: UserType) {
        let user = self
            .users
            .entry(place.identity.username.clone())
            .or_insert_with(|| User {
                rank: self.next_rank,
                kind,
                places: 0,
            });
        user.places += 1;
        let rank = user.rank;
        self.next_rank = self.next_rank.max(rank + 1);
        self.tabs.insert(Tab {
            rank,
            browser: place.browser.clone(),
            conn,
        });
        if let Some(case) = &place.case {
            self.enter(conn, rank, case.clone());
        }
        if let Some(loss) = &place.loss {
            self.lost.insert(conn, place.browser.address, loss.until);
        }
        let version = place.identity.app_version.clone();
        *self.versions.entry(version).or_default() += 1;
        let place = Box::new(place);
        self.all.insert(conn, Ranked { rank, place });
    }

    pub(super) fn remove(&mut self, conn: ConnectionId) -> Option<Place> {
        let Ranked { rank, place } = self.all.remove(&conn)?;
        let place = *place;
        if let Some(case) = &place.case {
            self.leave(conn, rank, case);
        }
        if let Some(loss) = &place.loss {
            self.lost.remove(conn, place.browser.address, loss.until);
        }
        self.discount(&place.identity.app_version);
        self.tabs.remove(&Tab {
            rank,
            browser: place.browser.clone(),
            conn,
        });
        let username = &place.identity.username;
        if let Some(user) = self.users.get_mut(username) {
            user.places -= 1;
            if user.places == 0 {
                self.users.remove(username);
            }
        }
        if self.users.is_empty() {
            self.next_rank = 0;
        }
        Some(place)
    }

    /// Puts a connection on another case, or on none, because its page says so.
    pub(super) fn set_case(&mut self, conn: ConnectionId, case: Option<CaseRef>) {
        let Some(Ranked { rank, place }) = self.all.get_mut(&conn) else {
            return;
        };
        let rank = *rank;
        place.has_spoken = true;
        let left = mem::replace(&mut place.case, case.clone());
        if let Some(left) = left {
            self.leave(conn, rank, &left);
        }
        if let Some(case) = case {
            self.enter(conn, rank, case);
        }
    }

    /// Marks a place as lost, or changes what is known of that.
    pub(super) fn lose(&mut self, conn: ConnectionId, loss: Loss) {
        if let Some(Ranked { place, .. }) = self.all.get_mut(&conn) {
            let address = place.browser.address;
            match place.loss.replace(loss) {
                Some(known) => self.lost.postpone(conn, address, known.until, loss.until),
                None => self.lost.insert(conn, address, loss.until),
            }
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
            self.of_browser(&identity.username, browser)
                .filter(|(_, place)| place.identity == *identity)
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
            .of_browser(&own.identity.username, &own.browser)
            .filter(|(_, place)| place.identity == own.identity)
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
        self.of_browser(&own.identity.username, &own.browser)
            .filter(|(other, place)| *other != conn && place.is_connected())
            .filter(|(_, place)| place.identity == own.identity)
            .find(|(_, place)| place.arrival.at > last_heard && place.arrival.case == own.case)
    }

    /// Whether the user of a place has another place on the same case; for a place without a case, any other place.
    pub(super) fn has_twin(&self, conn: ConnectionId, place: &Place) -> bool {
        let user = self.users.get(&place.identity.username);
        let Some((user, case)) = user.zip(place.case.as_ref()) else {
            return user.is_some_and(|user| user.places > 1);
        };
        let own = (user.rank, ConnectionId::FIRST)..=(user.rank, ConnectionId::LAST);
        let viewers = self.cases.get(case);
        let mut own = viewers.into_iter().flat_map(|it| it.range(own.clone()));
        own.any(|(_, other)| *other != conn)
    }

    /// The places of a user in one browser, at most `tabs_per_browser`, so that no number of them makes an event slow.
    fn of_browser(
        &self,
        name: &Username,
        browser: &Browser,
    ) -> impl Iterator<Item = (ConnectionId, &Place)> {
        let user = self.users.get(name);
        let tabs = user.into_iter().flat_map(|user| {
            let tab = |conn| Tab {
                rank: user.rank,
                browser: browser.clone(),
                conn,
            };
            self.tabs
                .range(tab(ConnectionId::FIRST)..=tab(ConnectionId::LAST))
        });
        tabs.take(self.tabs_per_browser)
            .filter_map(|tab| Some((tab.conn, self.get(tab.conn)?)))
    }

    fn discount(&mut self, version: &AppVersion) {
        if let Some(places) = self.versions.get_mut(version) {
            *places -= 1;
            if *places == 0 {
                self.versions.remove(version);
            }
        }
    }

    fn enter(&mut self, conn: ConnectionId, rank: u64, case: CaseRef) {
        self.cases.entry(case).or_default().insert((rank, conn));
    }

    fn leave(&mut self, conn: ConnectionId, rank: u64, case: &CaseRef) {
        if let Some(viewers) = self.cases.get_mut(case) {
            viewers.remove(&(rank, conn));
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
