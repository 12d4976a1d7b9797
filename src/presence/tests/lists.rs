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
fn a_burst_is_two_lists_at_once_and_the_last_state_after_the_interval() {
    let mut registry = Registry::new(rules(INTERVAL));
    let ms = Duration::from_millis;
    let mut at = |moment, event: &str| sent(&registry.apply(parse(event), moment));

    assert_eq!(at(ms(0), "a=adam"), "");
    assert_eq!(at(ms(0), "a>X"), "a: adam");
    assert_eq!(registry.next_due(), None, "nothing is held back yet");
    let mut at = |moment, event: &str| sent(&registry.apply(parse(event), moment));
    assert_eq!(at(ms(5), "b=eve"), "");
    assert_eq!(at(ms(10), "b>X"), "ab: adam eve", "once more at once");
    assert_eq!(at(ms(20), "b<"), "", "held back");
    assert_eq!(at(ms(30), "b>X"), "", "held back");
    assert_eq!(at(ms(40), "b<"), "", "held back");

    assert_eq!(sent(&registry.wake(ms(59))), "");
    assert_eq!(registry.next_due(), Some(ms(60)));
    assert_eq!(sent(&registry.wake(ms(60))), "a: adam");
    let mut at = |moment, event: &str| sent(&registry.apply(parse(event), moment));
    assert_eq!(at(ms(70), "b>X"), "", "a burst that goes on");
    assert_eq!(sent(&registry.wake(ms(109))), "");
    assert_eq!(registry.next_due(), Some(ms(110)));
    assert_eq!(sent(&registry.wake(ms(110))), "ab: adam eve");
    assert_eq!(sent(&registry.wake(ms(160))), "", "nothing new");
    assert_eq!(registry.next_due(), None);
    let mut at = |moment, event: &str| sent(&registry.apply(parse(event), moment));
    assert_eq!(at(ms(161), "b<"), "a: adam", "at once again");
    assert_eq!(at(ms(162), "b>X"), "ab: adam eve", "and again");
    assert_eq!(at(ms(212), "b<"), "a: adam", "though nothing has woken it");
}

#[test]
fn a_case_with_huge_lists_is_sent_less_often_and_other_cases_are_not() {
    let mut registry = Registry::new(rules(INTERVAL));
    open_with_long_names(&mut registry, 1000);
    // The pace allows a thousand lists of 131 kB in 2.602 seconds.
    let ms = Duration::from_millis;
    assert_eq!(registry.wake(ms(50)).len(), 1, "the list");
    let mut at = |moment, event: &str| sent(&registry.apply(parse(event), moment)).len();
    assert_eq!(at(ms(60), "a=adam"), 0);
    assert_eq!(at(ms(70), "a>Y"), "a: adam".len(), "another case");
    assert_eq!(at(ms(200), "b=eve"), 0);
    assert_eq!(at(ms(210), "b>X"), 0, "held back");
    assert_eq!(sent(&registry.wake(ms(2650))), "");
    assert_ne!(sent(&registry.wake(ms(2653))), "");
}

#[test]
fn two_lists_at_once_are_only_for_cases_with_short_lists() {
    let ms = Duration::from_millis;
    // The pace allows two lists for 90 viewers in 43 milliseconds, and two lists for 100 viewers in 53.
    for (viewers, expected) in [(90, [1, 1, 0]), (100, [1, 0, 0])] {
        let mut registry = Registry::new(rules(INTERVAL));
        open_with_long_names(&mut registry, viewers);
        let _ = registry.wake(ms(100));
        let _ = registry.wake(ms(200));
        let lists = ["b=b", "b>X", "b<", "b>X"].map(|event| {
            let effects = registry.apply(parse(event), ms(300));
            sends(&effects).count()
        });
        assert_eq!(lists[1..], expected, "{viewers} viewers");
    }
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
