//! Pages that come back to their case and say only `identify`. Their word is waited for 1.5 seconds. The grace is 15 seconds,
//! the restart grace 60, the memory two hours.

use super::{losses::described, *};

/// A claim, a script, and the changes that its last step causes, in the shorthand of `losses`.
///
/// A script that begins with `?` begins with a daemon that knows nothing and has started just now.
#[rustfmt::skip]
const CHANGES: &[(&str, &str, &str)] = &[
    // (a) The daemon has started a moment before.
    ("after a start a silent page of a case is put back", "? a=adam@X +2", "a>>X Start"),
    ("it is put back 1.5 seconds after identify", "? a=adam@X +1 . . . . .", "a>>X Start"),
    ("it is not put back earlier", "? a=adam@X +1 . . . .", ""),
    ("a page that identifies in the last second of the restart grace is put back", "? +59 a=adam@X +2", "a>>X Start"),
    ("a page that identifies after the restart grace is not put back", "? +60 a=adam@X +2", ""),
    ("a page that says nothing of the first start is not put back later either", "? +60 a=adam@X +90", ""),
    ("a page of a list is not put back", "? a=adam@ +2", ""),
    ("a page without an address is not put back", "? a=adam +2", ""),
    ("a page that opens its case in time has opened it", "? a=adam@X +1 a>X", "a>X"),
    ("a page that has opened its case is not put back", "? a=adam@X +1 a>X +2", ""),
    ("a page that opens another case is not put back", "? a=adam@X +1 a>Y +2", ""),
    ("a page that says it has left is not put back", "? a=adam@X +1 a<X +2", ""),
    ("a page that said it had left before it identified is not put back", "? a<X a=adam@X +2", ""),
    ("a page that is closed in time is not put back", "? a=adam@X +1 a! +2", ""),
    ("a page that is lost in time is not put back on its dead connection", "? a=adam@X +1 a~ +2", ""),
    ("it is put back when it returns", "? a=adam@X +1 a~ b=adam@X +2", "b>>X Start"),
    ("a connection that takes another name meanwhile is not put back", "? a=adam@X +1 a=eve +2", ""),
    ("a page that was put back has the last word", "? a=adam@X +2 a>Y", "a>Y"),
    ("a page that was put back can leave", "? a=adam@X +2 a<X", "a<X"),
    ("a page that was put back stays without a word", "? a=adam@X +2 +60 +60", ""),
    ("a page that was put back has a place", "? a=adam@X +2 a~ b=adam@X", "a -> b"),
    ("a place in the file is taken over and not put back", "a=adam a>X $ b=adam@X", "a -> b"),
    ("a user whom the file does not know is put back", "a=adam a>X $ b=eve@X +2", "b>>X Start"),
    ("a place on no case is not believed after a crash", "a=adam@ & b=adam@X +2", "b>>X Start"),
    ("a place on no case by its page's word is not believed after a crash either, which may have come later", "a=adam@X +2 & b=adam@X +2", "b>>X Start"),
    ("a place on no case is believed after an orderly stop, if its page was silent", "a=adam@X +2 $ b=adam@X +2", ""),
    ("a place on no case is believed after an orderly stop, if its page said so", "a=adam@X a>X a<X $ b=adam@X +2", ""),
    ("it is believed by the second connection after the stop, too", "a=adam@X +2 $ b=adam@X b~ c=adam@X +2", ""),
    ("a place that was waiting for its page's word is not believed after an orderly stop", "a=adam@X +1 $ b=adam@X +2", "b>>X Start"),
    ("a page that left after the start and comes back silent is not put back", "? a=adam@X a>X a<X a~ b=adam@X +2", ""),

    // (b) The user was there before.
    ("a lapsed place is remembered", "a=adam a>X a~ +15 b=adam@X +2", "b>>X Absence"),
    ("a lapsed place is remembered for hours", "a=adam a>X a~ +15 +7195 b=adam@X +2", "b>>X Absence"),
    ("a lapsed place is forgotten after that", "a=adam a>X a~ +15 +7200 b=adam@X +2", ""),
    ("without a lapsed place a silent page is not put back", "b=adam@X +2", ""),
    ("a page of another case is not put back by it", "a=adam a>X a~ +15 b=adam@Y +2", ""),
    ("a page of a list is not put back by it", "a=adam a>X a~ +15 b=adam@ +2", ""),
    ("a page without an address is not put back by it", "a=adam a>X a~ +15 b=adam +2", ""),
    ("another user is not put back by it", "a=adam a>X a~ +15 b=eve@X +2", ""),
    ("the same name of another user type is not put back by it", "a=adam a>X a~ +15 b=adam^@X +2", ""),
    ("another address makes no difference", "a=adam/one|192.0.2.1 a>X a~ +15 b=adam@X/one|2001:db8::1 +2", "b>>X Absence"),
    ("another browser makes no difference", "a=adam a>X a~ +15 b=adam@X/two +2", "b>>X Absence"),
    ("another version makes no difference", "a=adam a>X a~ +15 b=adam:2@X +2", "b>>X Absence"),
    ("a lost place of another address is evidence", "a=adam/one|192.0.2.1 a>X a~ b=adam@X/one|2001:db8::1 +2", "b>>X Absence"),
    ("a place that is not known to be dead is evidence", "a=adam/one|192.0.2.1 a>X b=adam@X/one|2001:db8::1 +2", "b>>X Absence"),
    ("that of another user type is not", "a=adam/one|192.0.2.1 a>X b=adam^@X/one|2001:db8::1 +2", ""),
    ("a clean close is no absence", "a=adam a>X a! b=adam@X +2", ""),
    ("a closed poll is no absence", "a=adam a>X a% . b=adam@X +2", ""),
    ("a stop is no absence", "a=adam a>X a< a~ +15 b=adam@X +2", ""),
    ("a switch to another case is no absence", "a=adam a>X a>Y a~ +15 b=adam@X +2", ""),
    ("an end by hand is no absence", "a=adam a>X a~ a# b=adam@X +2", ""),
    ("a clean close of the case ends an absence", "a=adam a>X a~ +15 b=adam b>X b! c=adam@X +2", ""),
    ("a clean close of a page that was waited for ends an absence", "a=adam a>X a~ +15 b=adam@X +1 b! c=adam@X +2", ""),
    ("a stop ends an absence", "a=adam a>X a~ +15 b=adam b>X b< c=adam@X +2", ""),
    ("a stop that was queued ends an absence", "a=adam a>X a~ +15 b=adam@ b<X c=adam@X +2", ""),
    ("a switch ends an absence", "a=adam a>X a~ +15 b=adam b>X b>Y c=adam@X +2", ""),
    ("opening another case ends no absence", "a=adam a>X a~ +15 b=adam b>Y b! c=adam@X +2", "c>>X Absence"),
    ("an end by hand ends an absence", "a=adam a>X a~ +15 b=adam@X +2 b~ b# c=adam@X +2", ""),
    ("who was put back and lapses again is remembered again", "a=adam a>X a~ +15 b=adam@X +2 b~ +15 c=adam@X +2", "c>>X Absence"),
    ("a connection that was lost while its word was waited for is put back when it returns", "a=adam a>X a~ +15 b=adam@X +1 b~ c=adam@X +2", "c>>X Absence"),
    ("an absence outlives a restart", "a=adam a>X a~ +15 $ +60 b=adam@X +2", "b>>X Absence"),
    ("an absence outlives a crash", "a=adam a>X a~ +15 & +60 b=adam@X +2", "b>>X Absence"),
    ("an absence is not remembered longer because of a restart", "a=adam a>X a~ +15 +7000 $100 +100 b=adam@X +2", ""),
    ("places of a file that is too old are absences", "a=adam a>X $61 +60 b=adam@X +2", "b>>X Absence"),
    ("places of a file that is much too old are forgotten", "a=adam a>X $7200 +60 b=adam@X +2", ""),
    ("another user who has logged in meanwhile is not put back", "a=adam a>X a~ +15 b=eve@X +2", ""),
    ("one tab with two connections is put back with both", "a=adam a>X b=adam b>X a~ b~ +15 c=adam@X d=adam@X +2", "c>>X Absence, d>>X Absence"),

    // (c) The page went on while it was cut off.
    ("a dead line to another case is evidence", "a=adam a>X a~ b=adam@Y +2", "b>>Y DeadLine"),
    ("a line that turns out to be dead later is evidence then", "a=adam a>X +10 b=adam@Y +60 a~70", "lost a, b>>Y DeadLine"),
    ("a line that turns out to be dead in time is evidence after that time", "a=adam a>X +10 b=adam@Y +1 a~11 +1", "b>>Y DeadLine"),
    ("a page that speaks is not moved by a dead line", "a=adam a>X +10 b=adam@Y b>Z +10 a~20", "lost a"),
    ("a line that died after the page had connected is no evidence", "a=adam a>X +10 b=adam@Y +60 a~50", "lost a"),
    ("a line that is closed cleanly is no evidence", "a=adam a>X +10 b=adam@Y +10 a!", "left a Closed"),
    ("a poll in doubt is no evidence until it is a loss", "a=adam a>X +10 b=adam@Y +10 a%20", ""),
    ("a poll in doubt is no evidence when silence is judged", "a=adam a>X +10 b=adam@Y +1 . . . . , a%11 ,", ""),
    ("a line on no case that turns out to be dead is no evidence", "a=adam +10 b=adam@Y +60 a~70", "a => b, lost a"),
    ("a dead line of another browser is no evidence", "a=adam a>X a~ b=adam@Y/two +2", ""),
    ("a dead line of another user is no evidence", "a=adam a>X a~ b=eve@Y +2", ""),
    ("a dead line of another user type is no evidence", "a=adam a>X a~ b=adam^@Y +2", ""),
    ("a dead line of no case is no evidence", "a=adam a>X a< a~ b=adam@Y +2", ""),
    ("a dead line is no evidence for a list", "a=adam a>X a~ b=adam@ +2", ""),
    ("a dead line to another case is no evidence for a page that has its place on no case", "a=adam a>X b=adam@Y +2 a~ b~ c=adam@Y +2", ""),
    ("two tabs that slept together have their places", "a=adam a>X b=adam b>Y a~ b~ c=adam@Y", "b -> c"),
    ("two tabs that slept long are put back on their cases", "a=adam a>X b=adam b>Y a~ b~ +15 c=adam@Y d=adam@X +2", "c>>Y Absence, d>>X Absence"),
];

