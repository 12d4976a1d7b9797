//! Which place a new connection continues.
//!
//! Lives here: finding a place by user, browser, page and case. Not here: changing any.

use super::super::{
    Browser, CaseRef, ConnectionId, Identity, Moment, PagePath, Username,
    place::{Place, Tab},
};
use super::Places;

/// The place that a new connection continues.
#[derive(Debug, PartialEq, Eq)]
pub(in super::super) enum Predecessor {
    /// A lost place, which the connection takes over.
    Lost(ConnectionId),
    /// A place that still looks connected, on this case. The same page cannot be told from a second tab on the case; either
    /// way, the case is on the screen.
    Connected(CaseRef),
}

impl Places {
    /// The place that a connection continues which has just identified.
    ///
    /// Its page decides, if it is known. Without a page, a lost place is taken over only if it is the only one.
    pub(in super::super) fn predecessor(
        &self,
        identity: &Identity,
        browser: &Browser,
        page: Option<&PagePath>,
    ) -> Option<Predecessor> {
        let own = || {
            self.of_browser(&identity.username, browser)
                .filter(|(_, place)| place.facts.identity == *identity)
        };
        let lost = |on_page: &dyn Fn(&Place) -> bool| {
            first_to_lapse(own().filter(|(_, place)| on_page(place))).map(Predecessor::Lost)
        };
        let Some(page) = page else {
            let mut lost = own().filter(|(_, place)| !place.is_connected());
            let (only, _) = lost.next()?;
            return lost.next().is_none().then_some(Predecessor::Lost(only));
        };
        let named = |place: &Place| {
            place
                .facts
                .case
                .as_ref()
                .is_some_and(|case| page.names(case))
        };
        let beside = || {
            let (_, place) = own().find(|(_, place)| named(place))?;
            place.facts.case.clone().map(Predecessor::Connected)
        };
        lost(&named)
            .or_else(beside)
            .or_else(|| lost(&|place| place.facts.case.is_none()))
    }

    /// The lost place on `case` of the same user and browser as a connection.
    pub(in super::super) fn lost_on(
        &self,
        conn: ConnectionId,
        case: &CaseRef,
    ) -> Option<ConnectionId> {
        let own = self.get(conn)?;
        let on_case = self
            .of_browser(&own.facts.identity.username, &own.facts.browser)
            .filter(|(_, place)| place.facts.identity == own.facts.identity)
            .filter(|(_, place)| place.facts.case.as_ref() == Some(case));
        first_to_lapse(on_case)
    }

    /// The connection that the page of a lost connection has opened since, because it noticed the loss before the daemon.
    pub(in super::super) fn successor(
        &self,
        conn: ConnectionId,
        last_heard: Moment,
    ) -> Option<(ConnectionId, &Place)> {
        let own = self.get(conn)?;
        self.of_browser(&own.facts.identity.username, &own.facts.browser)
            .filter(|(other, place)| *other != conn && place.is_connected())
            .filter(|(_, place)| place.facts.identity == own.facts.identity)
            .find(|(_, place)| {
                place.arrival.at > last_heard && place.arrival.case == own.facts.case
            })
    }

    /// Whether the user of a place has another place on the same case, or any other place if this one is on no case.
    pub(in super::super) fn has_twin(&self, conn: ConnectionId, place: &Place) -> bool {
        let user = self.users.get(&place.facts.identity.username);
        let Some((user, case)) = user.zip(place.facts.case.as_ref()) else {
            return user.is_some_and(|user| user.places > 1);
        };
        let own = (user.rank, ConnectionId::FIRST)..=(user.rank, ConnectionId::LAST);
        let viewers = self.cases.get(case);
        let mut own = viewers.into_iter().flat_map(|it| it.range(own.clone()));
        own.any(|(_, other)| *other != conn)
    }

    /// The places of a user in one browser: at most `tabs_per_browser`, so that no number of places makes an event slow.
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
}

/// The lost place that lapses first. The others are kept longer, in case they belong to other tabs.
fn first_to_lapse<'a>(
    places: impl Iterator<Item = (ConnectionId, &'a Place)>,
) -> Option<ConnectionId> {
    let lost = places.filter_map(|(conn, place)| Some((place.loss?.until, conn)));
    lost.min().map(|(_, conn)| conn)
}
