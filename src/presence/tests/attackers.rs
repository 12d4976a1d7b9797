//! Connections that claim the name of another user, or break off again and again, change nothing for honest users
//! except that the attacker's own connections are listed.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

/// A script, and what browsers are told at its last step.
#[rustfmt::skip]
const TOLD: &[(&str, &str, &str)] = &[
    ("a user who closes a tab is gone though an attacker breaks off after it", "a=adam b=eve a>X b>X s=sid/s|203.0.113.1 s% +1 t=sid/s|203.0.113.1 b% t% .", "a: adam"),
    ("or before it", "a=adam b=eve a>X b>X s=sid/s|203.0.113.1 s% +1 t=sid/s|203.0.113.1 t% b% .", "a: adam"),
    ("or loses its connection", "a=adam b=eve a>X b>X s=sid/s|203.0.113.1 s~ +1 t=sid/s|203.0.113.1 b% t~ .", "a: adam"),
    ("or takes another name each time", "a=adam b=eve a>X b>X s=sid/s|203.0.113.1 s% +1 t=tom/t|203.0.113.1 b% t% .", "a: adam"),
    ("or comes from another address of its network", "a=adam b=eve a>X b>X s=sid/s|203.0.113.1 s% +1 t=tom/t|203.0.113.2 b% t% .", "a: adam"),
    ("or from two of them at once", "a=adam b=eve a>X b>X s=sid/s|203.0.113.1 s% +1 t=sid/s|203.0.113.1 u=tom/s|203.0.113.2 b% t% u% .", "a: adam"),
    ("or has many names at once", "a=adam b=eve a>X b>X s=sid/s|203.0.113.1 s% +1 t=tom/s|203.0.113.1 u=una/s|203.0.113.1 t% u% b% .", "a: adam"),
    ("or from another /64 of its /48", "a=adam b=eve a>X b>X s=sid/s|2001:db8:0:1::1 s% +1 t=sid/s|2001:db8:0:2::1 b% t% .", "a: adam"),
    ("or from the user's own address", "a=adam b=eve a>X b>X s=sid/s s% +1 t=sid/s b% t% .", "a: adam"),
    ("or has broken off less than ten seconds ago", "a=adam b=eve a>X b>X s=sid/s|203.0.113.1 s% +9 t=sid/s|203.0.113.1 t% +9 u=sid/s|203.0.113.1 b% u% .", "a: adam"),
    ("a network that was quiet for ten seconds is evidence again", "a=adam b=eve a>X b>X s=sid/s|203.0.113.1 s% +10 t=sid/s|203.0.113.1 b% t% . +14", ""),
    ("a proxy that stops cuts off two browsers at different addresses", "a=adam b=eve c=joe/two|198.51.100.1 a>X b>X c>X b% c% . +14", ""),
    ("also while an attacker breaks off", "a=adam b=eve c=joe/two|198.51.100.1 a>X b>X c>X s=sid/s|203.0.113.1 s% +1 t=sid/s|203.0.113.1 b% t% c% . +14", ""),
    ("also while two others of an office have just closed their tabs", "a=adam b=eve c=joe d=zoe e=kim a>X b>X c>X d% e! +1 b% c% . +14", ""),
    ("a proxy that stops again while nobody else is connected cuts off everybody again", "b=eve c=joe/two|198.51.100.1 b>X c>X b% c% +1 d=eve e=joe/two|198.51.100.1 d% e% . +14 f=eve", "f: eve joe"),
];

#[test]
fn a_cut_is_told_from_an_attacker_that_breaks_off() {
    for (claim, script, expected) in TOLD {
        assert_eq!(lists(script), *expected, "{claim}: {script}");
    }
}

#[test]
fn a_hundred_connections_that_claim_a_name_take_nothing_from_its_owner() {
    for first in ["0", "z"] {
        let mut stage = Stage::default();
        for number in 0..100 {
            claim(&mut stage.registry, first, number, "203.0.113.1");
        }
        assert_eq!(spoken(&stage.play("a=adam")), "");
        assert_eq!(spoken(&stage.play("a>X")), "a: adam");
        stage.play("b=eve");
        assert_eq!(spoken(&stage.play("b>X")), "ab: adam eve");
        stage.play("a~");
        assert_eq!(spoken(&stage.play("c=adam@X")), "c: adam eve", "her place");
        assert_eq!(spoken(&stage.play("c!")), "b: eve", "and she can leave");
    }
}

#[test]
fn a_case_is_viewed_however_many_others_are() {
    let mut registry = Registry::new(rules(Duration::ZERO));
    for number in 0..200 {
        claim(&mut registry, "0", number, "203.0.113.1");
        let conn = attacker("0", number);
        let case = number.to_string().as_str().try_into().unwrap();
        let _ = registry.apply(Event::CaseOpened { conn, case }, Duration::ZERO);
    }
    let mut at_once = |event| spoken(&registry.apply(parse(event), Duration::ZERO));
    assert_eq!(at_once("a=eve"), "");
    assert_eq!(at_once("a>X"), "a: eve");
}

