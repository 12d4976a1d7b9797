//! Attackers: connections that claim the name of another user, or abort polls again and again, change nothing for users. Lists
//! only have the names of the attackers' own connections too.

mod model;

use super::*;

/// A claim, a script, and the lists that its last step causes.
#[rustfmt::skip]
const SENT: &[(&str, &str, &str)] = &[
    ("a closed tab leaves though an attacker aborts a poll after it", "a=adam b=eve a>X b>X s=sid/s|203.0.113.1 s% +1 t=sid/s|203.0.113.1 b% t% .", "a: adam"),
    ("a closed tab leaves though an attacker aborts a poll before it", "a=adam b=eve a>X b>X s=sid/s|203.0.113.1 s% +1 t=sid/s|203.0.113.1 t% b% .", "a: adam"),
    ("a closed tab leaves though an attacker loses a connection after it", "a=adam b=eve a>X b>X s=sid/s|203.0.113.1 s~ +1 t=sid/s|203.0.113.1 b% t~ .", "a: adam"),
    ("a closed tab leaves though an attacker aborts polls under several names", "a=adam b=eve a>X b>X s=sid/s|203.0.113.1 s% +1 t=tom/t|203.0.113.1 b% t% .", "a: adam"),
    ("a closed tab leaves though an attacker aborts polls from two addresses of a network", "a=adam b=eve a>X b>X s=sid/s|203.0.113.1 s% +1 t=tom/t|203.0.113.2 b% t% .", "a: adam"),
    ("a closed tab leaves though an attacker aborts polls from two addresses at once", "a=adam b=eve a>X b>X s=sid/s|203.0.113.1 s% +1 t=sid/s|203.0.113.1 u=tom/s|203.0.113.2 b% t% u% .", "a: adam"),
    ("a closed tab leaves though an attacker aborts polls under two names at once", "a=adam b=eve a>X b>X s=sid/s|203.0.113.1 s% +1 t=tom/s|203.0.113.1 u=una/s|203.0.113.1 t% u% b% .", "a: adam"),
    ("a closed tab leaves though an attacker aborts polls from two /64 of a /48", "a=adam b=eve a>X b>X s=sid/s|2001:db8:0:1::1 s% +1 t=sid/s|2001:db8:0:2::1 b% t% .", "a: adam"),
    ("a closed tab leaves though an attacker at the same address aborts polls", "a=adam b=eve a>X b>X s=sid/s s% +1 t=sid/s b% t% .", "a: adam"),
    ("a closed tab leaves though an attacker aborts polls nine seconds apart", "a=adam b=eve a>X b>X s=sid/s|203.0.113.1 s% +9 t=sid/s|203.0.113.1 t% +9 u=sid/s|203.0.113.1 b% u% .", "a: adam"),
    ("a poll aborted by a network that was quiet for ten seconds is evidence of a cut", "a=adam b=eve a>X b>X s=sid/s|203.0.113.1 s% +10 t=sid/s|203.0.113.1 b% t% . +14", ""),
    ("polls of two browsers at different addresses that are aborted together are losses", "a=adam b=eve c=joe/two|198.51.100.1 a>X b>X c>X b% c% . +14", ""),
    ("polls of two browsers that are aborted together are losses though an attacker aborts one too", "a=adam b=eve c=joe/two|198.51.100.1 a>X b>X c>X s=sid/s|203.0.113.1 s% +1 t=sid/s|203.0.113.1 b% t% c% . +14", ""),
    ("polls of two browsers that are aborted together are losses after two clean closes of their office", "a=adam b=eve c=joe d=zoe e=kim a>X b>X c>X d% e! +1 b% c% . +14", ""),
    ("polls that are aborted together a second time are losses again", "b=eve c=joe/two|198.51.100.1 b>X c>X b% c% +1 d=eve e=joe/two|198.51.100.1 d% e% . +14 f=eve", "f: eve joe"),
];

#[test]
fn losses_of_many_browsers_are_told_apart_from_polls_that_an_attacker_aborts() {
    for (claim, script, expected) in SENT {
        assert_eq!(sent_by(script), *expected, "{claim}: {script}");
    }
}

#[test]
fn a_hundred_connections_that_claim_a_name_take_nothing_from_its_owner() {
    for first in ["0", "z"] {
        let mut stage = Stage::default();
        for number in 0..100 {
            stage.apply(claim(first, number, "203.0.113.1"));
        }
        for (step, expected, claim) in [
            ("a=adam", "", "adam identifies"),
            ("a>X", "a: adam", "adam opens a case"),
            ("b=eve", "", "eve identifies"),
            ("b>X", "ab: adam eve", "eve opens the case"),
            ("a~", "", "adam is lost"),
            ("c=adam@X", "c: adam eve", "adam resumes the place"),
            ("c!", "b: eve", "adam leaves"),
        ] {
            let row = format!("ids that start with {first}: {claim}");
            assert_eq!(sent(&stage.play(step)), expected, "{row}");
        }
    }
}

#[test]
fn two_hundred_cases_of_attackers_leave_room_for_another_case() {
    let mut registry = Registry::new(rules(Duration::ZERO));
    for number in 0..200 {
        let _ = registry.apply(claim("0", number, "203.0.113.1"), Duration::ZERO);
        let event = opened(attacker("0", number), &number.to_string());
        let _ = registry.apply(event, Duration::ZERO);
    }
    let mut at_once = |event| sent(&registry.apply(parse(event), Duration::ZERO));
    assert_eq!(at_once("a=eve"), "");
    assert_eq!(at_once("a>X"), "a: eve");
}

#[test]
fn a_new_lost_place_replaces_one_of_the_network_and_address_with_most_lost_places() {
    let most = 100;
    for (attackers, neighbour) in [
        ("203.0.113.1", "198.51.100.1"),
        ("203.0.113.1", "203.0.113.2"),
        ("2001:db8::1", "2001:db8:1::1"),
        ("2001:db8::1", "2001:db8:0:1::1"),
    ] {
        let rules = Rules {
            lost_places: most,
            ..rules(Duration::ZERO)
        };
        let row = format!("attackers at {attackers}, a user at {neighbour}");
        let neighbour = format!("a=adam/one|{neighbour}");
        let mut registry = registry_after(rules, &format!("{neighbour} a>X b=eve b>X a~"));
        for number in 0..3 * most {
            let _ = registry.apply(claim("0", number, attackers), Duration::ZERO);
            let event = ended(attacker("0", number), LOST);
            let effects = registry.apply(event, Duration::from_secs(1));
            assert_eq!(sent(&effects), "", "{row}");
        }
        let lost = (0..3 * most).map(|number| attacker("0", number));
        let lost: Vec<_> = lost.map(|conn| registry.is_lost(conn)).collect();
        let kept = lost.iter().filter(|is_lost| **is_lost).count();
        assert_eq!(kept, most - 1, "{row}");
        assert!(
            lost.ends_with(&[true; 99]),
            "{row}: the oldest are replaced"
        );
        let back = neighbour.replace("a=", "c=");
        let effects = registry.apply(parse(&back), Duration::from_secs(14));
        assert_eq!(sent(&effects), "c: adam eve", "{row}");
    }
}

/// A connection of another browser claims adam's name.
fn claim(first: &str, number: usize, address: &str) -> Event {
    let from = format!("evil {number}|{address}");
    identified(attacker(first, number), "adam", &from, None)
}

/// The id of an attacker's connection. With `first` 0 or z it sorts before or after all others.
fn attacker(first: &str, number: usize) -> ConnectionId {
    format!("{first}{number:015}").as_str().try_into().unwrap()
}
