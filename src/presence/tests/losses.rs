//! Lost connections. The grace is 15 seconds, the restart grace 60.

use super::*;

/// A claim, a script, and the lists and messages that its last step causes.
#[rustfmt::skip]
const SENT: &[(&str, &str, &str)] = &[
    ("a loss sends no list", "a=adam b=eve a>X b>X b~", ""),
    ("lists still have a lost viewer", "a=adam b=eve a>X b>X b~ +14 a>X", "a: adam eve"),
    ("when the grace ends, the others are sent a list", "a=adam b=eve a>X b>X b~ +15", "a: adam"),
    ("when the grace ends, that list is sent once", "a=adam b=eve a>X b>X b~ +15 +60", ""),
    ("places that lapse together are one list", "a=adam b=eve c=joe a>X b>X c>X b~ c~ +15", "a: adam"),
    ("a place that lapses on an empty case sends no list", "a=adam a>X a~ +15", ""),
    ("a return sends the list to the returning browser", "a=adam b=eve a>X b>X b~ +14 c=eve", "c: adam eve"),
    ("a return changes no position in the list", "b=eve a=adam a>X b>X b~ +14 c=eve", "c: eve adam"),
    ("a return is on the case again", "a=adam b=eve a>X b>X b~ c=eve a>X", "ac: adam eve"),
    ("a resumed place does not lapse", "a=adam b=eve a>X b>X b~ c=eve +15", ""),
    ("a return after the grace is an arrival", "a=adam b=eve a>X b>X b~ +15 c=eve", ""),
    ("another user resumes no place", "a=adam b=eve a>X b>X b~ c=joe", ""),
    ("another version resumes no place", "a=adam b=eve a>X b>X b~ c=eve:2", ""),
    ("another browser resumes no place", "a=adam b=eve a>X b>X b~ c=eve/two", ""),
    ("a clean close leaves at once", "a=adam b=eve a>X b>X b!", "a: adam"),
    ("a clean close leaves no place to resume", "a=adam b=eve a>X b>X b! c=eve", ""),
    ("a place is resumed once", "a=adam b=eve a>X b>X b~ c=eve d=eve", ""),
    ("a page of the case resumes its place", "a=adam b=eve a>X b>X b~ c=eve@X", "c: adam eve"),
    ("a page of another case resumes no place", "a=adam b=eve a>X b>X b~ c=eve@Y", ""),
    ("a page of no case resumes no place", "a=adam b=eve a>X b>X b~ c=eve@", ""),
    ("a page of a case whose name is a prefix resumes no place", "a=adam b=eve a>AB b>AB b~ c=eve@A", ""),
    ("of two places the one of the page is resumed", "b=eve b>X c=eve c>Y b~ c~ d=eve@X", "d: eve"),
    ("two pages resume the place of their own case each", "b=eve b>X c=eve c>Y b~ c~ d=eve@Y e=eve@X a=adam a>X", "ae: eve adam"),
    ("without a page, neither of two places is resumed", "b=eve b>X c=eve c>Y b~ c~ d=eve", ""),
    ("a queued start overrides the resumed place", "a=adam b=eve a>X b>X b~ c=eve@X c>Y", "a: adam | c: eve"),
    ("a queued stop overrides the resumed place", "a=adam b=eve a>X b>X b~ c=eve@X c<X", "a: adam"),
    ("a queued stop ends the place on its case, though it was not resumed", "a=adam b=eve a>X b>X b~ c=eve@ c<X", "a: adam"),
    ("a second queued stop ends no other place", "a=adam b=eve a>X b>X b~ c=eve@ c<Y c<X", ""),
    ("a queued stop ends no place on another case", "a=adam b=eve a>X b>X b~ c=eve@ c<Y", ""),
    ("a queued stop ends no place of another browser", "a=adam b=eve a>X b>X b~ c=eve@/two c<X", ""),
    ("an early start overrides the place", "a=adam b=eve a>X b>X b~ c>Y c=eve", "a: adam | c: eve"),
    ("an early start overrides the place of the page", "a=adam b=eve a>X b>X b~ c>Y c=eve@X", "a: adam | c: eve"),
    ("an early start of the same case is a return", "a=adam b=eve a>X b>X b~ c>X c=eve", "ac: adam eve"),
    ("an early stop overrides the place", "a=adam b=eve a>X b>X b~ c<X c=eve", "a: adam"),
    ("an early stop ends the place on its case, though it was not resumed", "a=adam b=eve a>X b>X b~ c<X c=eve@", "a: adam"),
    ("an early stop ends the place on its case, though a start follows", "a=adam b=eve a>X b>X b~ c<X c>Y c=eve@Y", "a: adam | c: eve"),
    ("an early stop ends the place on its case, though several cases follow", "a=adam b=eve d=joe a>X b>X d>Z b~ c<X c>Z c<Z c>Y c=eve@Y", "a: adam | c: eve"),
    ("a page that is back before its loss was noticed is on its case", "a=adam b=eve a>X b>X c=eve@X", "c: adam eve"),
    ("the later loss of a replaced connection sends no list", "a=adam b=eve a>X b>X +10 c=eve@X +10 b~15 +15", ""),
    ("after the later loss of a replaced connection the page is still listed", "a=adam b=eve a>X b>X +10 c=eve@X +10 b~15 +15 a>X", "ac: adam eve"),
    ("messages sent over the dead connection are sent to its successor", "b=eve b>X +1 *1 +9 c=eve@X +1 *2 b~15", "c: *1"),
    ("a second tab is no successor of the first", "b=eve b>X c=eve@X c>X +20 *1 c~", ""),
    ("an aborted poll is a clean close", "a=adam b=eve a>X b>X b% .", "a: adam"),
    ("an aborted poll leaves after a moment, because others may follow", "a=adam b=eve a>X b>X b%", ""),
    ("polls of two browsers that are aborted together are losses", "a=adam b=eve c=joe/two a>X b>X c>X b% c% . +14", ""),
    ("browsers whose polls were aborted together return to their case", "a=adam b=eve c=joe/two a>X b>X c>X b% c% . d=eve e=joe/two a>X", "ade: adam eve joe"),
    ("a websocket lost before an aborted poll makes both losses", "a=adam b=eve c=joe/two a>X b>X c>X c~ b% . +14", ""),
    ("a websocket lost after an aborted poll makes both losses", "a=adam b=eve c=joe/two a>X b>X c>X b% c~ . +14", ""),
    ("a third poll that is aborted together with two others is a loss", "a=adam b=eve c=joe/two d=eve a>X b>X c>X d>X b% c% d% . +14", ""),
    ("a third poll that is aborted 50 ms later is a loss", "a=adam b=eve c=joe d=joe a>Y b>X c>X d>Y b% c% , d% .", ""),
    ("polls of two users with the same browser and address that are aborted together are losses", "a=adam b=eve c=joe a>X b>X c>X b% c% . +14", ""),
    ("a browser that is closed with all its tabs leaves", "a=adam b=eve/two c=eve/two a>X b>X c>X b% c% .", "a: adam"),
    ("polls that are aborted one after the other are clean closes", "a=adam b=eve c=joe/two a>X b>X c>X b% . c% .", "a: adam"),
    ("a message to a lost place is sent when the place is resumed", "b=eve b>X b~ *1 c=eve", "c: eve | c: *1"),
    ("several messages to a lost place are sent in order", "b=eve b~ *1 *2 *3 c=eve", "c: *1 | c: *2 | c: *3"),
    ("a resumed place is the only one that is sent its messages", "b=eve b~ *1 c=joe", ""),
    ("a message to a lost place is sent once", "b=eve b~ *1 c=eve c~ d=eve", ""),
    ("a message after a poll was aborted is sent again", "b=eve c=joe/two b>X c>X +10 *1 b%1 c%1 d=eve", "d: eve joe | d: *1"),
    ("a message before a poll was aborted is not repeated", "b=eve c=joe/two b>X c>X +10 *1 +2 b%1 c%1 d=eve", "d: eve joe"),
    ("a message before the loss is not repeated", "b=eve *1 b~ c=eve", ""),
    ("a message is repeated if nothing was received from the client after it", "b=eve +9 *1 +61 b~70 c=eve", "c: *1"),
    ("a message from before the silence is not repeated", "b=eve *1 +9 *2 +61 b~65 c=eve", "c: *2"),
    ("kept messages are kept on if the connection that resumed the place was dead", "b=eve b~ +2 *1 +8 c=eve +70 c~70 d=eve", "d: *1"),
    ("kept messages are dropped once something was received from the client", "b=eve b~ +2 *1 +8 c=eve +70 c~60 d=eve", ""),
    ("a message from before a user arrived is not sent to that user", "a=adam *1 +1 b=eve +5 b~70 c=eve", ""),
    ("a message from before a user arrived is not sent after an early loss either", "a=adam *1 b=eve b~1 c=eve", ""),
    ("a message to another user type is not kept", "b=eve b~ ^1 c=eve", ""),
    ("a tab without a case is sent its messages too", "b=eve b~ *1 c=eve@", "c: *1"),
    ("a restart sends no list", "a=adam b=eve a>X b>X $ +59", ""),
    ("after a restart all users return to the case", "a=adam b=eve a>X b>X $ c=adam d=eve", "d: adam eve"),
    ("after a restart viewers are listed in order of identify", "b=eve a=adam a>X b>X $ c=adam d=eve", "d: eve adam"),
    ("a user who does not return has left after the restart grace", "a=adam b=eve a>X b>X $ c=adam +60", "c: adam"),
    ("a second restart does not prolong the restart grace", "a=adam b=eve a>X b>X $ +50 $ c=adam +10", "c: adam"),
    ("a place that was lost before a restart is kept", "a=adam b=eve a>X b>X b~ $ c=adam d=eve", "d: adam eve"),
    ("messages are kept over a restart", "b=eve b~ *1 $ *2 c=eve", "c: *1 | c: *2"),
    ("received messages are not repeated after a restart", "b=eve *1 $ *2 c=eve", "c: *2"),
    ("a place that is ended by hand is left", "a=adam b=eve a>X b>X b~ b#", "a: adam"),
    ("a connected place cannot be ended by hand", "a=adam b=eve a>X b>X b#", ""),
    ("events of a lost connection are ignored", "a=adam b=eve a>X b>X b~ b>Y", ""),
    ("a lost connection takes no other name", "a=adam b=eve a>X b>X b~ b=joe a>X", "a: adam eve"),
];

