//! Reading the state of presence.
//!
//! Lives here: what others are shown, and what the next daemon is left. Not here: changing anything.

use super::super::{
    Census, ConnectionId, ConnectionView, LossView, Moment, PeopleCursor, PeoplePage, Person,
    SavedPlace, Snapshot,
    place::{Place, Tab},
};
use super::{Registry, Rules};

impl Registry {
    /// Whether a connection is lost and its place is kept.
    #[must_use]
    pub fn is_lost(&self, conn: ConnectionId) -> bool {
        let place = self.places.get(conn);
        place.is_some_and(|place| !place.is_connected())
    }

    /// A page of people in the order of identify, with `most` connections together. Everybody at once would take so long that
    /// events wait.
    ///
    /// Without a cursor it is the first page. People who identify after that are left out: otherwise a user who takes one name
    /// after the other would be met again and again.
    #[must_use]
    pub fn people(&self, from: Option<PeopleCursor>, most: usize, now: Moment) -> PeoplePage {
        let cursor = from.unwrap_or_else(|| PeopleCursor {
            from: Tab::FIRST,
            before: self.places.next_rank(),
        });
        let places = self.places.by_user_from(&cursor.from);
        let mut places = places.take_while(|(tab, _, _)| tab.rank < cursor.before);
        let mut people: Vec<Person> = Vec::new();
        for (tab, place, user_type) in places.by_ref().take(most) {
            let connection = (tab.conn, view(place, now));
            match people.last_mut() {
                Some(person) if person.rank == tab.rank => person.connections.push(connection),
                Some(_) | None => people.push(Person {
                    rank: tab.rank,
                    username: place.facts.identity.username.clone(),
                    user_type: user_type.clone(),
                    connections: vec![connection],
                }),
            }
        }
        let next = places.next().map(|(tab, _, _)| PeopleCursor {
            from: tab.clone(),
            ..cursor
        });
        PeoplePage { people, next }
    }

    /// The rules in force.
    #[must_use]
    pub fn rules(&self) -> Rules {
        self.rules
    }

    /// The numbers of users and connections.
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
        let places = places.map(|(tab, place, user_type)| SavedPlace {
            conn: tab.conn,
            facts: place.facts.clone(),
            first_user_type: user_type.clone(),
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
}

fn view(place: &Place, now: Moment) -> ConnectionView {
    ConnectionView {
        identity: place.facts.identity.clone(),
        case: place.facts.case.clone(),
        lost: place.loss.map(|loss| LossView {
            since: now.saturating_sub(loss.since),
            left: loss.until.saturating_sub(now),
        }),
    }
}
