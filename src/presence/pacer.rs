//! When to speak about something that keeps changing.
//!
//! Lives here: the merging of bursts. Not here: what is said.
//! Invariant: the first change is spoken of at once, later ones at most once an interval, the last one always.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use super::Moment;

/// Holds back topics that were spoken of less than an interval ago.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Pacer<Topic> {
    interval: Duration,
    /// Topics spoken of lately, and whether they have changed since.
    held: BTreeMap<Topic, Change>,
    /// When each held topic may be spoken of again.
    due: BTreeSet<(Moment, Topic)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    None,
    Pending,
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
        let held = self.held.get_mut(topic);
        held.map(|change| *change = Change::Pending).is_none()
    }

    /// Takes note that a topic was spoken of. It is held back for an interval then, or for `pause` if that is longer:
    /// what takes long to say cannot be said as often.
    pub(super) fn spoken_of(&mut self, topic: Topic, now: Moment, pause: Duration) {
        let interval = match self.interval {
            Duration::ZERO => Duration::ZERO,
            interval => interval.max(pause),
        };
        self.held.insert(topic.clone(), Change::None);
        self.due.insert((now + interval, topic));
    }

    /// Lets go of the topics whose interval is over and returns those to speak of now.
    pub(super) fn release(&mut self, now: Moment) -> Vec<Topic> {
        let mut changed = Vec::new();
        while self.next_due().is_some_and(|moment| moment <= now)
            && let Some((_, topic)) = self.due.pop_first()
        {
            if self.held.remove(&topic) == Some(Change::Pending) {
                changed.push(topic);
            }
        }
        changed
    }

    /// When [`release`](Self::release) next has something to do.
    pub(super) fn next_due(&self) -> Option<Moment> {
        self.due.first().map(|(moment, _)| *moment)
    }
}