#[test]
fn the_network_and_address_with_most_lost_places_makes_room() {
    let most = 100;
    for (attackers, neighbour) in [
        ("203.0.113.1", "198.51.100.1"),
        ("203.0.113.1", "203.0.113.2"),
        ("2001:db8::1", "2001:db8:1::1"),
        ("2001:db8::1", "2001:db8:0:1::1"),
    ] {
        let mut registry = Registry::new(Rules {
            lost_places: most,
            ..rules(Duration::ZERO)
        });
        let neighbour = format!("a=adam/one|{neighbour}");
        for event in [&neighbour, "a>X", "b=eve", "b>X", "a~"] {
            let _ = registry.apply(parse(event), Duration::ZERO);
        }
        for number in 0..3 * most {
            claim(&mut registry, "0", number, attackers);
            let ending = LOST;
            let conn = attacker("0", number);
            let effects = registry.apply(Event::Ended { conn, ending }, Duration::from_secs(1));
            assert_eq!(spoken(&effects), "", "of {attackers}");
        }
        let lost = (0..3 * most).map(|number| attacker("0", number));
        let lost: Vec<_> = lost.map(|conn| registry.is_lost(conn)).collect();
        assert_eq!(lost.iter().filter(|is_lost| **is_lost).count(), most - 1);
        assert!(lost.ends_with(&[true; 99]), "the first to lapse go first");
        let back = neighbour.replace("a=", "c=");
        let effects = registry.apply(parse(&back), Duration::from_secs(14));
        assert_eq!(spoken(&effects), "c: adam eve");
    }
}

/// What somebody does, or what happens to them.
#[derive(Clone, Copy, Debug)]
enum Act {
    /// A tab connects, on the page of its last case or on one that tells nothing.
    Connect {
        with_page: bool,
    },
    Open(&'static str),
    Stop,
    End(Ending),
    /// An attacker claims a name.
    Claim(&'static str),
    /// Sixty connections of an attacker claim a name and are lost.
    LoseMany(&'static str),
    /// The back-end notifies all operators.
    Notify,
}

const LOST: Ending = Ending::Lost {
    silence: Duration::ZERO,
};

/// Two tabs of adam's, and one of eve's, whose address is elsewhere.
const OWNERS: [(&str, &str); 3] = [
    ("adam", "one|192.0.2.1"),
    ("adam", "one|192.0.2.1"),
    ("eve", "one|198.51.100.1"),
];

/// Two attackers at adam's address, and two in a network of their own.
const ATTACKERS: [&str; 4] = [
    "evil|192.0.2.1",
    "Evil|192.0.2.1",
    "one|203.0.113.1",
    "evil|203.0.113.2",
];

/// What is known of a user's tab: its connection, and its last case.
#[derive(Clone, Copy, Default)]
struct Tab {
    conn: Option<ConnectionId>,
    case: Option<&'static str>,
}

/// A registry, and what each connection has been told.
struct Side {
    stage: Stage,
    screens: BTreeMap<ConnectionId, BTreeSet<Username>>,
    heard: BTreeMap<ConnectionId, Vec<String>>,
}

/// The same users with attackers and without.
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
    fn users_are_told_the_same_whatever_attackers_do_in_their_names(
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
            both.owners_notice_nothing();
        }
        both.pass(20);
        both.owners_notice_nothing();
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
        2 => Just(Act::End(Ending::PollAborted)),
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
        both.break_off();
        both.pass(1);
        for at in 0..OWNERS.len() {
            both.owners_act(at, Act::Connect { with_page: true });
            both.owners_act(at, Act::Open("X"));
        }
        both
    }

    /// Lets time pass, and lets an attacker break off who has done so all the time.
    fn pass(&mut self, seconds: u64) {
        for side in [&mut self.alone, &mut self.attacked] {
            side.hear(|stage| stage.play(&format!("+{seconds}")));
        }
        self.break_off();
    }

    fn break_off(&mut self) {
        let conn = self.identify_attacker("sid", ATTACKERS[2]);
        let ending = Ending::PollAborted;
        self.attacked.apply(Event::Ended { conn, ending });
    }

    fn owners_act(&mut self, at: usize, act: Act) {
        let (user, browser_of) = OWNERS[at];
        let Tab { conn, case } = self.tabs[at];
        let event = match (act, conn) {
            (Act::Connect { with_page }, None) => {
                let conn = self.new_conn();
                self.tabs[at].conn = Some(conn);
                Some(Event::Identified {
                    conn,
                    identity: identity(user),
                    browser: browser(browser_of),
                    page: with_page.then(|| page(case.unwrap_or_default())),
                })
            }
            (Act::Open(case), Some(conn)) => {
                self.tabs[at].case = Some(case);
                let case = case.try_into().unwrap();
                Some(Event::CaseOpened { conn, case })
            }
            (Act::Stop, Some(conn)) => {
                self.tabs[at].case = None;
                let case = "X".try_into().unwrap();
                Some(Event::CaseClosed { conn, case })
            }
            (Act::End(ending), Some(conn)) => {
                self.tabs[at].conn = None;
                Some(Event::Ended { conn, ending })
            }
            (Act::Notify, _) => {
                self.next_conn += 1;
                let step = format!("*{}", self.next_conn);
                for side in [&mut self.alone, &mut self.attacked] {
                    side.hear(|stage| stage.play(&step));
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
                let case = case.try_into().unwrap();
                self.attacked.apply(Event::CaseOpened { conn, case });
            }
            (Act::Stop, Some(conn)) => {
                let case = "X".try_into().unwrap();
                self.attacked.apply(Event::CaseClosed { conn, case });
            }
            // At the same address they count as the same office, where they may supply evidence of a cut.
            (Act::End(ending), Some(_)) if is_beside_adam && ending != Ending::CleanClose => {}
            (Act::End(ending), Some(conn)) => {
                self.attackers[at] = None;
                self.attacked.apply(Event::Ended { conn, ending });
            }
            (Act::LoseMany(name), _) => {
                for number in 0..60 {
                    // Each a browser of its own, so that none takes over the place of another.
                    let from = format!("{number} {}", ATTACKERS[2 + at % 2]);
                    let conn = self.identify_attacker(name, &from);
                    let case = "X".try_into().unwrap();
                    self.attacked.apply(Event::CaseOpened { conn, case });
                    let ending = LOST;
                    self.attacked.apply(Event::Ended { conn, ending });
                }
            }
            _ => {}
        }
    }

    /// A screen shows the list that it would show without attackers, plus the names that attackers claim on that case.
    fn owners_notice_nothing(&self) {
        let (alone, attacked) = (self.alone.cases(), self.attacked.cases());
        for conn in self.tabs.iter().filter_map(|tab| tab.conn) {
            assert_eq!(alone.get(&conn), attacked.get(&conn), "the case of {conn}");
            assert_eq!(self.alone.heard.get(&conn), self.attacked.heard.get(&conn));
            let Some((_, Some(case))) = alone.get(&conn) else {
                continue;
            };
            let is_strange = |(conn, (_, on)): &(&ConnectionId, &(Username, Option<CaseRef>))| {
                !alone.contains_key(conn) && on.as_ref() == Some(case)
            };
            let strange = attacked.iter().filter(is_strange);
            let strange = strange.map(|(_, (name, _))| name.clone());
            let mut expected = self.alone.screens[&conn].clone();
            expected.extend(strange);
            assert_eq!(
                self.attacked.screens[&conn], expected,
                "on {case} of {conn}"
            );
        }
    }

    fn identify_attacker(&mut self, name: &str, from: &str) -> ConnectionId {
        let conn = self.new_conn();
        self.identify(conn, name, from);
        conn
    }

    fn identify(&mut self, conn: ConnectionId, name: &str, from: &str) {
        self.attacked.apply(Event::Identified {
            conn,
            identity: identity(name),
            browser: browser(from),
            page: Some(page("X")),
        });
    }

    /// Ids are not in the order of creation, as random ones are not.
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
            screens: BTreeMap::new(),
            heard: BTreeMap::new(),
        };
        // One connection stays, so that no end leaves the registry without any.
        side.apply(parse("w=joe"));
        side
    }