#[test]
fn a_loss_within_the_grace_changes_no_list() {
    for (claim, script, expected) in SENT {
        assert_eq!(sent_by(script), *expected, "{claim}: {script}");
    }
}

/// A claim, a script, and the changes that its last step causes.
///
/// | change | meaning |
/// |---|---|
/// | `lost b` | connection b is lost |
/// | `b -> c` | c has resumed the place of b; with `!`, other viewers were on the case |
/// | `b => c` | c is the page of b, whose loss was not noticed yet |
/// | `lapsed b 85` | the place of b has lapsed, 85 seconds after the last sign of life |
/// | `left b Closed` | b has left, and why |
/// | `b=eve X` | b has arrived as eve, on case X |
/// | `b:joe` | b identifies as joe |
/// | `b>X` and `b<X` | b has opened and closed case X |
/// | `posted 2` | a message of two bytes was posted |
#[rustfmt::skip]
const CHANGES: &[(&str, &str, &str)] = &[
    ("a loss", "b=eve b~", "lost b"),
    ("a clean close", "b=eve b!", "left b Closed"),
    ("a resumed place", "b=eve b>X b~ c=eve", "b -> c"),
    ("a resumed place on a case with other viewers", "a=adam a>X b=eve b>X b~ c=eve", "b -> c!"),
    ("a resumed place on a case whose other viewers are lost", "a=adam a>X b=eve b>X a~ b~ c=eve", "b -> c"),
    ("an early start after a resume", "a=adam a>X b=eve b>X b~ c>Y c=eve", "b -> c, c>Y"),
    ("a replaced connection, and its loss", "b=eve b>X +10 c=eve@X +10 b~15", "b => c, lost b"),
    ("a replaced connection beside a lost tab on the same case", "b=eve b>X d=eve d>X d~ +10 c=eve@X +10 b~15", "b => c, lost b"),
    ("a page of another case replaces no connection", "b=eve b>X +10 c=eve@Y +10 b~15", "lost b"),
    ("a page that is gone has replaced no connection", "b=eve b>X +10 c=eve@X +5 c~ +5 b~15", "lost b"),
    ("a second tab replaces no connection", "b=eve b>X c=eve@X +20 b~5", "lost b"),
    ("a lost place whose user is on the case in another browser is a duplicate when its grace ends", "b=eve b>X b~ c=eve/two c>X +15", "left b Duplicate"),
    ("a lapse, with the silence before it", "b=eve b~70 +15", "lapsed b 85"),
    ("an end by hand", "b=eve b~ b#", "left b Dismissed"),
    ("an end by hand of a connected place", "b=eve b#", ""),
    ("an aborted poll, before it is judged", "b=eve b%", ""),
    ("an aborted poll that is a clean close", "b=eve b% .", "left b Closed"),
    ("aborted polls that are losses", "b=eve c=joe/two b% c%", "lost b, lost c"),
    ("an arrival", "b=eve", "b=eve"),
    ("the same name again", "b=eve b=eve", "b:eve"),
    ("another name", "b=eve b=joe", "b:joe"),
    ("an arrival on the case of a connection that may be dead", "b=eve b>X c=eve@X", "c=eve X"),
    ("a start", "b=eve b>X", "b>X"),
    ("a second start of the same case", "b=eve b>X b>X", "b>X"),
    ("a stop", "b=eve b>X b<", "b<X"),
    ("a stop without a case", "b=eve b<", "b<"),
    ("a start before identify", "b>X b=eve", "b=eve, b>X"),
    ("a queued stop on the case of a lost place", "a=adam b=eve b>X b~ c=eve@ c<X", "c<, left b ClosedLater"),
    ("a message of two bytes", "b=eve *12", "posted 2"),
];

