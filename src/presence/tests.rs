//! What the registry says to what happens: tables, and a property test against a naive model.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use proptest::prelude::*;

use super::*;

const INTERVAL: Duration = Duration::from_millis(50);

/// What happens, and the lists that the last event causes.
#[rustfmt::skip]
const LISTS: &[(&str, &str, &str)] = &[
    ("a start tells the one who starts", "a=adam a>X", "a: adam"),
    ("a start tells everybody on the case", "a=adam b=eve a>X b>X", "ab: adam eve"),
    ("viewers are listed in order of identify", "a=zoe b=adam b>X a>X", "ab: zoe adam"),
    ("a start before identify is ignored", "b=eve b>X a>X", ""),
    ("a stop before identify is ignored", "b=eve b>X a<", ""),
    ("a stop tells those who remain", "a=adam b=eve a>X b>X a<", "b: eve"),
    ("the last stop tells nobody", "a=adam a>X a<", ""),
    ("a stop without a case is silent", "a=adam a<", ""),
    ("a second start of the same case tells again", "a=adam b=eve a>X b>X a>X", "ab: adam eve"),
    ("a switch tells the left, then the entered", "a=adam b=eve c=joe a>X b>X c>Y a>Y", "b: eve | ac: adam joe"),
    ("the end of a connection tells those who remain", "a=adam b=eve a>X b>X a!", "b: eve"),
    ("a second end is silent", "a=adam b=eve a>X b>X a! a!", ""),
    ("the end of an unknown connection is silent", "b=eve b>X a!", ""),
    ("a frame after the end is ignored", "a=adam b=eve b>X a! a>X", ""),
    ("two tabs of a user are listed once", "a=adam b=adam a>X b>X", "ab: adam"),
    ("closing one of two tabs leaves the user listed", "a=adam b=adam a>X b>X a!", "b: adam"),
    ("closing the last tab leaves the case", "a=adam b=adam c=eve a>X b>X c>X a! b!", "c: eve"),
    ("a user keeps the place of the first tab", "a=adam b=eve c=adam a! b>X c>X", "bc: adam eve"),
    ("the same name again changes nothing", "a=adam b=eve a>X b>X a=adam", ""),
    ("a second name moves the connection", "a=adam b=eve a>X b>X a=joe", "ab: eve joe"),
    ("a second name leaves no ghost", "a=adam b=eve a>X b>X a=joe b>X", "ab: eve joe"),
    ("a second name keeps the first user's other tab", "a=adam b=adam a>X b>X a=joe", "ab: adam joe"),
    ("a user who comes back is listed last", "a=adam b=eve a! a=adam a>X b>X", "ab: eve adam"),
];

#[test]
fn viewers_are_told_what_changes_about_their_case() {
    for (claim, events, expected) in LISTS {
        assert_eq!(lists(events), *expected, "{claim}: {events}");
    }
}

#[test]
fn a_burst_is_one_list_at_once_and_the_last_state_after_the_interval() {
    let mut registry = Registry::new(INTERVAL);
    let ms = Duration::from_millis;
    let mut at = |moment, event: &str| spoken(&registry.apply(parse(event), moment));

    assert_eq!(at(ms(0), "a=adam"), "");
    assert_eq!(at(ms(0), "a>X"), "a: adam");
    assert_eq!(at(ms(10), "b=eve"), "");
    assert_eq!(at(ms(20), "b>X"), "", "held back");
    assert_eq!(at(ms(30), "b<"), "", "held back");
    assert_eq!(at(ms(40), "b>X"), "", "held back");

    assert_eq!(registry.next_due(), Some(ms(50)));
    assert_eq!(spoken(&registry.wake(ms(49))), "");
    assert_eq!(spoken(&registry.wake(ms(50))), "ab: adam eve");
    assert_eq!(
        registry.next_due(),
        Some(ms(100)),
        "held for another interval"
    );
    assert_eq!(spoken(&registry.wake(ms(100))), "", "nothing new");
    assert_eq!(registry.next_due(), None);
    assert_eq!(
        spoken(&registry.apply(parse("a<"), ms(101))),
        "b: eve",
        "at once again"
    );
}

