//! When to speak about something that keeps changing.
//!
//! Lives here: the merging of bursts. Not here: what is said.
//! Invariant: the first two changes are spoken of at once, later ones at most once an interval, the last one always.
//!
//! Two, because somebody who opens a case just after somebody else should not wait for what is meant for bursts, and because
//! a page that is loaded again leaves its case and is back at once: nobody shall miss it for longer than that takes.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use super::Moment;

/// Holds back topics that were spoken of less than an interval ago.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Pacer<Topic> {
    interval: Duration,
    /// Topics spoken of lately.
    held: BTreeMap<Topic, Held>,
    /// When each of them is let go of.
    due: BTreeSet<(Moment, Topic)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Held {
    until: Moment,
    /// Whether it may be spoken of once more before then.
    is_spare: bool,
    /// Whether it has changed since it was spoken of.
    is_pending: bool,
}

impl<Topic: Clone + Ord> Pacer<Topic> {
    pub(super) fn new(interval: Duration) -> Self {
        Self {
            interval,
            held: BTreeMap::new(),
            due: BTreeSet::new(),
        }
    }

    /// Takes note of a change and says whether to speak of it now.
    pub(super) fn changed(&mut self, topic: &Topic) -> bool {
        let Some(held) = self.held.get_mut(topic) else {
            return true;
        };
        held.is_pending = !held.is_spare;
        held.is_spare
    }

    /// Takes note that a topic was spoken of. It is held back for an interval then, or for `pause` if that is longer:
    /// what takes long to say cannot be said as often.
    pub(super) fn spoken_of(&mut self, topic: Topic, now: Moment, pause: Duration) {
        let interval = match self.interval {
            Duration::ZERO => Duration::ZERO,
            interval => interval.max(pause),
        };
        let held = Held {
            until: now + interval,
            is_spare: !self.held.contains_key(&topic) && pause <= self.interval,
            is_pending: false,
        };
        if let Some(before) = self.held.insert(topic.clone(), held) {
            self.due.remove(&(before.until, topic.clone()));
        }
        self.due.insert((held.until, topic));
    }

    /// Lets go of the topics whose interval is over and returns those to speak of now, which are held on to.
    pub(super) fn release(&mut self, now: Moment) -> Vec<Topic> {
        let mut changed = Vec::new();
        while self.next_due().is_some_and(|moment| moment <= now)
            && let Some((_, topic)) = self.due.pop_first()
        {
            if self.held.get(&topic).is_some_and(|held| held.is_pending) {
                changed.push(topic);
            } else {
                self.held.remove(&topic);
            }
        }
        changed
    }

    /// When [`release`](Self::release) next has something to do.
    pub(super) fn next_due(&self) -> Option<Moment> {
        self.due.first().map(|(moment, _)| *moment)
    }
}
