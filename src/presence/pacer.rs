//! When to announce a topic that keeps changing.
//!
//! Lives here: merging bursts of changes. Not here: the announcement.
//! Invariant: a topic is busy for as long as its announcements are work. Once it is busy for less than the slack, a change is
//! announced at once; until then changes wait and are announced together. The last change is always announced.
//!
//! So topics that are little work are always announced at once, and one that is much work takes no more than its share.

use std::{
    collections::{BTreeMap, BTreeSet},
    iter,
    time::Duration,
};

use super::Moment;

/// Work that takes less than the slack divided by this is none.
const NEGLIGIBLE: u32 = 100;

/// How long a change waits for others of its topic under a heavy load.
const GATHERING: Duration = Duration::from_millis(2);

/// How much is waiting to be done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Load {
    /// Little: what is done now is done soonest.
    #[default]
    Light,
    /// Much: what can be done together is done soonest.
    Heavy,
}

/// Holds back topics whose announcements are much work.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Pacer<Topic> {
    /// How long a topic may be busy and still be announced at once. Zero announces every change.
    slack: Duration,
    load: Load,
    /// Topics that are busy, or have changed and wait.
    held: BTreeMap<Topic, Held>,
    /// When each topic that does not wait may be forgotten. That alone is no reason to wake up.
    quiet: BTreeSet<(Moment, Topic)>,
    /// When each topic that waits is to be announced.
    due: BTreeSet<(Moment, Topic)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Held {
    busy_until: Moment,
    /// When to announce the topic, if it has changed.
    due: Option<Moment>,
}

impl<Topic: Clone + Ord> Pacer<Topic> {
    pub(super) fn new(slack: Duration) -> Self {
        Self {
            slack,
            load: Load::default(),
            held: BTreeMap::new(),
            quiet: BTreeSet::new(),
            due: BTreeSet::new(),
        }
    }

    /// Sets the slack. Topics that wait already do so for as long as before.
    pub(super) fn reload(&mut self, slack: Duration) {
        self.slack = slack;
    }

    /// Sets the load that changes are recorded under.
    pub(super) fn bear(&mut self, load: Load) {
        self.load = load;
    }

    pub(super) fn load(&self) -> Load {
        self.load
    }

    /// Records a change and returns whether to announce it now. [`release`](Self::release) must have been called for now.
    pub(super) fn changed(&mut self, topic: &Topic, now: Moment) -> bool {
        let busy_until = match self.held.get(topic) {
            Some(held) if held.due.is_some() => return false,
            Some(held) => held.busy_until,
            None => now,
        };
        let earliest = match self.load {
            Load::Heavy if !self.slack.is_zero() => now + GATHERING,
            Load::Heavy | Load::Light => now,
        };
        let due = busy_until.saturating_sub(self.slack).max(earliest);
        if due > now {
            let due = Some(due);
            self.hold(topic.clone(), Held { busy_until, due });
        }
        due <= now
    }

    /// Records that a topic was announced, which keeps it busy as long as it takes to do this `work`.
    pub(super) fn announced(&mut self, topic: Topic, now: Moment, work: Duration) {
        let before = self.held.get(&topic);
        let before = before.map_or(now, |held| held.busy_until.max(now));
        let counts = !self.slack.is_zero() && work >= self.slack / NEGLIGIBLE;
        let work = if counts { work } else { Duration::ZERO };
        let busy_until = before + work;
        if busy_until > now {
            let due = None;
            self.hold(topic, Held { busy_until, due });
        } else {
            self.forget(&topic);
        }
    }

    /// Forgets the topics that are not busy any more, and returns the topics to announce now.
    pub(super) fn release(&mut self, now: Moment) -> Vec<Topic> {
        while let Some(topic) = pop(&mut self.quiet, now) {
            self.held.remove(&topic);
        }
        let due: Vec<_> = iter::from_fn(|| pop(&mut self.due, now)).collect();
        for topic in &due {
            if let Some(held) = self.held.get_mut(topic) {
                held.due = None;
                self.quiet.insert((held.busy_until, topic.clone()));
            }
        }
        due
    }

    /// When [`release`](Self::release) next has something to return.
    pub(super) fn next_due(&self) -> Option<Moment> {
        self.due.first().map(|(moment, _)| *moment)
    }

    fn hold(&mut self, topic: Topic, held: Held) {
        self.forget(&topic);
        match held.due {
            Some(due) => self.due.insert((due, topic.clone())),
            None => self.quiet.insert((held.busy_until, topic.clone())),
        };
        self.held.insert(topic, held);
    }

