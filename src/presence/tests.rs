//! What the registry says to what happens: tables. What becomes of lost connections is in `losses`, everything together in `world`.

use std::{collections::BTreeSet, time::Duration};

use super::*;

mod attackers;
mod losses;
mod reload;
mod world;

const INTERVAL: Duration = Duration::from_millis(50);
const GRACE: Duration = Duration::from_secs(15);
const RESTART_GRACE: Duration = Duration::from_mins(1);

/// What happens, and the lists that the last event causes.
#[rustfmt::skip]
const LISTS: &[(&str, &str, &str)] = &[
    ("a start tells the one who starts", "a=adam a>X", "a: adam"),
    ("a start tells everybody on the case", "a=adam b=eve a>X b>X", "ab: adam eve"),
    ("viewers are listed in order of identify", "a=zoe b=adam b>X a>X", "ab: zoe adam"),
    ("a start before identify tells nobody", "b=eve b>X a>X", ""),
    ("a start before identify waits for it", "b=eve b>X a>X a=adam", "ab: eve adam"),
    ("a start before identify holds once", "b=eve b>X a>X a=adam b< a< a=adam b>X", "b: eve"),
    ("a stop before identify tells nobody", "b=eve b>X a<", ""),
    ("a stop before identify holds as well", "b=eve b>X a>X a< a=adam", "b: eve"),
    ("of several starts before identify the last holds", "b=eve b>Y c=joe c>X a>X a>Z a>Y a=adam", "c: joe | ab: eve adam"),
    ("what was said before identify ends with its connection", "b=eve b>X a>X a! a=adam", ""),
    ("and nobody else has said it", "b=eve b>X a>X c=joe", ""),
    ("a stop tells those who remain", "a=adam b=eve a>X b>X a<", "b: eve"),
    ("the last stop tells nobody", "a=adam a>X a<", ""),
    ("a stop without a case is silent", "a=adam a<", ""),
    ("a second start of the same case tells again", "a=adam b=eve a>X b>X a>X", "ab: adam eve"),
    ("a switch tells the left, then the entered", "a=adam b=eve c=joe a>X b>X c>Y a>Y", "b: eve | ac: adam joe"),
    ("the end of a connection tells those who remain", "a=adam b=eve a>X b>X a!", "b: eve"),
    ("a second end is silent", "a=adam b=eve a>X b>X a! a!", ""),
    ("the end of an unknown connection is silent", "b=eve b>X a!", ""),
    ("a frame after the end tells nobody", "a=adam b=eve b>X a! a>X", ""),
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
fn a_burst_is_two_lists_at_once_and_the_last_state_after_the_interval() {
    let mut registry = Registry::new(rules(INTERVAL));
    let ms = Duration::from_millis;
    let mut at = |moment, event: &str| spoken(&registry.apply(parse(event), moment));

    assert_eq!(at(ms(0), "a=adam"), "");
    assert_eq!(at(ms(0), "a>X"), "a: adam");
    assert_eq!(registry.next_due(), None, "nothing is held back yet");
    let mut at = |moment, event: &str| spoken(&registry.apply(parse(event), moment));
    assert_eq!(at(ms(5), "b=eve"), "");
    assert_eq!(at(ms(10), "b>X"), "ab: adam eve", "once more at once");
    assert_eq!(at(ms(20), "b<"), "", "held back");
    assert_eq!(at(ms(30), "b>X"), "", "held back");
    assert_eq!(at(ms(40), "b<"), "", "held back");

    assert_eq!(spoken(&registry.wake(ms(59))), "");
    assert_eq!(registry.next_due(), Some(ms(60)));
    assert_eq!(spoken(&registry.wake(ms(60))), "a: adam");
    let mut at = |moment, event: &str| spoken(&registry.apply(parse(event), moment));
    assert_eq!(at(ms(70), "b>X"), "", "a burst that goes on");
    assert_eq!(spoken(&registry.wake(ms(109))), "");
    assert_eq!(registry.next_due(), Some(ms(110)));
    assert_eq!(spoken(&registry.wake(ms(110))), "ab: adam eve");
    assert_eq!(spoken(&registry.wake(ms(160))), "", "nothing new");
    assert_eq!(registry.next_due(), None);
    let mut at = |moment, event: &str| spoken(&registry.apply(parse(event), moment));
    assert_eq!(at(ms(161), "b<"), "a: adam", "at once again");
    assert_eq!(at(ms(162), "b>X"), "ab: adam eve", "and again");
    assert_eq!(at(ms(212), "b<"), "a: adam", "though nothing has woken it");
}

#[test]
fn a_case_whose_lists_are_huge_is_told_less_often_and_others_are_not() {
    let mut registry = Registry::new(rules(INTERVAL));
    crowd(&mut registry, 1000);
    // A thousand lists of 131 kB are what may be said in 2.602 seconds.
    let ms = Duration::from_millis;
    let told = registry.wake(ms(50)).len();
    assert_eq!(told, 1, "the list");
    let mut at = |moment, event: &str| spoken(&registry.apply(parse(event), moment)).len();
    assert_eq!(at(ms(60), "a=adam"), 0);
    assert_eq!(at(ms(70), "a>Y"), "a: adam".len(), "another case");
    assert_eq!(at(ms(200), "b=eve"), 0);
    assert_eq!(at(ms(210), "b>X"), 0, "held back");
    assert_eq!(spoken(&registry.wake(ms(2650))), "");
    assert_ne!(spoken(&registry.wake(ms(2653))), "");
}

#[test]
fn two_lists_at_once_are_for_cases_whose_lists_are_soon_sent() {
    let ms = Duration::from_millis;
    // Two lists for 90 viewers are what may be sent in 43 milliseconds, two for 100 take 53.
    for (viewers, expected) in [(90, [1, 1, 0]), (100, [1, 0, 0])] {
        let mut registry = Registry::new(rules(INTERVAL));
        crowd(&mut registry, viewers);
        let _ = registry.wake(ms(100));
        let _ = registry.wake(ms(200));
        let told = ["b=b", "b>X", "b<", "b>X"].map(|event| {
            let effects = registry.apply(parse(event), ms(300));
            effects
                .iter()
                .filter(|it| matches!(it, Effect::Send { .. }))
                .count()
        });
        assert_eq!(told[1..], expected, "{viewers}");
    }
}

#[test]
fn bursts_on_one_case_do_not_hold_back_another() {
    let mut registry = Registry::new(rules(INTERVAL));
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
    let mut registry = Registry::new(rules(Duration::ZERO));
    let mut report = |event: Event| -> Vec<Census> {
        let effects = registry.apply(event, Duration::ZERO);
        let changes = effects.iter().filter_map(change);
        changes.map(|_| registry.census()).collect()
    };
    let identified = |id: &str, user: &str, version: &str| Event::Identified {
        conn: conn(id),
        identity: Identity {
            app_version: version.try_into().unwrap(),
            ..identity(user)
        },
        browser: browser("one"),
        page: None,
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
    let mut registry = Registry::new(rules(INTERVAL));
    for event in ["a=adam", "b=adam", "c=eve", "d=operator", "d>operator"] {
        let _ = registry.apply(parse(event), Duration::ZERO);
    }
    let _ = registry.apply(provider("e", "pam"), Duration::ZERO);

    let mut recipients = |to: Audience| {
        let message = Message::System(SystemMessage::OutOfDate);
        let posting = registry.post(&to, &message, INTERVAL * 9);
        assert_eq!(posting.kept, 0);
        assert_eq!(posting.change, Change::Posted { to, text: Bytes(0) });
        posting.to
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
fn a_message_may_be_for_a_connection_that_has_not_identified() {
    let mut registry = Registry::new(rules(INTERVAL));
    let message = Message::System(SystemMessage::OutOfDate);
    let to = Audience::Chosen {
        users: BTreeSet::new(),
        connections: conns("z"),
    };
    let posting = registry.post(&to, &message, INTERVAL);
    assert_eq!(posting.to, Recipients::These(conns("z")));
}

#[test]
fn people_are_shown_with_all_their_connections_in_order_of_identify() {
    let mut registry = Registry::new(rules(INTERVAL));
    for event in ["c=zoe", "a=adam", "b=zoe", "b>X"] {
        let _ = registry.apply(parse(event), Duration::ZERO);
    }
    let connection = |user: &str, case: Option<&str>| ConnectionView {
        identity: identity(user),
        case: case.map(|case| case.try_into().unwrap()),
        lost: None,
    };
    let person = |rank, user: &str, connections: Vec<(&str, Option<&str>)>| Person {
        rank: Rank(rank),
        username: user.try_into().unwrap(),
        user_type: "operator".try_into().unwrap(),
        connections: connections
            .iter()
            .map(|(id, case)| (conn(id), connection(user, *case)))
            .collect(),
    };
    let zoe = person(0, "zoe", vec![("b", Some("X")), ("c", None)]);
    let adam = person(1, "adam", vec![("a", None)]);
    let everybody = [zoe.clone(), adam.clone()];
    let page = registry.people(None, 3, Duration::ZERO);
    assert_eq!(
        (page.people.as_slice(), page.next),
        (everybody.as_slice(), None)
    );

    let (mut met, mut cursor) = (Vec::new(), None);
    for event in ["", "e=eve", "b!"] {
        if !event.is_empty() {
            let _ = registry.apply(parse(event), Duration::ZERO);
        }
        let page = registry.people(cursor, 1, Duration::ZERO);
        met.extend(
            page.people
                .into_iter()
                .map(|person| (person.rank.0, person.connections)),
        );
        cursor = page.next;
    }
    let (b, c) = zoe.connections.split_at(1);
    let expected = [(0, b.to_vec()), (0, c.to_vec()), (1, adam.connections)];
    assert_eq!(met, expected, "a connection at a time");
    assert_eq!(cursor, None, "eve came later");
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

/// Runs a script with nothing merged and returns what its last step causes.
fn lists(script: &str) -> String {
    let mut stage = Stage::default();
    let mut last = String::new();
    for step in script.split(' ') {
        last = spoken(&stage.play(step));
    }
    last
}

/// A registry that merges nothing, and what time it is there.
struct Stage {
    registry: Registry,
    now: Moment,
}

impl Default for Stage {
    fn default() -> Self {
        Self {
            registry: Registry::new(rules(Duration::ZERO)),
            now: Duration::from_secs(100),
        }
    }
}

impl Stage {
    fn people(&self) -> Vec<Person> {
        self.registry.people(None, usize::MAX, self.now).people
    }

    /// `+15` lets 15 seconds pass, `.` a tenth of one, `,` half of that, `$` restarts the daemon, `*1` notifies all operators of 1, and `^1` all
    /// providers; the rest are events.
    fn play(&mut self, step: &str) -> Vec<Effect> {
        if step == "$" {
            let snapshot = self.registry.snapshot(self.now);
            self.registry = Registry::restored(rules(Duration::ZERO), snapshot, RESTART_GRACE);
            self.now = Duration::ZERO;
            return Vec::new();
        }
        if let "," | "." = step {
            let milliseconds = if step == "." { 100 } else { 50 };
            self.now += Duration::from_millis(milliseconds);
            return self.registry.wake(self.now);
        }
        if let Some(seconds) = step.strip_prefix('+') {
            self.now += Duration::from_secs(seconds.parse().unwrap());
            return self.registry.wake(self.now);
        }
        for (sign, audience) in [('*', "operator"), ('^', "provider")] {
            if let Some(json) = step.strip_prefix(sign) {
                return effects_of(self.post(audience, json), json);
            }
        }
        self.registry.apply(parse(step), self.now)
    }

    /// Notifies all users of a type.
    fn post(&mut self, user_type: &str, json: &str) -> Posting {
        let to = Audience::UserType(user_type.try_into().unwrap());
        let message = Message::Notification(json.into());
        self.registry.post(&to, &message, self.now)
    }
}

/// What posting a notification causes, in order.
fn effects_of(posting: Posting, json: &str) -> Vec<Effect> {
    let mut effects = posting.due;
    effects.push(Effect::Send {
        to: posting.to,
        message: Message::Notification(json.into()),
    });
    effects.push(Effect::Changed(posting.change));
    effects
}

fn change(effect: &Effect) -> Option<&Change> {
    match effect {
        Effect::Changed(change) => Some(change),
        Effect::Send { .. } => None,
    }
}

/// `a=adam` identifies connection a. `a=adam@X` does so on the page of case X, `a=adam@` on another page, `a=adam/two` in
/// another browser, `a=adam/two|10.1.2.3` from that address, and `a=adam:2` with another version. `a>X` opens case X, `a<` stops viewing, `a<X` naming case X. `a!`
/// closes cleanly, `a~` is lost, `a~70` after 70 seconds of silence, `a%` aborts its poll, and `a#` ends its place by hand.
fn parse(event: &str) -> Event {
    let (id, rest) = event.split_at(1);
    let conn = conn(id);
    match rest.split_at(1) {
        ("=", rest) => {
            let (rest, agent) = rest.split_once('/').unwrap_or((rest, "one"));
            let (user, page) = match rest.split_once('@') {
                Some((user, case)) => (user, Some(page(case))),
                None => (rest, None),
            };
            Event::Identified {
                conn,
                identity: identity(user),
                browser: browser(agent),
                page,
            }
        }
        (">", case) => Event::CaseOpened {
            conn,
            case: case.try_into().unwrap(),
        },
        ("<", case) => Event::CaseClosed {
            conn,
            case: case.try_into().unwrap_or_else(|_| "?".try_into().unwrap()),
        },
        ("!", "") => Event::Ended {
            conn,
            ending: Ending::CleanClose,
        },
        ("~", seconds) => Event::Ended {
            conn,
            ending: Ending::Lost {
                silence: Duration::from_secs(seconds.parse().unwrap_or_default()),
            },
        },
        ("%", "") => Event::Ended {
            conn,
            ending: Ending::PollAborted,
        },
        ("#", "") => Event::Dismissed { conn },
        _ => panic!("no such event: {event}"),
    }
}

/// `ab: adam eve` says that connections a and b were sent that list, `a: *1` that a was notified of 1.
fn spoken(effects: &[Effect]) -> String {
    let line = |effect: &Effect| {
        let Effect::Send {
            to: Recipients::These(to),
            message,
        } = effect
        else {
            return None;
        };
        let to: String = to
            .iter()
            .filter_map(|conn| conn.as_str().chars().next())
            .collect();
        let text = match message {
            Message::PeopleViewing(names) => {
                let names: Vec<_> = names.iter().map(Username::as_str).collect();
                names.join(" ")
            }
            Message::Notification(json) => format!("*{json}"),
            Message::System(message) => format!("*system {}", message.id()),
        };
        Some(format!("{to}: {text}"))
    };
    effects
        .iter()
        .filter_map(line)
        .collect::<Vec<_>>()
        .join(" | ")
}

/// So many viewers of case X with the longest names.
fn crowd(registry: &mut Registry, viewers: usize) {
    for number in 0..viewers {
        let conn = format!("{number:016}");
        let conn = conn.as_str().try_into().unwrap();
        let name = format!("{number:0128}");
        let identified = Event::Identified {
            conn,
            identity: identity(&name),
            browser: browser("one"),
            page: None,
        };
        let case = "X".try_into().unwrap();
        for event in [identified, Event::CaseOpened { conn, case }] {
            let _ = registry.apply(event, Duration::ZERO);
        }
    }
}

fn rules(merge_interval: Duration) -> Rules {
    Rules {
        merge_interval,
        grace: GRACE,
        lost_places: 100,
        tabs_per_browser: 64,
    }
}

fn provider(id: &str, user: &str) -> Event {
    Event::Identified {
        conn: conn(id),
        identity: Identity {
            user_type: "provider".try_into().unwrap(),
            ..identity(user)
        },
        browser: browser("one"),
        page: None,
    }
}

fn identity(user: &str) -> Identity {
    let (user, version) = user.split_once(':').unwrap_or((user, "1"));
    Identity {
        username: user.try_into().unwrap(),
        user_type: "operator".try_into().unwrap(),
        app_version: version.try_into().unwrap(),
    }
}

fn browser(agent: &str) -> Browser {
    let (agent, address) = agent.split_once('|').unwrap_or((agent, "192.0.2.1"));
    Browser {
        address: address.parse().unwrap(),
        agent: Some(agent.try_into().unwrap()),
    }
}

fn page(case: &str) -> PagePath {
    let path = format!("/call_centre/{case}/diagnosis");
    path.as_str().try_into().unwrap()
}

fn conn(id: &str) -> ConnectionId {
    id.repeat(16).as_str().try_into().unwrap()
}

fn conns(ids: &str) -> BTreeSet<ConnectionId> {
    ids.chars().map(|id| conn(&id.to_string())).collect()
}
