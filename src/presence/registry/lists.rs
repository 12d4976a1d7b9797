//! Putting the state of presence into words.
//!
//! Lives here: who is told about a topic, and what.

use std::collections::{BTreeMap, BTreeSet};

use super::super::{ConnectionId, Effect, Message, Recipients, Username};
use super::{Registry, Topic, to_one};

impl Registry {
    /// Puts a topic as it stands now into words; a case that nobody views has nobody to tell.
    pub(super) fn announce(&self, topic: Topic) -> Option<Effect> {
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
    pub(super) fn list_for(&self, conn: ConnectionId) -> Option<Effect> {
        let case = self.places.get(conn)?.case.as_ref()?;
        let names = self.names(self.places.viewers(case)?);
        Some(to_one(conn, Message::PeopleViewing(names)))
    }

    /// Whether another connection views the same case.
    pub(super) fn is_watched(&self, conn: ConnectionId) -> bool {
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