#[test]
fn bursts_on_one_case_do_not_hold_back_another() {
    let mut registry = Registry::new(INTERVAL);
    for event in ["a=adam", "b=eve", "a>X"] {
        let _ = registry.apply(parse(event), Duration::ZERO);
    }
    assert_eq!(
        spoken(&registry.apply(parse("b>Y"), Duration::ZERO)),
        "b: eve"
    );
}

#[test]
fn the_census_counts_users_and_connections_by_version() {
    let mut registry = Registry::new(Duration::ZERO);
    let mut report = |event: Event| -> Vec<Census> {
        let effects = registry.apply(event, Duration::ZERO);
        let census = |effect| match effect {
            Effect::Report(census) => Some(census),
            Effect::Send { .. } => None,
        };
        effects.into_iter().filter_map(census).collect()
    };
    let identified = |id: &str, user: &str, version: &str| Event::Identified {
        conn: conn(id),
        identity: Identity {
            app_version: version.try_into().unwrap(),
            ..identity(user)
        },
    };
    let census = |people, versions: &[(&str, usize)]| {
        let version = |(version, count): &(&str, usize)| ((*version).try_into().unwrap(), *count);
        vec![Census {
            people,
            versions: versions.iter().map(version).collect(),
        }]
    };

    assert_eq!(
        report(identified("a", "adam", "1.0")),
        census(1, &[("1.0", 1)])
    );
    assert_eq!(
        report(identified("b", "adam", "2.0")),
        census(1, &[("1.0", 1), ("2.0", 1)])
    );
    assert_eq!(
        report(identified("c", "eve", "2.0")),
        census(2, &[("1.0", 1), ("2.0", 2)])
    );
    assert_eq!(
        report(parse("a>X")),
        census(2, &[("1.0", 1), ("2.0", 2)]),
        "also at a start"
    );
    assert_eq!(
        report(parse("a<")),
        census(2, &[("1.0", 1), ("2.0", 2)]),
        "also at a stop"
    );
    assert_eq!(report(parse("a!")), census(2, &[("2.0", 2)]));
    assert_eq!(
        report(parse("a!")),
        vec![],
        "replaying a disconnect is silent"
    );
}

#[test]
fn a_message_reaches_its_audience_and_nobody_else() {
    let mut registry = Registry::new(INTERVAL);
    for event in ["a=adam", "b=adam", "c=eve", "d=operator", "d>operator"] {
        let _ = registry.apply(parse(event), Duration::ZERO);
    }
    let identity = Identity {
        user_type: "provider".try_into().unwrap(),
        ..identity("pam")
    };
    let conn = conn("e");
    let _ = registry.apply(Event::Identified { conn, identity }, Duration::ZERO);

    let mut recipients = |to: Audience| {
        let message = Message::System(SystemMessage::OutOfDate);
        let effects = registry.apply(
            Event::Posted {
                to,
                message: message.clone(),
            },
            INTERVAL * 9,
        );
        match effects.last() {
            Some(Effect::Send { to, message: sent }) if *sent == message => to.clone(),
            other => panic!("expected the message, got {other:?}"),
        }
    };
    let these = |ids: &str| Recipients::These(conns(ids));
    let chosen = |users: &[&str], ids: &str| Audience::Chosen {
        users: users
            .iter()
            .map(|user| (*user).try_into().unwrap())
            .collect(),
        connections: conns(ids),
    };

    assert_eq!(recipients(Audience::Everyone), Recipients::Everyone);
    assert_eq!(
        recipients(Audience::UserType("provider".try_into().unwrap())),
        these("e")
    );
    assert_eq!(
        recipients(Audience::UserType("operator".try_into().unwrap())),
        these("abcd")
    );
    assert_eq!(
        recipients(Audience::UserType("robot".try_into().unwrap())),
        these("")
    );
    assert_eq!(
        recipients(chosen(&["adam"], "")),
        these("ab"),
        "a user as a whole"
    );
    assert_eq!(recipients(chosen(&[], "b")), these("b"), "one tab");
    assert_eq!(
        recipients(chosen(&["adam", "nobody"], "bc")),
        these("abc"),
        "each once"
    );
}