#[test]
fn subscribers_are_sent_every_change_of_a_place() {
    for (claim, script, expected) in CHANGES {
        let effects = Stage::default().play_all(script);
        assert_eq!(described(&effects), *expected, "{claim}: {script}");
    }
}

#[test]
fn a_lost_connection_still_counts_and_is_shown_as_lost() {
    let mut stage = Stage::after("a=adam a>X a~ +4");
    assert_eq!(stage.registry.census().people, 1);
    let connections = |stage: &Stage| {
        let people = stage.people().into_iter();
        let connections = people
            .flat_map(|person| person.connections)
            .map(|(_, it)| it);
        connections.collect::<Vec<_>>()
    };
    assert_eq!(
        connections(&stage),
        [ConnectionView {
            identity: identity("adam"),
            case: Some("X".try_into().unwrap()),
            lost: Some(LossView {
                since: Duration::from_secs(4),
                left: Duration::from_secs(11),
            }),
        }]
    );
    stage.play("+11");
    assert_eq!(connections(&stage), []);
    assert_eq!(stage.registry.census(), Census::default());
}

#[test]
fn without_grace_a_loss_is_a_clean_close() {
    let rules = Rules {
        grace: Duration::ZERO,
        ..rules(Duration::ZERO)
    };
    let mut registry = registry_after(rules, "a=adam b=eve a>X b>X");
    let effects = registry.apply(parse("b~"), Duration::ZERO);
    assert_eq!(sent(&effects), "a: adam");
    assert_eq!(described(&effects), "left b Closed");
}

