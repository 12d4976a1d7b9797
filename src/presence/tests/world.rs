//! Tabs that do anything in any order, and a model that knows which tab is on which case.
//!
//! A tab behaves like the page of CHS: it emits `identify` on every connect, and `startViewingCase` only when a case is opened.
//! Some clients emit the events that were queued offline before `identify`, others after it. `truth` compares the lists that
//! tabs receive with the model.

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
    /// The daemon notices a cut.
    Notice,
    /// The tab connects again.
    Return,
    /// The daemon restarts.
    Restart,
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
    /// Whether it is offline since before the last restart.
    inherited: bool,
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
}

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
        prop_assert_eq!(world.stage.registry, Registry::new(rules(Duration::ZERO)));
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
        1 => Just(Act::Restart),
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
        }
    }

    fn pass(&mut self, seconds: u64) {
        let effects = self.stage.play(&format!("+{seconds}"));
        self.receive(&effects);
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
            Act::Restart => self.restart(),
            Act::Notify => self.notify(),
        }
    }

    fn show(&mut self, tab: usize, case: Option<&'static str>) {
        let now = self.stage.now;
        if self.has_twin_on(tab, case) {
            return;
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
            it.queue.extend(emitted);
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
        let (conn, case) = (it.conn.take(), it.case);
        let was_open = std::mem::replace(&mut it.open, false);
        if let Some(conn) = conn {
            self.apply(ended(conn, Ending::CleanClose));
        } else if let (true, Some(case)) = (was_open, case) {
            self.excuse(tab, case, self.stage.now + RESTART_GRACE);
        }
    }

    fn cut(&mut self, tab: usize) {
        self.notice(tab);
        let now = self.stage.now;
        let it = &mut self.tabs[tab];
        if let Some(conn) = it.conn.take() {
            it.place = it.case;
            it.unnoticed = Some((conn, now));
        }
    }

    fn notice(&mut self, tab: usize) {
        let now = self.stage.now;
        if let Some((conn, since)) = self.tabs[tab].unnoticed.take() {
            self.tabs[tab].kept_until = now + GRACE;
            let silence = now.saturating_sub(since);
            self.excuse_place(conn, now + GRACE);
            self.apply(ended(conn, Ending::Lost { silence }));
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
        if !in_time {
            // Its place has lapsed, so the page is loaded again.
            emitted = it.case.map(Emitted::Start).into_iter().collect();
        }
        let continues = in_time && emitted.is_empty();
        self.connect(tab, &emitted);
        if !continues {
            self.tabs[tab].lower_certainty(Certainty::InDoubt);
        }
    }

    fn connect(&mut self, tab: usize, emitted: &[Emitted]) {
        let conn = self.new_conn();
        let before = self.tabs[tab].clone();
        self.tabs[tab].conn = Some(conn);
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
        let page = page(before.case.unwrap_or_default());
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
        self.emit(tab, late);
    }

    /// The daemon cannot tell the places of one user on one case apart. This tab may have resumed the place of the other tab,
    /// which then has the place that is kept for a shorter time.
    fn may_swap_places(&mut self, tab: usize) {
        let shortest = self.stage.now + GRACE;
        let inherited = std::mem::take(&mut self.tabs[tab].inherited);
        for (at, it) in self.tabs.iter_mut().enumerate() {
            if at != tab && USERS[at] == USERS[tab] {
                it.inherited |= inherited;
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
    }

    fn restart(&mut self) {
        for tab in 0..self.tabs.len() {
            self.cut(tab);
        }
        let passed = self.stage.now;
        self.stage.play("$");
        for tab in &mut self.tabs {
            // All connections are lost now, also the dead ones.
            let fresh = tab.unnoticed.take().is_some() || !tab.inherited && tab.kept_until > passed;
            // A restart does not prolong the grace of places that were lost before.
            let left = tab.kept_until.saturating_sub(passed);
            tab.kept_until = if fresh { RESTART_GRACE } else { left };
            tab.inherited = true;
        }
        for until in self.excused.values_mut() {
            *until = if *until > passed {
                RESTART_GRACE
            } else {
                Moment::ZERO
            };
        }
        let places: Vec<_> = self.stage.registry.snapshot(Moment::ZERO).places;
        for place in places {
            self.excuse_place(place.conn, RESTART_GRACE);
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
    }

    fn new_conn(&mut self) -> ConnectionId {
        self.next_conn += 1;
        numbered(self.next_conn)
    }
}