#[test]
fn a_silent_page_is_put_back_if_and_only_if_there_is_evidence() {
    for (claim, script, expected) in CHANGES {
        let effects = Stage::default().play_all(script);
        assert_eq!(described(&effects), *expected, "{claim}: {script}");
    }
}

/// A claim, a script, and the lists and messages that its last step causes.
#[rustfmt::skip]
const SENT: &[(&str, &str, &str)] = &[
    ("who waits is told nothing yet", "? b=eve b>X a=adam@X", ""),
    ("all viewers are told once who was put back", "? b=eve b>X a=adam@X +2", "ba: eve adam"),
    ("later nobody is told again", "? b=eve b>X a=adam@X +2 +60", ""),
    ("several pages are put back by one list", "? a=adam@X b=eve@X c=joe@X +2", "abc: adam eve joe"),
    ("a user who was put back beside the lost place is listed once", "b=eve b>X a=adam/one|192.0.2.1 a>X a~ c=adam@X/one|2001:db8::1 +2", "bc: eve adam"),
    ("when that place lapses nobody is told", "b=eve b>X a=adam/one|192.0.2.1 a>X a~ c=adam@X/one|2001:db8::1 +2 +13", ""),
    ("kept messages are for the same browser only", "a=adam a>X a~ *1 b=adam@X/two +2", "b: adam"),
    ("they stay for it", "a=adam a>X a~ *1 b=adam@X/two +2 c=adam@X", "c: adam | c: *1"),
    ("a place pushed on by a switch is told to both cases", "b=eve b>X c=joe c>Y ? b=eve b>X c=joe c>Y a=adam@X +2 a>Y", "b: eve | ca: joe adam"),
    ("who sleeps and returns while others look is told to them once", "b=eve b>X a=adam a>X a~ +15 a=adam@X +2", "ba: eve adam"),
];

