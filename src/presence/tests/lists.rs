//! The lists of viewers that an event causes, and how bursts are merged.

use super::*;

/// A claim, a script, and the lists that its last step causes.
#[rustfmt::skip]
const LISTS: &[(&str, &str, &str)] = &[
    ("a start tells the one who starts", "a=adam a>X", "a: adam"),
    ("a start tells everybody on the case", "a=adam b=eve a>X b>X", "ab: adam eve"),
    ("viewers are listed in order of identify", "a=zoe b=adam b>X a>X", "ab: zoe adam"),
    ("a start before identify tells nobody", "b=eve b>X a>X", ""),
    ("a start before identify takes effect with identify", "b=eve b>X a>X a=adam", "ab: eve adam"),
    ("a start before identify takes effect once", "b=eve b>X a>X a=adam b< a< a=adam b>X", "b: eve"),
    ("a stop before identify tells nobody", "b=eve b>X a<", ""),
    ("a stop before identify takes effect with identify", "b=eve b>X a>X a< a=adam", "b: eve"),
    ("of several starts before identify the last takes effect", "b=eve b>Y c=joe c>X a>X a>Z a>Y a=adam", "c: joe | ab: eve adam"),
    ("a start before identify is forgotten with its connection", "b=eve b>X a>X a! a=adam", ""),
    ("a start before identify is no event of another connection", "b=eve b>X a>X c=joe", ""),
    ("a stop tells the other viewers", "a=adam b=eve a>X b>X a<", "b: eve"),
    ("the last stop tells nobody", "a=adam a>X a<", ""),
    ("a stop without a case is silent", "a=adam a<", ""),
    ("a second start of the same case tells again", "a=adam b=eve a>X b>X a>X", "ab: adam eve"),
    ("a switch tells the viewers of the old case, then those of the new one", "a=adam b=eve c=joe a>X b>X c>Y a>Y", "b: eve | ac: adam joe"),
    ("the end of a connection tells the other viewers", "a=adam b=eve a>X b>X a!", "b: eve"),
    ("a second end is silent", "a=adam b=eve a>X b>X a! a!", ""),
    ("the end of an unknown connection is silent", "b=eve b>X a!", ""),
    ("a frame after the end tells nobody", "a=adam b=eve b>X a! a>X", ""),
    ("two tabs of a user are listed once", "a=adam b=adam a>X b>X", "ab: adam"),
    ("closing one of two tabs leaves the user listed", "a=adam b=adam a>X b>X a!", "b: adam"),
    ("closing the last tab leaves the case", "a=adam b=adam c=eve a>X b>X c>X a! b!", "c: eve"),
    ("a user keeps the position of the first tab", "a=adam b=eve c=adam a! b>X c>X", "bc: adam eve"),
    ("the same name again changes nothing", "a=adam b=eve a>X b>X a=adam", ""),
    ("a second name moves the connection", "a=adam b=eve a>X b>X a=joe", "ab: eve joe"),
    ("after a second name the first one is listed nowhere", "a=adam b=eve a>X b>X a=joe b>X", "ab: eve joe"),
    ("a second name keeps the first user's other tab", "a=adam b=adam a>X b>X a=joe", "ab: adam joe"),
    ("a user who comes back is listed last", "a=adam b=eve a! a=adam a>X b>X", "ab: eve adam"),
];

#[test]
fn viewers_are_sent_the_changes_of_their_case() {
    for (claim, events, expected) in LISTS {
        assert_eq!(sent_by(events), *expected, "{claim}: {events}");
    }
}

#[test]
fn every_change_of_a_case_with_short_lists_is_told_at_once() {
    let mut registry = registry_after(rules(INTERVAL), "a=adam a>X b=eve");
    for _ in 0..100 {
        for (event, list) in [("b>X", "ab: adam eve"), ("b<", "a: adam")] {
            assert_eq!(sent(&registry.apply(parse(event), Duration::ZERO)), list);
        }
    }
    assert_eq!(registry.next_due(), None);
}

#[test]
fn under_a_heavy_load_changes_within_two_milliseconds_are_told_together() {
    let mut registry = registry_after(rules(INTERVAL), "a=adam a>X b=eve c=zoe c>Y");
    registry.bear(Load::Heavy);
    let ms = Duration::from_millis;
    for event in ["b>X", "b<", "b>X"] {
        assert_eq!(sent(&registry.apply(parse(event), ms(10))), "");
    }
    assert_eq!(registry.next_due(), Some(ms(12)));
    assert_eq!(sent(&registry.wake(ms(12))), "ab: adam eve");
    registry.bear(Load::Light);
    assert_eq!(sent(&registry.apply(parse("b<"), ms(12))), "a: adam");
    assert_eq!(registry.next_due(), None);
}

#[test]
fn a_slack_of_zero_tells_every_change_whatever_it_costs() {
    let mut registry = Registry::new(rules(Duration::ZERO));
    open_with_long_names(&mut registry, 1000);
    registry.bear(Load::Heavy);
    for event in ["a=adam", "a>X", "a<", "a>X"] {
        let effects = registry.apply(parse(event), Duration::ZERO);
        assert_eq!(sends(&effects).count(), usize::from(event != "a=adam"));
    }
}

#[test]
fn a_case_with_huge_lists_is_sent_less_often_and_other_cases_are_not() {
    let mut registry = Registry::new(rules(INTERVAL));
    open_with_long_names(&mut registry, 1000);
    // A list of 131 kB for each of a thousand viewers is 2.978 seconds of work.
    let ms = Duration::from_millis;
    let begin = ms(100_000);
    let _ = registry.wake(begin / 2);
    let mut at = |moment, event: &str| {
        let effects = registry.apply(parse(event), begin + ms(moment));
        sends(&effects).count()
    };
    assert_eq!(at(0, "a=adam"), 0);
    assert_eq!(at(0, "a>X"), 1, "the case was quiet");
    assert_eq!(at(10, "b=eve"), 0);
    assert_eq!(at(10, "b>Y"), 1, "another case");
    assert_eq!(at(20, "a<"), 0, "held back");
    assert_eq!(at(1000, "a>X"), 0, "held back");
    let due = registry.next_due().unwrap();
    assert!(
        (begin + ms(2925)..begin + ms(2930)).contains(&due),
        "{due:?}"
    );
    assert_eq!(sends(&registry.wake(due)).count(), 1, "the last state");
    assert_eq!(
        sends(&registry.wake(due + ms(60_000))).count(),
        0,
        "nothing new"
    );
}

#[test]
fn bursts_on_one_case_do_not_hold_back_another() {
    let mut registry = registry_after(rules(INTERVAL), "a=adam b=eve a>X");
    assert_eq!(
        sent(&registry.apply(parse("b>Y"), Duration::ZERO)),
        "b: eve"
    );
}

/// Brings viewers with the longest names to case X.
fn open_with_long_names(registry: &mut Registry, viewers: usize) {
    for number in 0..viewers {
        let conn = numbered(number);
        let name = format!("{number:0128}");
        let identified = identified(conn, &name, "one", None);
        for event in [identified, opened(conn, "X")] {
            let _ = registry.apply(event, Duration::ZERO);
        }
    }
}
