//! Labels of app versions.
//!
//! Lives here: which versions are counted by name, and which together as `other`. Not here: reporting (`statsd`, `openmetrics`).
//! Invariants: the counts of all labels add up to the number of connections; a label is forgotten only after it was reported as 0,
//! because StatsD keeps the last value; at most `bound` names are known.

use std::{cmp::Reverse, collections::BTreeMap};

use crate::presence::Census;

/// The label of all versions without a label of their own.
pub(super) const OTHER: &str = "other";

/// The known labels.
#[derive(Debug)]
pub(super) struct Labels {
    known: BTreeMap<String, Label>,
    bound: usize,
    /// The number of connections whose version has no label. `None` until there is such a version.
    other: Option<usize>,
    /// The number of reports so far.
    reports: u64,
}

#[derive(Debug, Default)]
struct Label {
    connections: usize,
    /// The number of the report that first said 0, if the label has not been used since.
    reported_empty: Option<u64>,
}

impl Labels {
    pub(super) fn new(bound: usize) -> Self {
        Self {
            known: BTreeMap::new(),
            bound,
            other: None,
            reports: 0,
        }
    }

    /// Counts connections by version. New versions get free labels first, then the labels that have been empty for longest. If
    /// there are not enough, versions with more connections come first. A label in use is kept.
    pub(super) fn count(&mut self, census: &Census) {
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        for (version, count) in &census.versions {
            *counts.entry(sanitised(version.as_str())).or_default() += count;
        }
        for (name, label) in &mut self.known {
            label.connections = counts.remove(name).unwrap_or_default();
            if label.connections > 0 {
                label.reported_empty = None;
            }
        }
        let other = counts.remove(OTHER);
        let mut new: Vec<_> = counts.into_iter().collect();
        new.sort_by_key(|(_, connections)| Reverse(*connections));
        let room = self.make_room(new.len());
        let rest = new.split_off(room.min(new.len()));
        for (name, connections) in new {
            let label = Label {
                connections,
                reported_empty: None,
            };
            self.known.insert(name, label);
        }
        let rest = rest.into_iter().map(|(_, connections)| connections);
        let other = rest.chain(other).reduce(|sum, count| sum + count);
        self.other = other.or(self.other.map(|_| 0));
    }

    /// Every label with its number of connections, also empty labels.
    pub(super) fn counts(&self) -> impl Iterator<Item = (&str, usize)> {
        let known = self.known.iter();
        let known = known.map(|(name, label)| (name.as_str(), label.connections));
        known.chain(self.other.map(|connections| (OTHER, connections)))
    }

    /// Records that [`counts`](Self::counts) were reported.
    pub(super) fn reported(&mut self) {
        self.reports += 1;
        let empty = self.known.values_mut().filter(|it| it.connections == 0);
        for label in empty {
            label.reported_empty.get_or_insert(self.reports);
        }
    }

    /// Forgets as many labels as are needed for `wanted` new ones, as far as they may be forgotten, and returns how many
    /// there is room for.
    fn make_room(&mut self, wanted: usize) -> usize {
        let free = self.bound.saturating_sub(self.known.len());
        let missing = wanted.saturating_sub(free);
        let empty = self.known.iter();
        let empty = empty.filter_map(|(name, label)| Some((label.reported_empty?, name.clone())));
        let mut empty: Vec<_> = if missing == 0 {
            Vec::new()
        } else {
            empty.collect()
        };
        empty.sort_unstable();
        empty.truncate(missing);
        for (_, name) in &empty {
            self.known.remove(name);
        }
        free + empty.len()
    }
}

