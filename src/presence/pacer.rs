//! When to announce a topic that keeps changing.
//!
//! Lives here: merging bursts of changes. Not here: the announcement.
//! Invariant: the first two changes after a quiet interval are announced at once, later ones at most once per interval, and the
//! last one always.
//!
//! Two changes at once have two reasons. A user who opens a case just after another user should not wait. A page that is
//! reloaded leaves its case and opens it again at once, and should not be missing from the list for a whole interval.

use std::{
    collections::{BTreeMap, BTreeSet},
    iter,
    time::Duration,
};

use super::Moment;

/// Holds back topics that were announced less than an interval ago.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Pacer<Topic> {
    interval: Duration,
    /// Topics that were announced recently.
    held: BTreeMap<Topic, Held>,
    /// When each of these topics that has not changed since may be forgotten. That alone is no reason to wake up.
    quiet: BTreeSet<(Moment, Topic)>,
    /// When each topic that has changed since is to be announced.
    due: BTreeSet<(Moment, Topic)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Held {
    until: Moment,
    /// Whether the topic may be announced once more before then.
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

    /// Sets the interval. Topics that are held back already stay so for as long as before.
    pub(super) fn reload(&mut self, interval: Duration) {
        self.interval = interval;
    }

    /// Records a change and returns whether to announce it now. [`release`](Self::release) must have been called for now.
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

    /// Records that a topic was announced. It is held back for an interval, or for `pause` if that is longer: what takes long
    /// to send cannot be sent as often.
    pub(super) fn announced(&mut self, topic: Topic, now: Moment, pause: Duration) {
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

    /// Forgets the topics whose interval is over, and returns the topics to announce now.
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

/// Removes and returns the first topic whose moment has come.
fn pop<Topic: Ord>(topics: &mut BTreeSet<(Moment, Topic)>, now: Moment) -> Option<Topic> {
    topics.first().filter(|(moment, _)| *moment <= now)?;
    topics.pop_first().map(|(_, topic)| topic)
}