#[test]
fn viewers_are_told_once_of_who_was_put_back() {
    for (claim, script, expected) in SENT {
        assert_eq!(sort(&sent_by(script)), sort(expected), "{claim}: {script}");
    }
}

/// The receivers of each list in order of their ids.
fn sort(sent: &str) -> String {
    let line = |line: &str| {
        let (to, text) = line.split_once(": ").unwrap_or(("", line));
        let mut to: Vec<_> = to.chars().collect();
        to.sort_unstable();
        format!("{}: {text}", to.into_iter().collect::<String>())
    };
    sent.split(" | ").map(line).collect::<Vec<_>>().join(" | ")
}

/// A claim, a script, and the ways onto their cases of all connections after it.
#[rustfmt::skip]
const ENTRIES: &[(&str, &str, &str)] = &[
    ("opened", "a=adam a>X", "a opened"),
    ("taken over", "a=adam a>X a~ b=adam", "b taken_over"),
    ("beside a place that may be dead", "a=adam a>X b=adam@X", "a opened, b taken_over"),
    ("on no case", "a=adam a>X a<", "a -"),
    ("after a start", "? a=adam@X +2", "a after_start"),
    ("after an absence", "a=adam a>X a~ +15 b=adam@X +2", "b after_absence"),
    ("after a dead line", "a=adam a>X a~ +1 b=adam@Y +2", "a opened, b after_dead_line"),
    ("opened again", "? a=adam@X +2 a>X", "a opened"),
    ("after a restart", "a=adam a>X $", "a opened"),
];