/// Only characters that cannot end or forge a line of StatsD.
fn sanitised(version: &str) -> String {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    version
        .chars()
        .map(|c| if allowed(c) { c } else { '_' })
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_version_cannot_forge_a_line() {
        for (version, label) in [
            ("1.0:7|g", "1.0_7_g"),
            ("a b/c", "a_b_c"),
            ("é#@%", "____"),
            ("../x", ".._x"),
        ] {
            assert_eq!(sanitised(version), label, "{version}");
        }
    }

    #[test]
    fn versions_beyond_the_bound_are_counted_together_until_there_is_room() {
        let mut labels = Labels::new(2);
        assert_eq!(
            report(&mut labels, &[("1", 7), ("2", 6), ("3", 4), ("4", 5)]),
            "1:7 2:6 other:9"
        );
        assert_eq!(report(&mut labels, &[("3", 1)]), "1:0 2:0 other:1");
        assert_eq!(report(&mut labels, &[("3", 1)]), "2:0 3:1 other:0");
        assert_eq!(
            report(&mut labels, &[("2", 1), ("4", 1)]),
            "2:1 3:0 other:1"
        );
        assert_eq!(
            report(&mut labels, &[("2", 1), ("4", 1)]),
            "2:1 4:1 other:0"
        );
    }

    #[test]
    fn new_versions_with_most_connections_are_named_first() {
        let mut labels = Labels::new(3);
        assert_eq!(report(&mut labels, &[("old", 1)]), "old:1");
        let versions = [
            ("a", 1),
            ("b", 1),
            ("c", 1),
            ("old", 1),
            ("real", 500),
            ("true", 2),
        ];
        assert_eq!(
            report(&mut labels, &versions),
            "old:1 real:500 true:2 other:3"
        );
    }

    #[test]
    fn a_hundred_releases_are_each_named_in_turn() {
        let mut labels = Labels::new(100);
        for release in 0..1000 {
            let (old, new) = (release.to_string(), (release + 1).to_string());
            report(&mut labels, &[(&old, 1), (&new, 1)]);
            let counts = report(&mut labels, &[(&new, 2)]);
            assert!(
                counts.split(' ').any(|it| it == format!("{new}:2")),
                "{counts}"
            );
        }
        assert!(labels.known.len() <= 100);
    }

    #[test]
    fn a_zero_that_could_not_be_reported_is_reported_before_its_label_is_forgotten() {
        let mut labels = Labels::new(1);
        report(&mut labels, &[("1", 1)]);
        labels.count(&census(&[]));
        labels.count(&census(&[("2", 1)]));
        assert_eq!(counts(&labels), "1:0 other:1");
        labels.reported();
        assert_eq!(report(&mut labels, &[("2", 1)]), "2:1 other:0");
    }

    #[test]
    fn a_version_that_is_called_other_is_one_of_the_others() {
        let mut labels = Labels::new(2);
        assert_eq!(
            report(&mut labels, &[("1", 1), ("other", 2)]),
            "1:1 other:2"
        );
        assert_eq!(report(&mut labels, &[("1", 1)]), "1:1 other:0");
    }

    proptest! {
        /// StatsD keeps the last value of each name. After every report the sum of these values is right.
        #[test]
        fn the_last_values_of_all_labels_add_up_to_the_right_total(
            reports in prop::collection::vec(
                (prop::collection::btree_map(0..8u8, 1..9usize, 0..6), any::<bool>()), 0..30)
        ) {
            let mut labels = Labels::new(3);
            let mut held = BTreeMap::new();
            for (versions, arrives) in reports {
                let versions: Vec<_> = versions.iter().map(|(v, n)| (v.to_string(), *n)).collect();
                let versions: Vec<_> = versions.iter().map(|(v, n)| (v.as_str(), *n)).collect();
                labels.count(&census(&versions));
                prop_assert!(labels.known.len() <= 3);
                if arrives {
                    for (label, connections) in labels.counts() {
                        held.insert(label.to_owned(), connections);
                    }
                    labels.reported();
                    let all: usize = versions.iter().map(|(_, n)| n).sum();
                    prop_assert_eq!(held.values().sum::<usize>(), all);
                }
            }
        }
    }

    fn report(labels: &mut Labels, versions: &[(&str, usize)]) -> String {
        labels.count(&census(versions));
        labels.reported();
        counts(labels)
    }

    fn counts(labels: &Labels) -> String {
        let counts = labels.counts();
        let counts: Vec<_> = counts
            .map(|(name, count)| format!("{name}:{count}"))
            .collect();
        counts.join(" ")
    }

    fn census(versions: &[(&str, usize)]) -> Census {
        let versions = versions.iter();
        Census {
            people: 1,
            versions: versions
                .map(|(version, count)| ((*version).try_into().unwrap(), *count))
                .collect(),
        }
    }
}