#[test]
fn people_are_shown_with_all_their_connections_in_order_of_identify() {
    let mut registry = Registry::new(INTERVAL);
    for event in ["c=zoe", "a=adam", "b=zoe", "b>X"] {
        let _ = registry.apply(parse(event), Duration::ZERO);
    }
    let connection = |user: &str, case: Option<&str>| Connection {
        identity: identity(user),
        case: case.map(|case| case.try_into().unwrap()),
    };
    let person = |user: &str, connections: Vec<(&str, Option<&str>)>| Person {
        username: user.try_into().unwrap(),
        user_type: "operator".try_into().unwrap(),
        connections: connections
            .iter()
            .map(|(id, case)| (conn(id), connection(user, *case)))
            .collect(),
    };
    assert_eq!(
        registry.people(),
        vec![
            person("zoe", vec![("b", Some("X")), ("c", None)]),
            person("adam", vec![("a", None)]),
        ]
    );
}

#[test]
fn names_from_outside_are_bounded() {
    let long = "é".repeat(64);
    assert_eq!(Username::try_from(long.as_str()).unwrap().as_str(), long);
    assert_eq!(
        Username::try_from(format!("{long}e").as_str()),
        Err(InvalidText::TooLong)
    );
    assert_eq!(CaseRef::try_from(""), Err(InvalidText::Empty));
    assert_eq!(
        UserType::try_from("a\u{0}b"),
        Err(InvalidText::ControlCharacter)
    );
    assert_eq!(
        AppVersion::try_from("1.0\n2"),
        Err(InvalidText::ControlCharacter)
    );
    assert_eq!(AppVersion::default().as_str(), "unknown");
    assert!(ConnectionId::try_from("AAAAAAAAAAAAAAAA").is_ok());
    assert!(ConnectionId::try_from("AAAAAAAAAAAAAAA").is_err());
    assert!(ConnectionId::try_from("AAAAAAAAAAAAAAA\n").is_err());
}

proptest! {
    /// Clients that keep the last list they were sent know, once things are quiet, what the model knows.
    #[test]
    fn every_screen_ends_up_with_what_a_naive_model_says(
        script in prop::collection::vec((event(), 0u64..40), 0..120)
    ) {
        let mut registry = Registry::new(INTERVAL);
        let mut model = Model::default();
        let mut screens: BTreeMap<ConnectionId, Vec<Username>> = BTreeMap::new();
        let mut now = Duration::ZERO;
        for (event, pause) in script {
            now += Duration::from_millis(pause);
            model.apply(&event);
            show(&registry.apply(event, now), &mut screens);
            prop_assert_eq!(registry.census().people, model.users.len());
            prop_assert_eq!(registry.census().versions.values().sum::<usize>(), model.connections.len());
        }
        while let Some(due) = registry.next_due() {
            show(&registry.wake(due), &mut screens);
        }
        for (conn, (_, case)) in &model.connections {
            if let Some(case) = case {
                prop_assert_eq!(&screens[conn], &model.viewers(case));
            }
        }
        for conn in model.connections.keys() {
            let _ = registry.apply(Event::Disconnected { conn: *conn }, now);
        }
        while let Some(due) = registry.next_due() {
            let _ = registry.wake(due);
        }
        prop_assert_eq!(registry, Registry::new(INTERVAL));
    }
}

/// The rules of presence, with nothing kept that could be worked out.
#[derive(Default)]
struct Model {
    users: Vec<Username>,
    connections: BTreeMap<ConnectionId, (Username, Option<CaseRef>)>,
}

impl Model {
    fn apply(&mut self, event: &Event) {
        match event {
            Event::Identified { conn, identity } => {
                let case = self
                    .connections
                    .get(conn)
                    .and_then(|(_, case)| case.clone());
                let user = identity.username.clone();
                self.connections.insert(*conn, (user.clone(), case));
                self.drop_users_without_connections();
                if !self.users.contains(&user) {
                    self.users.push(user);
                }
            }
            Event::CaseOpened { conn, case } => self.view(*conn, Some(case.clone())),
            Event::CaseClosed { conn } => self.view(*conn, None),
            Event::Disconnected { conn } => {
                self.connections.remove(conn);
                self.drop_users_without_connections();
            }
            Event::Posted { .. } => {}
        }
    }

