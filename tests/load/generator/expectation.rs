//! The lists that every page must receive, and the delays until it does.
//!
//! Lives here: a model of presence that received lists are compared with. Not here: sockets, rates.
//!
//! The changes of a case are numbered in the order of sending; the server may receive two of them in the other order.
//! A list is as fresh as the last change of the user whose entry is the oldest: it shows every change before that one, or a
//! later state. One list that a server sends for a burst of changes shows all of them.

#![expect(
    clippy::indexing_slicing,
    reason = "the numbers of cases and pages never change"
)]

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    mem,
    time::Duration,
};

use tokio::time::Instant;

/// Number of a user, who may have several pages.
pub(crate) type User = u32;

/// All changes, and the part of them that each page has seen.
pub(crate) struct Expectation {
    cases: Vec<Case>,
    views: Vec<Option<View>>,
    tally: Tally,
}

/// Counts of changes and lists.
#[derive(Default)]
pub(crate) struct Tally {
    /// Number of times that a page opened or left a case.
    pub(crate) changes: u32,
    /// Number of lists received.
    pub(crate) lists: u32,
    /// Number of lists that were not right for their case at any time.
    pub(crate) wrong: u32,
    /// For each change and each page that had to see it, the delay.
    pub(crate) delays: Vec<Duration>,
    /// Number of changes that pages had not seen when they left.
    pub(crate) left_unseen: usize,
}

#[derive(Default)]
struct Case {
    /// Number of pages of each user that view the case.
    viewers: BTreeMap<User, u32>,
    /// Time at which each change was sent.
    changes: Vec<Instant>,
    /// Number of the last change of each user.
    latest: BTreeMap<User, usize>,
    /// The last lists received. Most lists arrive once for every page.
    known: VecDeque<Known>,
}

struct Known {
    list: Vec<u8>,
    /// Number of changes at the time the list was compared.
    of: usize,
    freshness: Option<usize>,
}

/// The state of a page on its case.
struct View {
    case: usize,
    /// Number of the change by which the page opened the case.
    first: usize,
    /// Number of changes seen, including those before the page opened the case.
    seen: usize,
    /// Number of changes that the last list shows.
    shown: usize,
}

/// Largest number of different lists of one case that are usually in transit.
const MAX_KNOWN: usize = 4;

impl Expectation {
    pub(crate) fn new(cases: usize, pages: usize) -> Self {
        let mut expectation = Self {
            cases: Vec::new(),
            views: Vec::new(),
            tally: Tally::default(),
        };
        expectation.cases.resize_with(cases, Case::default);
        expectation.views.resize_with(pages, || None);
        expectation
    }

    /// A page leaves its case, if any, and opens another one.
    pub(crate) fn opens(&mut self, page: usize, user: User, case: u32, now: Instant) {
        self.closes(page, user, now);
        let case = case as usize;
        let opened = &mut self.cases[case];
        let first = opened.changes.len();
        *opened.viewers.entry(user).or_default() += 1;
        opened.changes(user, now);
        self.tally.changes += 1;
        self.views[page] = Some(View {
            case,
            first,
            seen: first,
            shown: first,
        });
    }

    /// A page leaves its case, if any.
    pub(crate) fn closes(&mut self, page: usize, user: User, now: Instant) {
        let Some(view) = self.views[page].take() else {
            return;
        };
        let left = &mut self.cases[view.case];
        self.tally.left_unseen += left.changes.len() - view.seen;
        if let Some(pages) = left.viewers.get_mut(&user) {
            *pages -= 1;
        }
        left.viewers.retain(|_, pages| *pages > 0);
        left.changes(user, now);
        self.tally.changes += 1;
    }

    /// A page has received a list, as JSON.
    pub(crate) fn shows(&mut self, page: usize, list: &[u8], now: Instant) {
        self.tally.lists += 1;
        // A page without a case has just left the case of this list.
        let Some(view) = &mut self.views[page] else {
            return;
        };
        let case = &mut self.cases[view.case];
        let Some(freshness) = case.freshness(list) else {
            // Before the first list of its case, a page may receive the last list of the case that it left.
            self.tally.wrong += u32::from(view.seen > view.first);
            return;
        };
        let news = view.seen..freshness.max(view.seen);
        let delays = case.changes[news].iter().map(|said| now - *said);
        self.tally.delays.extend(delays);
        view.seen = view.seen.max(freshness);
        view.shown = freshness.max(view.first);
    }

    /// Number of changes that the pages' last lists do not show.
    pub(crate) fn awaited(&self) -> usize {
        let unseen = |view: &View| self.cases[view.case].changes.len() - view.shown;
        self.views.iter().flatten().map(unseen).sum()
    }

    /// Counts since the last call.
    pub(crate) fn tally(&mut self) -> Tally {
        mem::take(&mut self.tally)
    }
}

impl Case {
    fn changes(&mut self, user: User, now: Instant) {
        self.latest.insert(user, self.changes.len());
        self.changes.push(now);
    }

