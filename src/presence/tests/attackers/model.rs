//! Users and attackers who do anything in any order: two registries get the same acts of users, and one gets those of
//! attackers too.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

/// An act of a user or of an attacker, or an end of their connection.
#[derive(Clone, Copy, Debug)]
enum Act {
    /// A tab connects, on the page of its last case or without a referrer.
    Connect {
        with_page: bool,
    },
    Open(&'static str),
    Stop,
    End(Ending),
    /// An attacker identifies with this name.
    Claim(&'static str),
    /// Sixty connections of an attacker identify with this name and are lost.
    LoseMany(&'static str),
    /// The back-end notifies all operators.
    Notify,
}

/// The tabs of users: two of adam, and one of eve at another address.
const OWNERS: [(&str, &str); 3] = [
    ("adam", "one|192.0.2.1"),
    ("adam", "one|192.0.2.1"),
    ("eve", "one|198.51.100.1"),
];

/// The browsers of attackers: two at adam's address, and two in another network.
const ATTACKERS: [&str; 4] = [
    "evil|192.0.2.1",
    "Evil|192.0.2.1",
    "one|203.0.113.1",
    "evil|203.0.113.2",
];

/// A tab of a user: its connection, and its last case.
#[derive(Clone, Copy, Default)]
struct Tab {
    conn: Option<ConnectionId>,
    case: Option<&'static str>,
}

/// A registry, and the latest list and all notifications of each connection.
struct Side {
    stage: Stage,
    lists: BTreeMap<ConnectionId, BTreeSet<Username>>,
    notifications: BTreeMap<ConnectionId, Vec<String>>,
}

/// The same users without and with attackers.
struct Both {
    alone: Side,
    attacked: Side,
    tabs: [Tab; OWNERS.len()],
    attackers: [Option<ConnectionId>; ATTACKERS.len()],
    next_conn: usize,
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn attackers_change_no_list_and_no_notification_of_users(
        script in prop::collection::vec((0..ATTACKERS.len(), act(), any::<bool>(), 0u64..4), 0..40)
    ) {
        let mut both = Both::new();
        for (who, act, is_attacker, pause) in script {
            both.pass(pause);
            if is_attacker {
                both.attackers_act(who, act);
            } else {
                both.owners_act(who % OWNERS.len(), act);
            }
            both.users_notice_nothing();
        }
        both.pass(20);
        both.users_notice_nothing();
    }
}

fn act() -> impl Strategy<Value = Act> {
    let case = prop::sample::select(vec!["X", "Y"]);
    let name = prop::sample::select(vec!["adam", "eve", "sid"]);
    prop_oneof![
        4 => any::<bool>().prop_map(|with_page| Act::Connect { with_page }),
        4 => case.prop_map(Act::Open),
        1 => Just(Act::Stop),
        1 => Just(Act::End(Ending::CleanClose)),
        2 => Just(Act::End(LOST)),
        2 => Just(Act::End(ABORTED)),
        4 => name.clone().prop_map(Act::Claim),
        1 => name.prop_map(Act::LoseMany),
        1 => Just(Act::Notify),
    ]
}

impl Both {
    fn new() -> Self {
        let mut both = Self {
            alone: Side::new(),
            attacked: Side::new(),
            tabs: [Tab::default(); OWNERS.len()],
            attackers: [None; ATTACKERS.len()],
            next_conn: 0,
        };
        both.abort_poll();
        both.pass(1);
        for at in 0..OWNERS.len() {
            both.owners_act(at, Act::Connect { with_page: true });
            both.owners_act(at, Act::Open("X"));
        }
        both
    }

    /// Lets time pass. One attacker aborts a poll each time.
    fn pass(&mut self, seconds: u64) {
        for side in [&mut self.alone, &mut self.attacked] {
            side.record(|stage| stage.play(&format!("+{seconds}")));
        }
        self.abort_poll();
    }

    fn abort_poll(&mut self) {
        let conn = self.identify_attacker("sid", ATTACKERS[2]);
        self.attacked.apply(ended(conn, ABORTED));
    }

    fn owners_act(&mut self, at: usize, act: Act) {
        let (user, browser_of) = OWNERS[at];
        let Tab { conn, case } = self.tabs[at];
        let event = match (act, conn) {
            (Act::Connect { with_page }, None) => {
                let conn = self.new_conn();
                self.tabs[at].conn = Some(conn);
                let page = with_page.then(|| page(case.unwrap_or_default()));
                Some(identified(conn, user, browser_of, page))
            }
            (Act::Open(case), Some(conn)) => {
                self.tabs[at].case = Some(case);
                Some(opened(conn, case))
            }
            (Act::Stop, Some(conn)) => {
                self.tabs[at].case = None;
                Some(closed(conn, "X"))
            }
            (Act::End(ending), Some(conn)) => {
                self.tabs[at].conn = None;
                Some(ended(conn, ending))
            }
            (Act::Notify, _) => {
                self.next_conn += 1;
                let step = format!("*{}", self.next_conn);
                for side in [&mut self.alone, &mut self.attacked] {
                    side.record(|stage| stage.play(&step));
                }
                None
            }
            _ => None,
        };
        if let Some(event) = event {
            self.alone.apply(event.clone());
            self.attacked.apply(event);
        }
    }

    fn attackers_act(&mut self, at: usize, act: Act) {
        let is_beside_adam = at < 2;
        match (act, self.attackers[at]) {
            (Act::Claim(name), Some(conn)) => self.identify(conn, name, ATTACKERS[at]),
            (Act::Claim(name), None) => {
                self.attackers[at] = Some(self.identify_attacker(name, ATTACKERS[at]));
            }
            (Act::Open(case), Some(conn)) => {
                self.attacked.apply(opened(conn, case));
            }
            (Act::Stop, Some(conn)) => {
                self.attacked.apply(closed(conn, "X"));
            }
            // At the same address they count as one office, where a loss is evidence of a cut.
            (Act::End(ending), Some(_)) if is_beside_adam && ending != Ending::CleanClose => {}
            (Act::End(ending), Some(conn)) => {
                self.attackers[at] = None;
                self.attacked.apply(ended(conn, ending));
            }
            (Act::LoseMany(name), _) => {
                for number in 0..60 {
                    // Each has a browser of its own, so none resumes the place of another.
                    let from = format!("{number} {}", ATTACKERS[2 + at % 2]);
                    let conn = self.identify_attacker(name, &from);
                    self.attacked.apply(opened(conn, "X"));
                    self.attacked.apply(ended(conn, LOST));
                }
            }
            _ => {}
        }
    }

    /// Asserts that users have the same notifications with attackers, and the same lists plus the names of attackers on the case.
    fn users_notice_nothing(&self) {
        let (alone, attacked) = (self.alone.cases(), self.attacked.cases());
        for conn in self.tabs.iter().filter_map(|tab| tab.conn) {
            assert_eq!(alone.get(&conn), attacked.get(&conn), "the case of {conn}");
            let notifications = |side: &Side| side.notifications.get(&conn).cloned();
            assert_eq!(
                notifications(&self.alone),
                notifications(&self.attacked),
                "the notifications of {conn}"
            );
            let Some((_, Some(case))) = alone.get(&conn) else {
                continue;
            };
            let is_attacker = |(conn, (_, on)): &(&ConnectionId, &(Username, Option<CaseRef>))| {
                !alone.contains_key(conn) && on.as_ref() == Some(case)
            };
            let attackers = attacked.iter().filter(is_attacker);
            let attackers = attackers.map(|(_, (name, _))| name.clone());
            let mut expected = self.alone.lists[&conn].clone();
            expected.extend(attackers);
            assert_eq!(
                self.attacked.lists[&conn], expected,
                "the list of {conn} on {case}"
            );
        }
    }

    fn identify_attacker(&mut self, name: &str, from: &str) -> ConnectionId {
        let conn = self.new_conn();
        self.identify(conn, name, from);
        conn
    }

    fn identify(&mut self, conn: ConnectionId, name: &str, from: &str) {
        self.attacked
            .apply(identified(conn, name, from, Some(page("X"))));
    }

    /// A new connection. Like random ids, ids are not in the order of creation.
    fn new_conn(&mut self) -> ConnectionId {
        self.next_conn += 1;
        let scattered = (self.next_conn as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        format!("{scattered:016x}").as_str().try_into().unwrap()
    }
}

impl Side {
    fn new() -> Self {
        let mut side = Self {
            stage: Stage::default(),
            lists: BTreeMap::new(),
            notifications: BTreeMap::new(),
        };
        // One connection stays, so the registry is never empty.
        side.apply(parse("w=joe"));
        side
    }

    fn apply(&mut self, event: Event) {
        self.record(|stage| stage.apply(event));
    }

    /// Records the lists and notifications that `happen` causes.
    fn record(&mut self, happen: impl FnOnce(&mut Stage) -> Vec<Effect>) {
        let effects = happen(&mut self.stage);
        for (to, message) in sends(&effects) {
            for conn in to {
                match message {
                    Message::PeopleViewing(names) => {
                        self.lists.insert(*conn, names.iter().cloned().collect());
                    }
                    Message::Notification(json) => {
                        let notifications = self.notifications.entry(*conn).or_default();
                        notifications.push(json.to_string());
                    }
                    Message::System(_) => {}
                }
            }
        }
    }

    /// The user and the case of each connection.
    fn cases(&self) -> BTreeMap<ConnectionId, (Username, Option<CaseRef>)> {
        let people = self.stage.people().into_iter();
        let connections = people.flat_map(|person| person.connections);
        connections
            .map(|(conn, it)| (conn, (it.identity.username, it.case)))
            .collect()
    }
}