    fn view(&mut self, conn: ConnectionId, case: Option<CaseRef>) {
        if let Some((_, viewed)) = self.connections.get_mut(&conn) {
            *viewed = case;
        }
    }

    fn drop_users_without_connections(&mut self) {
        let connected: BTreeSet<_> = self.connections.values().map(|(user, _)| user).collect();
        self.users.retain(|user| connected.contains(user));
    }

    fn viewers(&self, case: &CaseRef) -> Vec<Username> {
        let views = |user: &Username| {
            let mut all = self.connections.values();
            all.any(|(viewer, viewed)| viewer == user && viewed.as_ref() == Some(case))
        };
        self.users
            .iter()
            .filter(|user| views(user))
            .cloned()
            .collect()
    }
}

/// Keeps the last list of every connection, as a browser does.
fn show(effects: &[Effect], screens: &mut BTreeMap<ConnectionId, Vec<Username>>) {
    for effect in effects {
        if let Effect::Send {
            to: Recipients::These(to),
            message: Message::PeopleViewing(names),
        } = effect
        {
            screens.extend(to.iter().map(|conn| (*conn, names.clone())));
        }
    }
}

fn event() -> impl Strategy<Value = Event> {
    let conn = prop::sample::select(vec!["a", "b", "c", "d", "e"]).prop_map(conn);
    let user = prop::sample::select(vec!["adam", "eve", "joe"]).prop_map(identity);
    let case =
        prop::sample::select(vec!["X", "Y"]).prop_map(|case| CaseRef::try_from(case).unwrap());
    prop_oneof![
        3 => (conn.clone(), user).prop_map(|(conn, identity)| Event::Identified { conn, identity }),
        4 => (conn.clone(), case).prop_map(|(conn, case)| Event::CaseOpened { conn, case }),
        2 => conn.clone().prop_map(|conn| Event::CaseClosed { conn }),
        1 => conn.prop_map(|conn| Event::Disconnected { conn }),
    ]
}

/// Runs a script with nothing merged and returns the lists that its last event causes.
fn lists(script: &str) -> String {
    let mut registry = Registry::new(Duration::ZERO);
    let mut last = String::new();
    for event in script.split(' ') {
        last = spoken(&registry.apply(parse(event), Duration::ZERO));
    }
    last
}

/// `a=adam` identifies connection a, `a>X` opens case X, `a<` closes it, `a!` disconnects.
fn parse(event: &str) -> Event {
    let (id, rest) = event.split_at(1);
    let conn = conn(id);
    match rest.split_at(1) {
        ("=", user) => Event::Identified {
            conn,
            identity: identity(user),
        },
        (">", case) => Event::CaseOpened {
            conn,
            case: case.try_into().unwrap(),
        },
        ("<", "") => Event::CaseClosed { conn },
        ("!", "") => Event::Disconnected { conn },
        _ => panic!("no such event: {event}"),
    }
}

/// `ab: adam eve` says that connections a and b were sent that list.
fn spoken(effects: &[Effect]) -> String {
    let line = |effect: &Effect| match effect {
        Effect::Send {
            to: Recipients::These(to),
            message: Message::PeopleViewing(names),
        } => {
            let to: String = to
                .iter()
                .filter_map(|conn| conn.as_str().chars().next())
                .collect();
            let names: Vec<_> = names.iter().map(Username::as_str).collect();
            Some(format!("{to}: {}", names.join(" ")))
        }
        Effect::Send { .. } | Effect::Report(_) => None,
    };
    effects
        .iter()
        .filter_map(line)
        .collect::<Vec<_>>()
        .join(" | ")
}

fn identity(user: &str) -> Identity {
    Identity {
        username: user.try_into().unwrap(),
        user_type: "operator".try_into().unwrap(),
        app_version: AppVersion::default(),
    }
}

fn conn(id: &str) -> ConnectionId {
    id.repeat(16).as_str().try_into().unwrap()
}

fn conns(ids: &str) -> BTreeSet<ConnectionId> {
    ids.chars().map(|id| conn(&id.to_string())).collect()
}