#[test]
fn no_place_lapses_during_the_drain() {
    for grace in [Duration::ZERO, GRACE] {
        let rules = Rules {
            grace,
            ..rules(Duration::ZERO)
        };
        let mut registry = registry_after(rules, "a=adam b=eve a>X b>X");
        registry.drain();
        let effects = registry.apply(parse("b~"), Duration::ZERO);
        assert_eq!(sent(&effects), "", "grace {grace:?}");
        assert_eq!(sent(&registry.wake(GRACE * 10)), "", "grace {grace:?}");
        assert_eq!(registry.next_due(), None, "grace {grace:?}");
        assert_eq!(registry.snapshot(GRACE).places.len(), 2, "grace {grace:?}");
    }
}

#[test]
fn lost_places_are_bounded_and_the_oldest_makes_room() {
    let rules = Rules {
        lost_places: 2,
        ..rules(Duration::ZERO)
    };
    let mut registry = registry_after(rules, "a=adam b=eve c=joe d=zoe a>X b>X c>X d>X");
    for (at, event, expected) in [(1, "b~", ""), (2, "c~", ""), (3, "d~", "a: adam joe zoe")] {
        let effects = registry.apply(parse(event), Duration::from_secs(at));
        assert_eq!(sent(&effects), expected, "{event} after {at} s");
    }
}

