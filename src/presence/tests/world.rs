//! A world of tabs in which everything happens in any order, watched by somebody who knows the truth.
//!
//! A tab of this world behaves like the page of CHS: it says `identify` on every connect, and `startViewingCase` only when
//! a case is opened. Some clients say what was queued while they were away before `identify`, others after it. What a tab is
//! shown is held against who is really there.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

/// Tabs 0 and 3 belong to one user in one browser.
const USERS: [&str; 5] = ["adam", "eve", "joe", "adam", "zoe"];

/// Whose client says what was queued before `identify`.
const EARLY: [bool; USERS.len()] = [true, true, false, false, true];

/// What somebody does, or what happens to them.
#[derive(Clone, Copy, Debug)]
enum Act {
    /// Opens the tab, or the page of a case in it; with no case, a page that is none's.
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
    /// The back-end notifies everybody.
    Notify,
}

/// One tab, and the truth about it.
#[derive(Clone, Debug, Default)]
struct Tab {
    open: bool,
    case: Option<&'static str>,
    /// The case of its place, if it is away.
    place: Option<&'static str>,
    /// The connection as the page sees it.
    conn: Option<ConnectionId>,
    /// Until when its place is kept, while it is away.
    kept_until: Moment,
    /// Whether it has been away since before the daemon began.
    inherited: bool,
    /// What the page has said since.
    queue: Vec<Said>,
    /// A connection that is dead, and the daemon does not know.
    unnoticed: Option<(ConnectionId, Moment)>,
    screen: Option<Vec<Username>>,
    heard: Vec<u32>,
    /// The notifications that it must have heard ...
    due: Vec<u32>,
    /// ... as exactly as this allows.
    hearing: Hearing,
}

/// How well it is known which notifications a tab must have heard, from worst to best.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Hearing {
    /// It came back in a way that leaves in doubt what it has missed.
    InDoubt,
    /// All that are due, and some again: what was said to a dead line is repeated, when that is noticed or later.
    AtLeastOnce,
    /// Those that are due, each once and in order.
    #[default]
    Once,
}

