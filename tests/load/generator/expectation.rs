//! What every screen has to show, and how long it takes until it does.
//!
//! Lives here: the model of presence that what arrives is held against. Not here: sockets, pace.
//!
//! What is said of a case is numbered in the order in which it was said; a server may hear two of them the other way round.
//! So a list is as fresh as the last thing said of the stalest person in it: everything before that it shows, or what has
//! become of it since. A server that tells a burst by one list has thereby told all of it.

#![expect(
    clippy::indexing_slicing,
    reason = "cases and pages are as many as there were at first"
)]

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    mem,
    time::Duration,
};

use tokio::time::Instant;

/// A user's number; several pages may be one user's.
pub(crate) type User = u32;

/// Everything that was said, and how much of it has been seen.
pub(crate) struct Expectation {
    cases: Vec<Case>,
    views: Vec<Option<View>>,
    tally: Tally,
}

/// What was seen of it.
#[derive(Default)]
pub(crate) struct Tally {
    /// Times that somebody came to a case or left one.
    pub(crate) changes: u32,
    /// Lists that arrived.
    pub(crate) lists: u32,
    /// Lists that fit no moment of the case.
    pub(crate) wrong: u32,
    /// For each change and each page that had to see it, how long that took.
    pub(crate) delays: Vec<Duration>,
    /// What pages had still to see when they left.
    pub(crate) left_unseen: usize,
}

#[derive(Default)]
struct Case {
    /// How many pages of each user view it.
    viewers: BTreeMap<User, u32>,
    /// When each change was said.
    changes: Vec<Instant>,
    /// The number of the last change that was about somebody.
    latest: BTreeMap<User, usize>,
    /// Lists that came lately: most come once for every page.
    known: VecDeque<Known>,
}

struct Known {
    list: Vec<u8>,
    /// How many changes there had been when it was read.
    of: usize,
    freshness: Option<usize>,
}

/// How a page follows its case.
struct View {
    case: usize,
    /// The number of the change that it came with.
    first: usize,
    /// How many changes it has seen, or need not see because they were before it came.
    seen: usize,
    /// How many of them the last list shows that it was sent.
    shown: usize,
}

/// So many lists of one case are usually on their way at most.
const MOST_KNOWN: usize = 4;

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

    /// A page turns to a case, and away from the one that it shows.
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

    /// A page leaves the case that it shows, if any.
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

    /// A page has been sent a list, as JSON.
    pub(crate) fn shows(&mut self, page: usize, list: &[u8], now: Instant) {
        self.tally.lists += 1;
        // Without a case, the page has just left the one whose list it is.
        let Some(view) = &mut self.views[page] else {
            return;
        };
        let case = &mut self.cases[view.case];
        let Some(freshness) = case.freshness(list) else {
            // Before its first list, it may be the last one of the case that the page came from.
            self.tally.wrong += u32::from(view.seen > view.first);
            return;
        };
        let news = view.seen..freshness.max(view.seen);
        let delays = case.changes[news].iter().map(|said| now - *said);
        self.tally.delays.extend(delays);
        view.seen = view.seen.max(freshness);
        view.shown = freshness.max(view.first);
    }

    /// How many changes screens do not show as they are now.
    pub(crate) fn awaited(&self) -> usize {
        let unseen = |view: &View| self.cases[view.case].changes.len() - view.shown;
        self.views.iter().flatten().map(unseen).sum()
    }

    /// What was seen since this was last asked.
    pub(crate) fn tally(&mut self) -> Tally {
        mem::take(&mut self.tally)
    }
}

impl Case {
    fn changes(&mut self, user: User, now: Instant) {
        self.latest.insert(user, self.changes.len());
        self.changes.push(now);
    }

    /// How many of the changes, counted from the first, a list shows; none if it cannot be one of this case.
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
        self.known.truncate(MOST_KNOWN - 1);
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

/// The name of a user.
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

    /// Three pages of users 0, 1 and 2 on case 0 of two, each of which has seen all.
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
    fn a_list_shows_what_was_said_before_the_stalest_in_it() {
        let mut all = settled();
        all.closes(1, 1, Instant::now());
        all.opens(1, 1, 1, Instant::now());
        all.closes(2, 2, Instant::now());
        // The page that is alone on case 1, and the two changes that the one on case 0 has not seen.
        assert_eq!(all.awaited(), 1 + 2);
        all.shows(0, br#"["user0","user1","user2"]"#, Instant::now());
        assert_eq!(all.awaited(), 1 + 2, "nothing new");
        all.shows(0, br#"["user0","user1"]"#, Instant::now());
        assert_eq!(all.awaited(), 1 + 2, "the other way round");
        all.shows(0, br#"["user0","user2"]"#, Instant::now());
        assert_eq!(all.awaited(), 1 + 1);
        all.shows(0, br#"["user0"]"#, Instant::now());
        all.shows(1, br#"["user1"]"#, Instant::now());
        assert_eq!(all.awaited(), 0);
        let tally = all.tally();
        assert_eq!((tally.changes, tally.lists, tally.wrong), (3, 5, 0));
    }

    #[test]
    fn a_list_that_comes_after_a_later_one_is_not_the_last_word() {
        let mut all = settled();
        all.closes(2, 2, Instant::now());
        all.shows(0, br#"["user0","user1"]"#, Instant::now());
        all.shows(1, br#"["user0","user1"]"#, Instant::now());
        assert_eq!(all.awaited(), 0);
        all.shows(1, br#"["user0","user1","user2"]"#, Instant::now());
        assert_eq!(all.awaited(), 1);
    }

    #[test]
    fn what_a_page_had_not_seen_when_it_left_is_counted() {
        let mut all = settled();
        all.closes(2, 2, Instant::now());
        all.closes(1, 1, Instant::now());
        assert_eq!(all.tally().left_unseen, 1);
    }

    #[test]
    fn a_list_with_somebody_who_never_came_is_wrong() {
        let mut all = settled();
        for list in [r#"["user7"]"#, r#"["eve"]"#, "{}", ""] {
            all.shows(0, list.as_bytes(), Instant::now());
        }
        assert_eq!(all.tally().wrong, 4);
    }

    #[test]
    fn a_page_that_has_just_come_may_still_be_told_of_where_it_was() {
        let mut all = settled();
        all.opens(2, 2, 1, Instant::now());
        all.shows(2, br#"["user0","user1","user2"]"#, Instant::now());
        assert_eq!((all.awaited(), all.tally().wrong), (3, 0));
    }

    #[test]
    fn a_second_page_of_somebody_is_told_too() {
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