#[test]
fn how_a_connection_came_onto_its_case_is_known() {
    for (claim, script, expected) in ENTRIES {
        let people = Stage::after(script).people();
        let connections = people.iter().flat_map(|person| &person.connections);
        let entries = connections.map(|(conn, it)| {
            let entry = it.entry.map_or("-", Entry::name);
            format!("{} {entry}", &conn.as_str()[..1])
        });
        assert_eq!(entries.collect::<Vec<_>>().join(", "), *expected, "{claim}");
    }
}

/// A claim, a script, and the lists that its last step causes.
#[rustfmt::skip]
const RESTARTS: &[(&str, &str, &str)] = &[
    ("a place that was lost before a restart keeps what was left to it", "a=adam b=eve a>X b>X b~ +10 $ c=adam@X +5", "c: adam"),
    ("it keeps that, too", "a=adam b=eve a>X b>X b~ +10 $ c=adam@X +4", ""),
    ("a place that was lost before a crash keeps what was left to it", "a=adam b=eve a>X b>X b~ +10 & c=adam@X +5", "c: adam"),
    ("a place that was not known to be lost is kept for the restart grace", "a=adam b=eve a>X b>X $ c=adam@X +59", ""),
];

#[test]
fn a_restart_prolongs_no_loss_that_was_noticed_before() {
    for (claim, script, expected) in RESTARTS {
        assert_eq!(sent_by(script), *expected, "{claim}: {script}");
    }
}

/// A claim, a script, and the changes that its last step causes.
#[rustfmt::skip]
const PAUSES: &[(&str, &str, &str)] = &[
    ("a place does not lapse because the daemon did not run", "a=adam a>X a~ +10 _60", ""),
    ("its browser is heard first", "a=adam a>X a~ +10 _60 b=adam@X", "a -> b"),
    ("it lapses when the grace is over again", "a=adam a>X a~ +10 _60 +15", "lapsed a 85"),
    ("it does not lapse before", "a=adam a>X a~ +10 _60 +14", ""),
    ("a delay of a second is no pause", "a=adam a>X a~ +14 _2", "lapsed a 16"),
    ("a page may still speak after a pause", "? a=adam@X +1 _30 a>X", "a>X"),
    ("a page that does not speak after a pause is put back", "? a=adam@X +1 _30 +2", "a>>X Start"),
    ("a second pause is one as well", "a=adam a>X a~ +10 _60 +10 _60 b=adam@X", "a -> b"),
];

#[test]
fn browsers_that_wait_while_the_daemon_does_not_run_are_heard_before_their_places_lapse() {
    for (claim, script, expected) in PAUSES {
        let effects = Stage::default().play_all(script);
        assert_eq!(described(&effects), *expected, "{claim}: {script}");
    }
}

#[test]
fn a_place_that_was_pushed_out_by_a_limit_is_an_absence() {
    let rules = Rules {
        lost_places: 1,
        ..rules(Duration::ZERO)
    };
    let mut registry = registry_after(rules, "a=adam a>X b=eve b>X a~ b~ c=adam@X");
    let effects = registry.wake(Duration::from_secs(2));
    assert_eq!(described(&effects), "c>>X Absence");
}

#[test]
fn absences_are_bounded_and_a_network_with_many_loses_its_own() {
    let rules = Rules {
        lost_places: 10,
        ..rules(Duration::ZERO)
    };
    let mut registry = registry_after(rules, "a=adam/one|198.51.100.1 a>X a~");
    let _ = registry.wake(GRACE);
    let mut now = GRACE;
    for number in 0..100 {
        let conn = numbered(number);
        let user = format!("eve{number}");
        let _ = registry.apply(identified(conn, &user, "two|203.0.113.1", None), now);
        let _ = registry.apply(opened(conn, "X"), now);
        let _ = registry.apply(ended(conn, LOST), now);
        now += GRACE;
        let _ = registry.wake(now);
    }
    let absences = registry.snapshot(now).absences;
    assert_eq!(absences.len(), 10);
    let _ = registry.apply(parse("b=adam@X"), now);
    let effects = registry.wake(now + Duration::from_secs(2));
    assert_eq!(described(&effects), "b>>X Absence");
}

#[test]
fn without_memory_nobody_is_remembered() {
    let rules = Rules {
        memory: Duration::ZERO,
        ..rules(Duration::ZERO)
    };
    let mut registry = registry_after(rules, "a=adam a>X a~");
    let _ = registry.wake(GRACE);
    assert_eq!(registry.snapshot(GRACE).absences, []);
}