    fn apply(&mut self, event: Event) {
        self.hear(|stage| stage.registry.apply(event, stage.now));
    }

    fn hear(&mut self, happen: impl FnOnce(&mut Stage) -> Vec<Effect>) {
        for effect in happen(&mut self.stage) {
            let Effect::Send {
                to: Recipients::These(to),
                message,
            } = effect
            else {
                continue;
            };
            for conn in to {
                match &message {
                    Message::PeopleViewing(names) => {
                        self.screens.insert(conn, names.iter().cloned().collect());
                    }
                    Message::Notification(json) => {
                        let heard = self.heard.entry(conn).or_default();
                        heard.push(json.to_string());
                    }
                    Message::System(_) => {}
                }
            }
        }
    }

    /// Who has which place, and on which case.
    fn cases(&self) -> BTreeMap<ConnectionId, (Username, Option<CaseRef>)> {
        let people = self.stage.people().into_iter();
        let connections = people.flat_map(|person| person.connections);
        connections
            .map(|(conn, it)| (conn, (it.identity.username, it.case)))
            .collect()
    }
}

/// A connection of another browser claims adam's name.
fn claim(registry: &mut Registry, first: &str, number: usize, address: &str) {
    let identified = Event::Identified {
        conn: attacker(first, number),
        identity: identity("adam"),
        browser: browser(&format!("evil {number}|{address}")),
        page: None,
    };
    let _ = registry.apply(identified, Duration::ZERO);
}

/// The id of an attacker's connection, which sorts before or after all others, as `first` says.
fn attacker(first: &str, number: usize) -> ConnectionId {
    format!("{first}{number:015}").as_str().try_into().unwrap()
}