#[test]
fn the_places_of_one_browser_that_are_compared_are_bounded() {
    let mut stage = Stage::default();
    for number in 0..=64 {
        let conn = numbered(number);
        for event in [
            identified(conn, "eve", "one", Some(page(""))),
            opened(conn, &number.to_string()),
        ] {
            let _ = stage.apply(event);
        }
    }
    assert_eq!(sent(&stage.play("a=eve@63")), "a: eve");
    assert_eq!(sent(&stage.play("b=eve@64")), "", "one too many");
}

#[test]
fn messages_are_bounded_and_the_latest_are_kept() {
    let mut stage = Stage::after("b=eve b~");
    for number in 0..100 {
        stage.play(&format!("*{number}"));
    }
    let received = sent(&stage.play("c=eve"));
    let latest: Vec<_> = (68..100).map(|number| format!("c: *{number}")).collect();
    assert_eq!(received, latest.join(" | "));

    let mut stage = Stage::after("b=eve b~");
    let long = "x".repeat(3 * 1024 * 1024);
    stage.play(&format!("*1{long}"));
    stage.play(&format!("*2{long}"));
    assert!(sent(&stage.play("c=eve")).starts_with("c: *2xxx"));
    stage.play("c~");
    stage.play(&format!("*3{long}{long}"));
    assert!(sent(&stage.play("d=eve")).starts_with("d: *3xxx"));
}

#[test]
fn a_post_counts_the_lost_places_that_the_message_is_kept_for() {
    let mut stage = Stage::after("a=adam b=eve c=joe b~ c~");
    let posting = stage.post("operator", "1");
    assert_eq!(
        (posting.to, posting.kept),
        (Recipients::These(vec![conn("a")]), 2)
    );
}

#[test]
fn a_restart_without_restart_grace_restores_nobody() {
    let snapshot = Stage::after("a=adam a>X *1")
        .registry
        .snapshot(Duration::ZERO);
    let rules = rules(Duration::ZERO);
    let restored = Registry::restored(rules, snapshot, Duration::ZERO);
    assert_eq!(restored, Registry::new(rules));
}

/// The changes among effects, in the shorthand of [`CHANGES`].
fn described(effects: &[Effect]) -> String {
    changes(effects).map(change).collect::<Vec<_>>().join(", ")
}

fn change(change: &Change) -> String {
    let id = |conn: &ConnectionId| conn.as_str()[..1].to_owned();
    let case = |case: &Option<CaseRef>| case.as_ref().map(ToString::to_string).unwrap_or_default();
    match change {
        Change::Arrived { conn, facts } => {
            let user = &facts.identity.username;
            let arrived = format!("{}={user} {}", id(conn), case(&facts.case));
            arrived.trim_end().to_owned()
        }
        Change::Identified { conn, identity } => format!("{}:{}", id(conn), identity.username),
        Change::Opened { conn, case, .. } => format!("{}>{case}", id(conn)),
        Change::Closed { conn, case: left } => format!("{}<{}", id(conn), case(left)),
        Change::Lost { conn } => format!("lost {}", id(conn)),
        Change::Resumed { conn, old, watched } => {
            let watched = if *watched { "!" } else { "" };
            format!("{} -> {}{watched}", id(old), id(conn))
        }
        Change::Reconnected { conn, old } => format!("{} => {}", id(old), id(conn)),
        Change::Lapsed { conn, staleness } => {
            format!("lapsed {} {}", id(conn), staleness.as_secs())
        }
        Change::Left { conn, reason } => format!("left {} {reason:?}", id(conn)),
        Change::Posted { text, .. } => format!("posted {text}"),
    }
}
