//! Tabs that do anything in any order, and a model that knows which tab is on which case.
//!
//! A tab behaves like the page of CHS: it emits `identify` on every connect, and `startViewingCase` only when a case is opened.
//! Some clients emit the events that were queued offline before `identify`, others after it. A tab may also lurk: its address is
//! that of a case, but it shows something else and says nothing. `truth` compares the lists that tabs receive with the model.

mod truth;

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

/// The user of each tab. Tabs 0 and 3 belong to one user in one browser.
const USERS: [&str; 5] = ["adam", "eve", "joe", "adam", "zoe"];

/// Whether the client of each tab emits queued events before `identify`.
const EARLY: [bool; USERS.len()] = [true, true, false, false, true];

/// An act of a tab, of its network, of the daemon or of the back-end.
#[derive(Clone, Copy, Debug)]
enum Act {
    /// Opens the tab, or another page in it: the page of a case, or of no case.
    Show(Option<&'static str>),
    /// Closes the tab.
    Close,
    /// The connection is lost, and the daemon notices at once.
    Lose,
    /// The connection is lost, and the daemon notices later.
    Cut,
    /// The connection is lost, and the page notices later: what it says meanwhile goes into the void.
    Void,
    /// The tab sleeps for longer than heartbeat and grace.
    Sleep,
    /// Closes the tab, and opens a page at the address of a case that shows something else.
    Lurk(&'static str),
    /// The daemon notices a cut.
    Notice,
    /// The tab connects again.
    Return,
    /// The daemon restarts, in an orderly way or not.
    Restart(&'static str),
    /// Another daemon takes its place, which knows nothing.
    Replace,
    /// The back-end notifies all operators.
    Notify,
}

/// The model of one tab.
#[derive(Clone, Debug, Default)]
struct Tab {
    open: bool,
    case: Option<&'static str>,
    /// The case of its place, while it is offline.
    place: Option<&'static str>,
    /// The connection, in the view of the page.
    conn: Option<ConnectionId>,
    /// The time until which its place is kept, while it is offline.
    kept_until: Moment,
    /// Whether it is offline and does not know.
    void: bool,
    /// The time until which it may be missing, while it is connected: the daemon waits for its word.
    expected_by: Moment,
    /// The case that its address names, if it shows something else.
    lurks: Option<&'static str>,
    /// Whether the daemon has evidence for a return to that case.
    is_excused: bool,
    /// The events that the page has emitted while it is offline.
    queue: Vec<Emitted>,
    /// A dead connection whose loss the daemon has not noticed, and the time of the loss.
    unnoticed: Option<(ConnectionId, Moment)>,
    /// The last list that it received.
    list: Option<Vec<Username>>,
    /// The notifications that it received.
    received: Vec<u32>,
    /// The notifications that were posted while the tab was open.
    posted: Vec<u32>,
    certainty: Certainty,
}

/// How exactly the model knows the notifications that a tab must have received, from worst to best.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Certainty {
    /// The tab returned in a way in which it may have missed notifications.
    InDoubt,
    /// Each at least once: notifications over a dead connection are sent again.
    AtLeastOnce,
    /// Each exactly once and in order.
    #[default]
    ExactlyOnce,
}

/// An event that a page emits.
#[derive(Clone, Copy, Debug)]
enum Emitted {
    Start(&'static str),
    Stop(&'static str),
}

impl Emitted {
    fn by(self, conn: ConnectionId) -> Event {
        match self {
            Self::Start(case) => opened(conn, case),
            Self::Stop(case) => closed(conn, case),
        }
    }
}

struct World {
    stage: Stage,
    tabs: Vec<Tab>,
    next_conn: usize,
    notifications: u32,
    /// The time until which a user who has left may still be listed on a case.
    excused: BTreeMap<(&'static str, &'static str), Moment>,
    /// Users who were lost on a case and have not left it since, and until when that is remembered at least.
    unleft: BTreeMap<(&'static str, &'static str), Moment>,
    /// The same, and users who have left by another connection than the one that was lost.
    haunted: BTreeSet<(&'static str, &'static str)>,
    /// The time until which a dead place of each tab may be kept.
    dead_until: [Moment; USERS.len()],
    /// The time until which the daemon takes any page for a returning one, because it has restarted.
    restarted_until: Moment,
    /// Whether it knew nothing when it started.
    is_new: bool,
}

/// The time for which the daemon waits for the word of a page.
const WORD: Duration = Duration::from_millis(1500);

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn no_viewer_is_ever_missing_and_no_viewer_who_left_stays_listed(
        script in prop::collection::vec((0..USERS.len(), act(), 0u64..8), 0..80)
    ) {
        let mut world = World::new();
        for (tab, act, pause) in script {
            world.pass(pause);
            world.act(tab, act);
        }
        world.the_census_misses_nobody();
        world.settle();
        world.lists_match_the_model();
        world.everybody_leaves();
        let (rules, grace) = (rules(Duration::ZERO), world.restarted_until);
        let empty = Registry::restored(rules, Snapshot::default(), grace);
        prop_assert_eq!(world.stage.registry, empty);
    }
}

fn act() -> impl Strategy<Value = Act> {
    let case = prop::sample::select(vec![Some("X"), Some("X"), Some("Y"), None]);
    prop_oneof![
        5 => case.prop_map(Act::Show),
        1 => Just(Act::Close),
        3 => Just(Act::Lose),
        2 => Just(Act::Cut),
        2 => Just(Act::Notice),
        5 => Just(Act::Return),
        1 => Just(Act::Void),
        1 => Just(Act::Sleep),
        2 => prop::sample::select(vec!["X", "Y"]).prop_map(Act::Lurk),
        1 => prop::sample::select(vec!["$", "&"]).prop_map(Act::Restart),
        1 => Just(Act::Replace),
        2 => Just(Act::Notify),
    ]
}

impl Tab {
    fn lower_certainty(&mut self, to: Certainty) {
        self.certainty = self.certainty.min(to);
    }
}

impl World {
    fn new() -> Self {
        Self {
            stage: Stage::default(),
            tabs: vec![Tab::default(); USERS.len()],
            next_conn: 0,
            notifications: 0,
            excused: BTreeMap::new(),
            unleft: BTreeMap::new(),
            haunted: BTreeSet::new(),
            dead_until: [Moment::ZERO; USERS.len()],
            restarted_until: Moment::ZERO,
            is_new: false,
        }
    }

    fn pass(&mut self, seconds: u64) {
        let end = self.stage.now + Duration::from_secs(seconds);
        while self.stage.now < end {
            let effects = self.stage.pass_until_due(end);
            self.receive(&effects);
        }
    }

    fn act(&mut self, tab: usize, act: Act) {
        match act {
            Act::Show(case) => self.show(tab, case),
            Act::Close => self.close(tab),
            Act::Lose => {
                self.cut(tab);
                self.notice(tab);
            }
            Act::Cut => {
                self.cut(tab);
                self.tabs[tab].lower_certainty(Certainty::AtLeastOnce);
                self.pass(1);
            }
            Act::Notice => self.notice(tab),
            Act::Return => self.come_back(tab),
            Act::Void => {
                let is_connected = self.tabs[tab].conn.is_some();
                self.cut(tab);
                let it = &mut self.tabs[tab];
                it.lower_certainty(Certainty::InDoubt);
                it.void |= is_connected;
                self.pass(1);
            }
            Act::Sleep => self.sleep(tab),
            Act::Lurk(case) => self.lurk(tab, case),
            Act::Restart(how) => self.restart(how),
            Act::Replace => self.replace(),
            Act::Notify => self.notify(),
        }
    }

    fn show(&mut self, tab: usize, case: Option<&'static str>) {
        let now = self.stage.now;
        if self.has_twin_on(tab, case) {
            return;
        }
        if self.tabs[tab].lurks.is_some() {
            self.close(tab);
        }
        let it = &mut self.tabs[tab];
        if !it.open {
            // A place from before it was closed may be resumed for it.
            if it.unnoticed.is_some() || it.kept_until > Moment::ZERO {
                it.lower_certainty(Certainty::InDoubt);
            }
            *it = Tab {
                open: true,
                case,
                certainty: it.certainty,
                unnoticed: it.unnoticed.take(),
                ..Tab::default()
            };
            let start = case.map(Emitted::Start);
            return self.connect(tab, start.as_slice());
        }
        let left = std::mem::replace(&mut it.case, case);
        let stop = left.map(Emitted::Stop).into_iter();
        let emitted: Vec<_> = stop.chain(case.map(Emitted::Start)).collect();
        if it.conn.is_none() {
            let is_heard = !it.void;
            it.queue.extend(emitted.into_iter().filter(|_| is_heard));
        } else {
            self.emit(tab, &emitted);
        }
        // The daemon cannot know that the page has left its case while it is offline.
        if let (Some(case), None) = (left, self.tabs[tab].conn) {
            self.excuse(tab, case, now + RESTART_GRACE);
        }
    }

    /// Whether the other tab of this user is on `case` or has its place there, and one of the two is offline. The daemon cannot
    /// tell two such tabs apart.
    fn has_twin_on(&self, tab: usize, case: Option<&str>) -> bool {
        let is_offline = self.tabs[tab].conn.is_none();
        let mut others = self.tabs.iter().enumerate();
        others.any(|(at, it)| {
            let is_twin = at != tab && USERS[at] == USERS[tab] && it.open;
            let its_place = it.place.filter(|_| it.conn.is_none());
            let has_moved = it.conn.is_none() && it.place != it.case;
            is_twin && (it.case == case || its_place == case) && (is_offline || has_moved)
        })
    }

    fn close(&mut self, tab: usize) {
        let it = &mut self.tabs[tab];
        let (conn, case) = (it.conn.take(), it.case.or(it.lurks));
        let was_open = std::mem::replace(&mut it.open, false);
        if let Some(conn) = conn {
            self.apply(ended(conn, Ending::CleanClose));
            if let Some(case) = case {
                self.leave(tab, case);
            }
        } else if let (true, Some(case)) = (was_open, case) {
            self.excuse(tab, case, self.stage.now + RESTART_GRACE);
        }
        self.tabs[tab].lurks = None;
    }

    fn cut(&mut self, tab: usize) {
        self.notice(tab);
        let now = self.stage.now;
        let it = &mut self.tabs[tab];
        if let Some(conn) = it.conn.take() {
            let lurks = it.lurks.filter(|_| it.is_excused);
            it.place = it.case.filter(|_| now >= it.expected_by).or(lurks);
            it.unnoticed = Some((conn, now));
            if let Some(case) = it.place {
                self.unleft.insert((USERS[tab], case), now + MEMORY);
                self.haunted.insert((USERS[tab], case));
            }
        }
    }

    /// The daemon has heard that a tab left a case.
    fn leave(&mut self, tab: usize, case: &'static str) {
        self.unleft.remove(&(USERS[tab], case));
        let is_dead = self.tabs[tab].unnoticed.is_some() || self.dead_until[tab] > self.stage.now;
        if !is_dead {
            self.haunted.remove(&(USERS[tab], case));
        }
    }

    fn sleep(&mut self, tab: usize) {
        self.cut(tab);
        self.pass(70);
        self.notice(tab);
        self.pass(20);
    }

    /// The tabs of adam do not lurk: what one of them does is evidence for the other.
    fn lurk(&mut self, tab: usize, case: &'static str) {
        if USERS[tab] == "adam" {
            return;
        }
        self.close(tab);
        let it = &mut self.tabs[tab];
        it.lower_certainty(Certainty::InDoubt);
        *it = Tab {
            open: true,
            lurks: Some(case),
            certainty: it.certainty,
            unnoticed: it.unnoticed.take(),
            ..Tab::default()
        };
        self.connect(tab, &[]);
    }

    /// Whether the daemon has reason to take a lurking tab for one that has returned.
    fn has_evidence_against(&self, tab: usize, case: &'static str) -> bool {
        self.stage.now < self.restarted_until
            || self.haunted.contains(&(USERS[tab], case))
            || self.tabs[tab].unnoticed.is_some()
            || self.dead_until[tab] > self.stage.now
    }

    fn notice(&mut self, tab: usize) {
        let now = self.stage.now;
        if let Some((conn, since)) = self.tabs[tab].unnoticed.take() {
            self.tabs[tab].kept_until = now + GRACE;
            self.dead_until[tab] = now + GRACE;
            let silence = now.saturating_sub(since);
            self.excuse_place(conn, now + GRACE);
            self.apply(ended(conn, Ending::Lost { silence }));
            let it = &mut self.tabs[tab];
            if it.expected_by == Moment::MAX {
                it.expected_by = now + WORD;
            }
        }
    }

    fn come_back(&mut self, tab: usize) {
        let it = self.tabs[tab].clone();
        if !it.open || it.conn.is_some() {
            return;
        }
        let in_time = it.unnoticed.is_some() || self.stage.now < it.kept_until;
        if !in_time && self.has_twin_on(tab, it.case) {
            self.tabs[tab].open = false;
            return;
        }
        let mut emitted = std::mem::take(&mut self.tabs[tab].queue);
        if !in_time && USERS[tab] == "adam" {
            // What it says of its lapsed place would be taken as said of the place of the other tab, so it is loaded again.
            emitted = it
                .case
                .filter(|_| !emitted.is_empty())
                .map(Emitted::Start)
                .into_iter()
                .collect();
        }
        let expected = it.case.filter(|_| emitted.is_empty());
        let expected = expected.map(|case| self.expected_by(tab, case));
        if let (Some(None), Some(case)) = (expected, it.case) {
            // The daemon cannot know, so the page is loaded again.
            emitted = vec![Emitted::Start(case)];
        }
        self.tabs[tab].void = false;
        let continues = in_time && emitted.is_empty() && it.place == it.case;
        self.connect(tab, &emitted);
        self.tabs[tab].expected_by = expected.flatten().unwrap_or_default();
        if !continues {
            self.tabs[tab].lower_certainty(Certainty::InDoubt);
        }
    }

    /// The time by which a tab is on its case that returns now and says nothing, if the daemon has evidence for that.
    fn expected_by(&self, tab: usize, case: &'static str) -> Option<Moment> {
        let (it, now) = (&self.tabs[tab], self.stage.now);
        let is_known = it.unnoticed.is_some() || it.kept_until > now;
        let is_kept = it.kept_until > now + 2 * WORD;
        let lasts = |until: &Moment| *until > now + 2 * WORD;
        let mut others = self.tabs.iter().enumerate();
        // It may take over the place of the other tab, which is on no case.
        let swaps = others.any(|(at, it)| {
            at != tab && USERS[at] == USERS[tab] && it.conn.is_none() && it.place.is_none()
        });
        if it.place == Some(case) && is_known {
            Some(now)
        } else if self.unleft.get(&(USERS[tab], case)).is_some_and(lasts) {
            Some(now + WORD)
        } else if swaps || is_known && it.place.is_none() {
            // What its page said last, or kept from saying, is that it shows no case.
            None
        } else if self.is_new && now < self.restarted_until {
            Some(now + WORD)
        } else if it.place.is_some() && it.unnoticed.is_some() {
            Some(Moment::MAX)
        } else {
            (it.place.is_some() && is_kept).then_some(now + WORD)
        }
    }

    fn connect(&mut self, tab: usize, emitted: &[Emitted]) {
        let conn = self.new_conn();
        let before = self.tabs[tab].clone();
        if let Some(case) = before.lurks {
            self.tabs[tab].is_excused |= self.has_evidence_against(tab, case);
        }
        self.tabs[tab].conn = Some(conn);
        self.tabs[tab].expected_by = Moment::ZERO;
        self.may_swap_places(tab);
        let (early, late) = if EARLY[tab] {
            (emitted, &[][..])
        } else {
            (&[][..], emitted)
        };
        for event in early {
            let effects = self.stage.apply(event.by(conn));
            assert_eq!(effects, [], "{event:?} before identify has no effect");
        }
        let page = page(before.case.or(before.lurks).unwrap_or_default());
        let event = identified(conn, USERS[tab], USERS[tab], Some(page));
        let effects = self.stage.apply(event);
        if early.is_empty() {
            for effect in &effects {
                if let Effect::Send { to, .. } = effect {
                    let alone = Recipients::These(vec![conn]);
                    assert_eq!(*to, alone, "a connect sends nothing to others");
                }
            }
        }
        self.receive_before(&effects, late);
        self.said(tab, early);
        self.emit(tab, late);
    }

    /// The daemon has heard what a tab emitted.
    fn said(&mut self, tab: usize, emitted: &[Emitted]) {
        for event in emitted {
            if let Emitted::Stop(case) = event {
                self.leave(tab, case);
            }
        }
    }

    /// The daemon cannot tell the places of one user on one case apart. This tab may have resumed the place of the other tab,
    /// which then has the place that is kept for a shorter time.
    fn may_swap_places(&mut self, tab: usize) {
        let shortest = self.stage.now + GRACE;
        for (at, it) in self.tabs.iter_mut().enumerate() {
            if at != tab && USERS[at] == USERS[tab] {
                it.kept_until = it.kept_until.min(shortest);
            }
        }
    }

    fn emit(&mut self, tab: usize, emitted: &[Emitted]) {
        let Some(conn) = self.tabs[tab].conn else {
            return;
        };
        for (at, event) in emitted.iter().enumerate() {
            let effects = self.stage.apply(event.by(conn));
            self.receive_before(&effects, &emitted[at + 1..]);
        }
        self.said(tab, emitted);
    }

    fn restart(&mut self, how: &str) {
        for tab in 0..self.tabs.len() {
            self.cut(tab);
        }
        let passed = self.stage.now;
        self.stage.play(how);
        self.restarted_until = RESTART_GRACE;
        self.dead_until = [RESTART_GRACE; USERS.len()];
        self.is_new = false;
        for tab in &mut self.tabs {
            // All connections are lost now, also the dead ones. A restart does not prolong the grace of places that were lost
            // before.
            let is_fresh = tab.unnoticed.take().is_some();
            let left = tab.kept_until.saturating_sub(passed);
            tab.kept_until = if is_fresh { RESTART_GRACE } else { left };
        }
        for until in self.excused.values_mut().chain(self.unleft.values_mut()) {
            *until = until.saturating_sub(passed);
        }
        for place in self.stage.registry.snapshot(Moment::ZERO).places {
            self.excuse_place(place.conn, place.left.unwrap_or_default());
        }
    }

    fn replace(&mut self) {
        for tab in 0..self.tabs.len() {
            self.cut(tab);
        }
        self.stage.play("?");
        self.restarted_until = RESTART_GRACE;
        self.is_new = true;
        self.excused.clear();
        self.dead_until = [Moment::ZERO; USERS.len()];
        self.unleft.clear();
        self.haunted.clear();
        for tab in &mut self.tabs {
            tab.lower_certainty(Certainty::InDoubt);
            tab.unnoticed = None;
            tab.kept_until = Moment::ZERO;
        }
    }

    fn notify(&mut self) {
        self.notifications += 1;
        let number = self.notifications;
        for tab in self.tabs.iter_mut().filter(|tab| tab.open) {
            tab.posted.push(number);
        }
        let json = number.to_string();
        let posting = self.stage.post("operator", &json);
        self.receive(&effects_of(posting, &json));
    }

    fn apply(&mut self, event: Event) {
        let effects = self.stage.apply(event);
        self.receive(&effects);
    }

    /// Every offline tab returns or its place lapses, and every loss is noticed.
    fn settle(&mut self) {
        for tab in 0..self.tabs.len() {
            if self.tabs[tab].lurks.is_some() {
                self.close(tab);
            }
            self.come_back(tab);
            self.notice(tab);
        }
        self.pass(RESTART_GRACE.as_secs());
    }

    fn everybody_leaves(&mut self) {
        for tab in 0..self.tabs.len() {
            self.close(tab);
        }
        self.pass(RESTART_GRACE.as_secs());
        self.pass(MEMORY.as_secs());
    }

    fn new_conn(&mut self) -> ConnectionId {
        self.next_conn += 1;
        numbered(self.next_conn)
    }
}
