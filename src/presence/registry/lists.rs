//! Putting the state of presence into words.
//!
//! Lives here: who is told about a topic, and what.

use std::{collections::BTreeSet, time::Duration};

use super::super::{ConnectionId, Effect, Message, Moment, Recipients};
use super::{Registry, Topic, to_one};

/// What the lists of one case may come to, in bytes a second. With thousands of viewers every list is tens of megabytes,
/// and those who view other cases must not wait for them.
const BYTES_PER_SECOND: u64 = 48 * 1024 * 1024;

impl Registry {
    /// Announces a topic as it stands now, and takes note that it was.
    pub(super) fn speak_of(&mut self, topic: Topic, now: Moment) -> Option<Effect> {
        let effect = self.announce(topic.clone());
        let pause = effect.as_ref().map(pause).unwrap_or_default();
        self.pacer.spoken_of(topic, now, pause);
        effect
    }

    /// Puts a topic as it stands now into words; a case that nobody views has nobody to tell.
    fn announce(&self, topic: Topic) -> Option<Effect> {
        match topic {
            Topic::Viewers(case) => {
                let viewers = self.places.viewers(&case)?;
                let connected = viewers.iter().map(|(_, conn)| *conn);
                let connected = connected.filter(|conn| self.places.connected(*conn).is_some());
                let to: BTreeSet<_> = connected.collect();
                (!to.is_empty()).then(|| Effect::Send {
                    to: Recipients::These(to),
                    message: Message::PeopleViewing(self.places.names(viewers)),
                })
            }
            Topic::Census => Some(Effect::Report(self.census())),
        }
    }

    /// The list of the case that a connection was put on when it came, for it alone; none if the page has said better.
    pub(super) fn first_list(&self, conn: ConnectionId) -> Option<Effect> {
        if self.early.has(conn) {
            return None;
        }
        let case = self.places.get(conn)?.case.as_ref()?;
        let names = self.places.names(self.places.viewers(case)?);
        Some(to_one(conn, Message::PeopleViewing(names)))
    }

    /// Whether another connection views the same case.
    pub(super) fn is_watched(&self, conn: ConnectionId) -> bool {
        let case = self.places.get(conn).and_then(|place| place.case.as_ref());
        let viewers = case.and_then(|case| self.places.viewers(case));
        let mut others = viewers
            .into_iter()
            .flatten()
            .filter(|(_, other)| *other != conn);
        others.any(|(_, other)| self.places.connected(*other).is_some())
    }
}

/// How long a list keeps the machine busy.
fn pause(effect: &Effect) -> Duration {
    let Effect::Send {
        to: Recipients::These(to),
        message: Message::PeopleViewing(names),
    } = effect
    else {
        return Duration::ZERO;
    };
    // Quotes and a comma beside each name.
    let list: usize = names.iter().map(|name| name.as_str().len() + 3).sum();
    let bytes = list.saturating_mul(to.len()) as u64;
    Duration::from_millis(bytes.saturating_mul(1000) / BYTES_PER_SECOND)
}
