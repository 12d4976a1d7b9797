//! Lists of viewers.
//!
//! Lives here: who is sent the list of a case, and when. Not here: what changes a list (`registry`).

use std::{collections::BTreeSet, time::Duration};

use super::super::{CaseRef, ConnectionId, Effect, Message, Moment, Recipients};
use super::{Registry, outcome::Outcome};

/// The most bytes a second that the lists of one case may take. With thousands of viewers each list takes tens of megabytes, and
/// viewers of other cases must not wait for them.
const BYTES_PER_SECOND: u64 = 42 * 1024 * 1024;

impl Registry {
    /// Returns the effects of `outcome`, and after them the list of each changed case, unless it is held back for later.
    pub(super) fn announce_changed(&mut self, outcome: Outcome, now: Moment) -> Vec<Effect> {
        let Outcome { mut effects, cases } = outcome;
        let mut done = BTreeSet::new();
        for case in cases {
            if done.insert(case.clone()) && self.pacer.changed(&case, now) {
                effects.extend(self.announce(case, now));
            }
        }
        effects
    }

    /// The list of a case as it is now, for its viewers; none if no viewer is connected.
    pub(super) fn announce(&mut self, case: CaseRef, now: Moment) -> Option<Effect> {
        let effect = self.list(&case);
        let work = effect.as_ref().map(work).unwrap_or_default();
        self.pacer.announced(case, now, work);
        effect
    }

    fn list(&self, case: &CaseRef) -> Option<Effect> {
        let viewers = self.places.viewers(case)?;
        let connected = viewers.iter().map(|(_, conn)| *conn);
        let connected = connected.filter(|conn| self.places.connected(*conn).is_some());
        let to: Vec<_> = connected.collect();
        (!to.is_empty()).then(|| Effect::Send {
            to: Recipients::These(to),
            message: Message::PeopleViewing(self.places.names(viewers)),
        })
    }

    /// Sends a connection the list of the case that it was put on when it arrived, unless its page named a case itself.
    pub(super) fn tell_first_list(&self, conn: ConnectionId, outcome: &mut Outcome) {
        let place = self.places.get(conn).filter(|_| !self.early.has(conn));
        let case = place.and_then(|place| place.facts.case.as_ref());
        if let Some(viewers) = case.and_then(|case| self.places.viewers(case)) {
            outcome.tell(conn, Message::PeopleViewing(self.places.names(viewers)));
        }
    }

    /// Whether another connection views the same case.
    pub(super) fn is_watched(&self, conn: ConnectionId) -> bool {
        let place = self.places.get(conn);
        let case = place.and_then(|place| place.facts.case.as_ref());
        let viewers = case.and_then(|case| self.places.viewers(case));
        let mut others = viewers
            .into_iter()
            .flatten()
            .filter(|(_, other)| *other != conn);
        others.any(|(_, other)| self.places.connected(*other).is_some())
    }
}

/// How long sending a list takes at [`BYTES_PER_SECOND`].
fn work(effect: &Effect) -> Duration {
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
    Duration::from_micros(bytes.saturating_mul(1_000_000) / BYTES_PER_SECOND)
}