    /// Number of changes that a list shows, counted from the first. `None` if the list does not fit the case.
    fn freshness(&mut self, list: &[u8]) -> Option<usize> {
        let of = self.changes.len();
        if let Some(known) = self
            .known
            .iter()
            .find(|known| known.of == of && known.list == list)
        {
            return known.freshness;
        }
        let freshness = self.read(list);
        self.known.truncate(MAX_KNOWN - 1);
        self.known.push_front(Known {
            list: list.to_vec(),
            of,
            freshness,
        });
        freshness
    }

    fn read(&self, list: &[u8]) -> Option<usize> {
        let names: Vec<&str> = serde_json::from_slice(list).ok()?;
        let shown: Option<BTreeSet<User>> = names.into_iter().map(number).collect();
        let (shown, present) = (shown?, self.viewers.keys().copied().collect());
        let mut freshness = self.changes.len();
        for user in shown.symmetric_difference(&present) {
            freshness = freshness.min(*self.latest.get(user)?);
        }
        Some(freshness)
    }
}

/// Name of a user.
pub(crate) fn name(user: User) -> String {
    format!("user{user}")
}

fn number(name: &str) -> Option<User> {
    name.strip_prefix("user")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGES: usize = 3;

    /// Three pages of users 0, 1 and 2 on case 0 of two. Each page has seen all changes.
    fn settled() -> Expectation {
        let mut expectation = Expectation::new(2, PAGES);
        for (page, user) in (0..PAGES).zip(0..) {
            expectation.opens(page, user, 0, Instant::now());
        }
        for page in 0..PAGES {
            expectation.shows(page, br#"["user0","user1","user2"]"#, Instant::now());
        }
        assert_eq!(expectation.awaited(), 0);
        // The first page had to see three changes, the last only its own.
        assert_eq!(expectation.tally().delays.len(), 3 + 2 + 1);
        expectation
    }

    #[test]
    fn a_list_shows_the_changes_before_its_oldest_entry() {
        let mut all = settled();
        all.closes(1, 1, Instant::now());
        all.opens(1, 1, 1, Instant::now());
        all.closes(2, 2, Instant::now());
        // The page that is alone on case 1, and the two changes that the one on case 0 has not seen.
        assert_eq!(all.awaited(), 1 + 2);
        all.shows(0, br#"["user0","user1","user2"]"#, Instant::now());
        assert_eq!(all.awaited(), 1 + 2, "nothing new");
        all.shows(0, br#"["user0","user1"]"#, Instant::now());
        assert_eq!(
            all.awaited(),
            1 + 2,
            "a later change, without the earlier one"
        );
        all.shows(0, br#"["user0","user2"]"#, Instant::now());
        assert_eq!(all.awaited(), 1 + 1);
        all.shows(0, br#"["user0"]"#, Instant::now());
        all.shows(1, br#"["user1"]"#, Instant::now());
        assert_eq!(all.awaited(), 0);
        let tally = all.tally();
        assert_eq!((tally.changes, tally.lists, tally.wrong), (3, 5, 0));
    }

    #[test]
    fn an_outdated_list_after_a_newer_one_is_not_the_last_state() {
        let mut all = settled();
        all.closes(2, 2, Instant::now());
        all.shows(0, br#"["user0","user1"]"#, Instant::now());
        all.shows(1, br#"["user0","user1"]"#, Instant::now());
        assert_eq!(all.awaited(), 0);
        all.shows(1, br#"["user0","user1","user2"]"#, Instant::now());
        assert_eq!(all.awaited(), 1);
    }

    #[test]
    fn changes_that_a_page_had_not_seen_when_it_left_are_counted() {
        let mut all = settled();
        all.closes(2, 2, Instant::now());
        all.closes(1, 1, Instant::now());
        assert_eq!(all.tally().left_unseen, 1);
    }

    #[test]
    fn a_list_with_a_user_who_never_opened_the_case_is_wrong() {
        let mut all = settled();
        for list in [r#"["user7"]"#, r#"["eve"]"#, "{}", ""] {
            all.shows(0, list.as_bytes(), Instant::now());
        }
        assert_eq!(all.tally().wrong, 4);
    }

    #[test]
    fn a_page_may_receive_the_last_list_of_the_case_that_it_left() {
        let mut all = settled();
        all.opens(2, 2, 1, Instant::now());
        all.shows(2, br#"["user0","user1","user2"]"#, Instant::now());
        assert_eq!((all.awaited(), all.tally().wrong), (3, 0));
    }

    #[test]
    fn a_second_page_of_a_user_receives_lists_too() {
        let mut all = settled();
        all.closes(1, 1, Instant::now());
        all.opens(1, 0, 0, Instant::now());
        all.shows(0, br#"["user0","user2"]"#, Instant::now());
        assert_eq!(all.awaited(), 1 + 2);
        all.closes(0, 0, Instant::now());
        all.shows(1, br#"["user0","user2"]"#, Instant::now());
        all.shows(2, br#"["user2","user0"]"#, Instant::now());
        assert_eq!(all.awaited(), 0);
    }
}
