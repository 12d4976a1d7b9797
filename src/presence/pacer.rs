//! When to speak about something that keeps changing.
//!
//! Lives here: the merging of bursts. Not here: what is said.
//! Invariant: the first two changes after a quiet interval are spoken of at once, later ones at most once an interval, the
//! last one always.
//!
//! Two, because somebody who opens a case just after somebody else should not wait for what is meant for bursts, and because
//! a page that is loaded again leaves its case and is back at once: nobody shall miss it for longer than that takes.

use std::{
    collections::{BTreeMap, BTreeSet},
    iter,
    time::Duration,
};

use super::Moment;

/// Holds back topics that were spoken of less than an interval ago.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Pacer<Topic> {
    interval: Duration,
    /// Topics spoken of lately.
    held: BTreeMap<Topic, Held>,
    /// When each of them that has not changed since may be forgotten. Nobody has to be woken for that.
    quiet: BTreeSet<(Moment, Topic)>,
    /// When each of the others is to be spoken of.
    due: BTreeSet<(Moment, Topic)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Held {
    until: Moment,
    /// Whether it may be spoken of once more before then.
    is_spare: bool,
}

impl<Topic: Clone + Ord> Pacer<Topic> {
    pub(super) fn new(interval: Duration) -> Self {
        Self {
            interval,
            held: BTreeMap::new(),
            quiet: BTreeSet::new(),
            due: BTreeSet::new(),
        }
    }

    /// Waits for another interval from now on, but still as long as before for what it holds back already.
    pub(super) fn reload(&mut self, interval: Duration) {
        self.interval = interval;
    }

    /// Takes note of a change and says whether to speak of it now. What fell due before has been released.
    pub(super) fn changed(&mut self, topic: &Topic) -> bool {
        let Some(held) = self.held.get(topic) else {
            return true;
        };
        if !held.is_spare
            && let Some(quiet) = self.quiet.take(&(held.until, topic.clone()))
        {
            self.due.insert(quiet);
        }
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
            is_spare: !self.held.contains_key(&topic) && 2 * pause <= self.interval,
        };
        if let Some(before) = self.held.insert(topic.clone(), held) {
            self.quiet.remove(&(before.until, topic.clone()));
        }
        self.quiet.insert((held.until, topic));
    }

    /// Lets go of the topics whose interval is over and returns those to speak of now.
    pub(super) fn release(&mut self, now: Moment) -> Vec<Topic> {
        while let Some(topic) = pop(&mut self.quiet, now) {
            self.held.remove(&topic);
        }
        let due = iter::from_fn(|| pop(&mut self.due, now));
        due.collect()
    }

    /// When [`release`](Self::release) next has something to return.
    pub(super) fn next_due(&self) -> Option<Moment> {
        self.due.first().map(|(moment, _)| *moment)
    }
}

/// Takes out the first topic whose moment has come.
fn pop<Topic: Ord>(topics: &mut BTreeSet<(Moment, Topic)>, now: Moment) -> Option<Topic> {
    topics.first().filter(|(moment, _)| *moment <= now)?;
    topics.pop_first().map(|(_, topic)| topic)
}