#[derive(Clone, Copy, Debug)]
enum Said {
    Start(&'static str),
    Stop(&'static str),
}

impl Said {
    fn by(self, conn: ConnectionId) -> Event {
        match self {
            Self::Start(case) => Event::CaseOpened {
                conn,
                case: case.try_into().unwrap(),
            },
            Self::Stop(case) => Event::CaseClosed {
                conn,
                case: case.try_into().unwrap(),
            },
        }
    }
}

struct World {
    stage: Stage,
    tabs: Vec<Tab>,
    next_conn: u32,
    notifications: u32,
    /// Until when a user who is gone may still be listed on a case.
    excused: BTreeMap<(&'static str, &'static str), Moment>,
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn nobody_who_is_there_is_ever_missing_and_nobody_who_is_gone_stays(
        script in prop::collection::vec((0..USERS.len(), act(), 0u64..8), 0..80)
    ) {
        let mut world = World::new();
        for (tab, act, pause) in script {
            world.pass(pause);
            world.act(tab, act);
        }
        world.the_census_misses_nobody();
        world.come_to_rest();
        world.screens_tell_the_truth();
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
    fn hears_at_worst(&mut self, hearing: Hearing) {
        self.hearing = self.hearing.min(hearing);
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
        self.hear(&effects);
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
                self.tabs[tab].hears_at_worst(Hearing::AtLeastOnce);
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
            // What lingers of its former life may be taken for it.
            if it.unnoticed.is_some() || it.kept_until > Moment::ZERO {
                it.hears_at_worst(Hearing::InDoubt);
            }
            *it = Tab {
                open: true,
                case,
                hearing: it.hearing,
                unnoticed: it.unnoticed.take(),
                ..Tab::default()
            };
            let said = case.map(Said::Start);
            let said: Vec<_> = said.into_iter().collect();
            return self.connect(tab, &said);
        }
        let left = std::mem::replace(&mut it.case, case);
        let said = left
            .map(Said::Stop)
            .into_iter()
            .chain(case.map(Said::Start));
        let said: Vec<_> = said.collect();
        if it.conn.is_none() {
            it.queue.extend(said);
        } else {
            self.say(tab, &said);
        }
        // Once the page has moved on while it is away, nothing tells that its place is not still wanted.
        if let (Some(case), None) = (left, self.tabs[tab].conn) {
            self.excuse(tab, case, now + RESTART_GRACE);
        }
    }

    /// A page that comes to the case of its twin while one of them is away, without having been there, may be taken for
    /// it: nothing tells them apart.
    fn has_twin_on(&self, tab: usize, case: Option<&str>) -> bool {
        let away = self.tabs[tab].conn.is_none();
        let mut others = self.tabs.iter().enumerate();
        others.any(|(at, it)| {
            let is_twin = at != tab && USERS[at] == USERS[tab] && it.open;
            let away_from = it.place.filter(|_| it.conn.is_none());
            let has_moved = it.conn.is_none() && it.place != it.case;
            is_twin && (it.case == case || away_from == case) && (away || has_moved)
        })
    }

    fn close(&mut self, tab: usize) {
        let it = &mut self.tabs[tab];
        let (conn, case) = (it.conn.take(), it.case);
        let was_open = std::mem::replace(&mut it.open, false);
        if let Some(conn) = conn {
            self.apply(Event::Ended {
                conn,
                ending: Ending::CleanClose,
            });
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
            self.apply(Event::Ended {
                conn,
                ending: Ending::Lost { silence },
            });
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
        let mut said = std::mem::take(&mut self.tabs[tab].queue);
        if !in_time {
            // Its place has lapsed, so it is loaded anew.
            said = it.case.map(Said::Start).into_iter().collect();
        }
        let continues = in_time && said.is_empty();
        self.connect(tab, &said);
        if !continues {
            self.tabs[tab].hears_at_worst(Hearing::InDoubt);
        }
    }

    fn connect(&mut self, tab: usize, said: &[Said]) {
        let conn = self.new_conn();
        let before = self.tabs[tab].clone();
        self.tabs[tab].conn = Some(conn);
        self.may_swap_places(tab);
        let (early, late) = if EARLY[tab] {
            (said, &[][..])
        } else {
            (&[][..], said)
        };
        for said in early {
            let effects = self.stage.registry.apply(said.by(conn), self.stage.now);
            assert_eq!(effects, [], "it is not known yet who says so");
        }
        let effects = self.stage.registry.apply(
            Event::Identified {
                conn,
                identity: identity(USERS[tab]),
                browser: browser(USERS[tab]),
                page: Some(page(before.case.unwrap_or_default())),
            },
            self.stage.now,
        );
        for effect in &effects {
            if let Effect::Send { to, .. } = effect {
                let alone = Recipients::These(BTreeSet::from([conn]));
                let connects_only = early.is_empty();
                assert!(
                    *to == alone || !connects_only,
                    "a connect is nobody else's business"
                );
            }
        }
        self.hear_before(&effects, late);
        self.say(tab, late);
    }

    /// Nothing tells the places of one user on one case apart, so this tab may have taken the place of its twin, and
    /// left it one that is kept for a shorter time.
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

    fn say(&mut self, tab: usize, said: &[Said]) {
        let Some(conn) = self.tabs[tab].conn else {
            return;
        };
        for (at, said_now) in said.iter().enumerate() {
            let effects = self.stage.registry.apply(said_now.by(conn), self.stage.now);
            self.hear_before(&effects, &said[at + 1..]);
        }
    }

    fn restart(&mut self) {
        for tab in 0..self.tabs.len() {
            self.cut(tab);
        }
        let passed = self.stage.now;
        self.stage.play("$");
        for tab in &mut self.tabs {
            // All connections are lost now, also those whose loss had not been noticed.
            let fresh = tab.unnoticed.take().is_some() || !tab.inherited && tab.kept_until > passed;
            // Who was waited for already is waited for no longer than before.
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
            tab.due.push(number);
        }
        let json = number.to_string();
        let posting = self.stage.post("operator", &json);
        self.hear(&effects_of(posting, &json));
    }

    fn apply(&mut self, event: Event) {
        let effects = self.stage.registry.apply(event, self.stage.now);
        self.hear(&effects);
    }

    fn hear(&mut self, effects: &[Effect]) {
        self.hear_before(effects, &[]);
    }

    /// Shows tabs what they are sent, and fails if a list is wrong. `unsaid` is what a page has yet to say, which the
    /// daemon cannot know.
    fn hear_before(&mut self, effects: &[Effect], unsaid: &[Said]) {
        for effect in effects {
            let Effect::Send {
                to: Recipients::These(to),
                message,
            } = effect
            else {
                continue;
            };
            for conn in to {
                let Some(tab) = self.tabs.iter().position(|tab| tab.conn == Some(*conn)) else {
                    continue;
                };
                match message {
                    Message::PeopleViewing(names) => {
                        self.check(*conn, names, unsaid);
                        self.tabs[tab].screen = Some(names.clone());
                    }
                    Message::Notification(number) => {
                        self.tabs[tab].heard.push(number.parse().unwrap());
                    }
                    Message::System(_) => {}
                }
            }
        }
    }

    fn check(&self, to: ConnectionId, names: &[Username], unsaid: &[Said]) {
        let people = self.stage.people();
        let connections = people.iter().flat_map(|person| &person.connections);
        let case = connections
            .filter(|(conn, _)| *conn == to)
            .find_map(|(_, connection)| connection.case.clone());
        let Some(case) = case else {
            return;
        };
        let case = case.as_str();
        for (tab, it) in self.tabs.iter().enumerate() {
            let user = USERS[tab];
            let listed = names.iter().any(|name| name.as_str() == user);
            let kept = it.unnoticed.is_some() || self.stage.now < it.kept_until;
            let there = it.open && it.case == Some(case) && it.queue.is_empty();
            if there && unsaid.is_empty() && (it.conn.is_some() || kept) {
                assert!(listed, "{user} is on {case} and missing from {names:?}");
            }
        }
        for name in names {
            let there = |(tab, it): (usize, &Tab)| {
                USERS[tab] == name.as_str()
                    && (it.open && it.case == Some(case) || it.unnoticed.is_some())
            };
            let excused = self.excused.iter().any(|((user, on), until)| {
                *user == name.as_str() && *on == case && *until > self.stage.now
            });
            assert!(
                self.tabs.iter().enumerate().any(there) || excused || !unsaid.is_empty(),
                "{name} is gone from {case} and still in {names:?}"
            );
        }
    }

    /// Everybody who is away comes back or lapses, and every loss is noticed.
    fn come_to_rest(&mut self) {
        for tab in 0..self.tabs.len() {
            self.come_back(tab);
            self.notice(tab);
        }
        self.pass(RESTART_GRACE.as_secs());
    }

    fn screens_tell_the_truth(&self) {
        for tab in self.tabs.iter().filter(|tab| tab.open) {
            let Some(case) = tab.case else {
                continue;
            };
            let on_case = |(at, other): (usize, &Tab)| {
                (other.open && other.case == Some(case)).then_some(USERS[at])
            };
            let truth: BTreeSet<_> = self.tabs.iter().enumerate().filter_map(on_case).collect();
            let screen = tab.screen.iter().flatten().map(Username::as_str);
            assert_eq!(screen.collect::<BTreeSet<_>>(), truth, "on {case}");
        }
        let steady = |(_, tab): &(usize, &Tab)| tab.open && tab.hearing > Hearing::InDoubt;
        for (at, tab) in self.tabs.iter().enumerate().filter(steady) {
            // Of two tabs of one user on one case nothing tells which is which.
            if USERS[at] != "adam" {
                let mut heard = tab.heard.clone();
                if tab.hearing == Hearing::AtLeastOnce {
                    heard.sort_unstable();
                    heard.dedup();
                }
                assert_eq!(heard, tab.due, "notifications of {}", USERS[at]);
            }
        }
    }

    fn the_census_misses_nobody(&self) {
        let people = self.stage.people();
        let census = self.stage.registry.census();
        assert_eq!(census.people, people.len());
        let mut versions = BTreeMap::new();
        for (_, connection) in people.iter().flat_map(|it| &it.connections) {
            let version = connection.identity.app_version.clone();
            *versions.entry(version).or_default() += 1;
        }
        assert_eq!(census.versions, versions);
    }

    fn everybody_leaves(&mut self) {
        for tab in 0..self.tabs.len() {
            self.close(tab);
        }
        self.pass(RESTART_GRACE.as_secs());
    }

    /// Whoever had this place may be listed until then.
    fn excuse_place(&mut self, conn: ConnectionId, until: Moment) {
        let people = self.stage.people();
        for person in people {
            let mut places = person.connections.iter();
            let place = places.find(|(id, _)| *id == conn);
            if let Some(case) = place.and_then(|(_, place)| place.case.as_ref()) {
                let user = USERS.iter().find(|user| **user == person.username.as_str());
                let case = ["X", "Y"].into_iter().find(|known| *known == case.as_str());
                let entry = self.excused.entry((user.unwrap(), case.unwrap()));
                let excused = entry.or_default();
                *excused = until.max(*excused);
            }
        }
    }

    fn excuse(&mut self, tab: usize, case: &'static str, until: Moment) {
        let excused = self.excused.entry((USERS[tab], case)).or_default();
        *excused = until.max(*excused);
    }

    fn new_conn(&mut self) -> ConnectionId {
        self.next_conn += 1;
        let id = format!("{:016}", self.next_conn);
        id.as_str().try_into().unwrap()
    }
}