    fn forget(&mut self, topic: &Topic) {
        if let Some(held) = self.held.remove(topic) {
            match held.due {
                Some(due) => self.due.remove(&(due, topic.clone())),
                None => self.quiet.remove(&(held.busy_until, topic.clone())),
            };
        }
    }
}

/// Removes and returns the first topic whose moment has come.
fn pop<Topic: Ord>(topics: &mut BTreeSet<(Moment, Topic)>, now: Moment) -> Option<Topic> {
    topics.first().filter(|(moment, _)| *moment <= now)?;
    topics.pop_first().map(|(_, topic)| topic)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SLACK: Duration = Duration::from_millis(50);

    #[test]
    fn a_busy_topic_waits_until_it_is_busy_for_less_than_the_slack() {
        let ms = Duration::from_millis;
        let mut pacer = Pacer::new(SLACK);
        assert!(pacer.changed(&'a', ms(0)));
        pacer.announced('a', ms(0), ms(40));
        assert!(pacer.changed(&'a', ms(0)), "busy for 40 ms");
        pacer.announced('a', ms(0), ms(40));
        assert!(!pacer.changed(&'a', ms(1)), "busy for 79 ms");
        assert!(!pacer.changed(&'a', ms(20)));
        assert!(pacer.changed(&'b', ms(20)), "another topic");
        assert_eq!(pacer.next_due(), Some(ms(30)));
        assert_eq!(pacer.release(ms(30)), ['a']);
        pacer.announced('a', ms(30), ms(40));
        assert_eq!(pacer.next_due(), None);
        assert!(pacer.release(ms(120)).is_empty());
        assert_eq!(pacer, Pacer::new(SLACK), "nothing is remembered");
    }

    #[test]
    fn work_of_less_than_a_hundredth_of_the_slack_is_none() {
        let mut pacer = Pacer::new(SLACK);
        pacer.announced('a', Moment::ZERO, SLACK / 101);
        assert_eq!(pacer, Pacer::new(SLACK));
        pacer.announced('a', Moment::ZERO, SLACK / 100);
        assert_ne!(pacer, Pacer::new(SLACK));
    }

    proptest! {
        /// Whatever changes when: the last change of a topic is announced, no later than one piece of work after it, and the work of a topic that is announced never exceeds the time by more than the slack and one piece.
        #[test]
        fn the_last_change_is_announced_and_work_is_bounded(
            steps in prop::collection::vec((0..30_u64, 0..3_u8, any::<bool>()), 1..80),
            work in 0..200_u64,
        ) {
            let ms = Duration::from_millis;
            let work = ms(work);
            let mut pacer = Pacer::new(SLACK);
            let mut now = Moment::ZERO;
            let mut unannounced = BTreeMap::new();
            let mut done = BTreeMap::<u8, Duration>::new();
            for (pause, topic, is_heavy) in steps {
                let until = now + ms(pause);
                now_and_due(&mut pacer, until, &mut |pacer, at, topic| {
                    let since: Moment = unannounced.remove(&topic).unwrap();
                    assert!(at <= since + work.max(GATHERING));
                    *done.entry(topic).or_default() += work;
                    assert!(done[&topic] <= at + SLACK + 2 * work);
                    pacer.announced(topic, at, work);
                });
                now = until;
                pacer.bear(if is_heavy { Load::Heavy } else { Load::Light });
                if pacer.changed(&topic, now) {
                    unannounced.remove(&topic);
                    *done.entry(topic).or_default() += work;
                    pacer.announced(topic, now, work);
                } else {
                    unannounced.entry(topic).or_insert(now);
                }
            }
            pacer.bear(Load::Light);
            let end = now + SLACK + 2 * work + GATHERING;
            now_and_due(&mut pacer, end, &mut |pacer, at, topic| {
                unannounced.remove(&topic);
                pacer.announced(topic, at, work);
            });
            prop_assert_eq!(unannounced.len(), 0);
            let _ = pacer.release(end + SLACK + 2 * work);
            prop_assert_eq!(pacer, Pacer::new(SLACK));
        }
    }

    /// Releases whatever falls due until `until`, each at its moment.
    fn now_and_due(
        pacer: &mut Pacer<u8>,
        until: Moment,
        announce: &mut impl FnMut(&mut Pacer<u8>, Moment, u8),
    ) {
        while let Some(due) = pacer.next_due().filter(|due| *due <= until) {
            for topic in pacer.release(due) {
                announce(pacer, due, topic);
            }
        }
        assert!(pacer.release(until).is_empty(), "released before");
    }
}
