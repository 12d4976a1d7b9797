//! When to speak about something that keeps changing.
//!
//! Lives here: the merging of bursts. Not here: what is said.
//! Invariant: the first change is spoken of at once, later ones at most once an interval, the last one always.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use super::Moment;

/// Holds back topics that were spoken of less than an interval ago.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Pacer<Topic> {
    interval: Duration,
    /// Topics spoken of lately, and whether they have changed since.
    held: BTreeMap<Topic, Change>,
    /// When each held topic may be spoken of again. The interval is constant, so this is in order of time.
    due: VecDeque<(Moment, Topic)>,
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
            due: VecDeque::new(),
        }
    }

    /// Takes note of a change and says whether to speak of it now.
    pub(super) fn changed(&mut self, topic: &Topic, now: Moment) -> bool {
        if let Some(change) = self.held.get_mut(topic) {
            *change = Change::Pending;
            return false;
        }
        self.hold(topic.clone(), now);
        true
    }

    /// Lets go of the topics whose interval is over and returns those to speak of now.
    pub(super) fn release(&mut self, now: Moment) -> Vec<Topic> {
        let mut changed = Vec::new();
        while let Some((_, topic)) = self.due.pop_front_if(|(moment, _)| *moment <= now) {
            if self.held.remove(&topic) == Some(Change::Pending) {
                changed.push(topic);
            }
        }
        for topic in &changed {
            self.hold(topic.clone(), now);
        }
        changed
    }

    /// When [`release`](Self::release) next has something to do.
    pub(super) fn next_due(&self) -> Option<Moment> {
        self.due.front().map(|(moment, _)| *moment)
    }

    fn hold(&mut self, topic: Topic, now: Moment) {
        self.held.insert(topic.clone(), Change::None);
        self.due.push_back((now + self.interval, topic));
    }
}
