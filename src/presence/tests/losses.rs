//! What becomes of a connection that is lost: tables. Grace is 15 seconds, 60 after a restart.

use super::*;

/// What happens, and what browsers are told at the last step.
#[rustfmt::skip]
const TOLD: &[(&str, &str, &str)] = &[
    ("a loss is not spoken of", "a=adam b=eve a>X b>X b~", ""),
    ("lists go on naming who was lost", "a=adam b=eve a>X b>X b~ +14 a>X", "a: adam eve"),
    ("a loss beyond grace tells those who remain, once", "a=adam b=eve a>X b>X b~ +15", "a: adam"),
    ("and not twice", "a=adam b=eve a>X b>X b~ +15 +60", ""),
    ("places that lapse together are one list", "a=adam b=eve c=joe a>X b>X c>X b~ c~ +15", "a: adam"),
    ("a lost place that lapses where nobody else is tells nobody", "a=adam a>X a~ +15", ""),
    ("a return is told to the one who returns", "a=adam b=eve a>X b>X b~ +14 c=eve", "c: adam eve"),
    ("and changes no position in the list", "b=eve a=adam a>X b>X b~ +14 c=eve", "c: eve adam"),
    ("a return is to the case", "a=adam b=eve a>X b>X b~ c=eve a>X", "ac: adam eve"),
    ("a place that was taken over does not lapse", "a=adam b=eve a>X b>X b~ c=eve +15", ""),
    ("a return after the grace is an arrival", "a=adam b=eve a>X b>X b~ +15 c=eve", ""),
    ("another user takes no place", "a=adam b=eve a>X b>X b~ c=joe", ""),
    ("another version takes no place", "a=adam b=eve a>X b>X b~ c=eve:2", ""),
    ("another browser takes no place", "a=adam b=eve a>X b>X b~ c=eve/two", ""),
    ("a goodbye leaves at once", "a=adam b=eve a>X b>X b!", "a: adam"),
    ("a goodbye leaves no place", "a=adam b=eve a>X b>X b! c=eve", ""),
    ("a place is taken once", "a=adam b=eve a>X b>X b~ c=eve d=eve", ""),
    ("a page that names the case takes its place", "a=adam b=eve a>X b>X b~ c=eve@X", "c: adam eve"),
    ("a page that names another case takes none", "a=adam b=eve a>X b>X b~ c=eve@Y", ""),
    ("a page that names no case takes none", "a=adam b=eve a>X b>X b~ c=eve@", ""),
    ("a page must name the whole case", "a=adam b=eve a>AB b>AB b~ c=eve@A", ""),
    ("of two places the page's is taken: the first", "b=eve b>X c=eve c>Y b~ c~ d=eve@X", "d: eve"),
    ("of two places the page's is taken: both are back", "b=eve b>X c=eve c>Y b~ c~ d=eve@Y e=eve@X a=adam a>X", "ae: eve adam"),
    ("without a page, of two places neither is taken", "b=eve b>X c=eve c>Y b~ c~ d=eve", ""),
    ("a queued start wins over the place", "a=adam b=eve a>X b>X b~ c=eve@X c>Y", "a: adam | c: eve"),
    ("a queued stop wins over the place", "a=adam b=eve a>X b>X b~ c=eve@X c<X", "a: adam"),
    ("a queued stop ends the place it names, though not taken", "a=adam b=eve a>X b>X b~ c=eve@ c<X", "a: adam"),
    ("but not when the page has said something before", "a=adam b=eve a>X b>X b~ c=eve@ c<Y c<X", ""),
    ("a queued stop ends no other place", "a=adam b=eve a>X b>X b~ c=eve@ c<Y", ""),
    ("a queued stop ends no place of another browser", "a=adam b=eve a>X b>X b~ c=eve@/two c<X", ""),
    ("an early start wins over the place", "a=adam b=eve a>X b>X b~ c>Y c=eve", "a: adam | c: eve"),
    ("also by the page that it was on before", "a=adam b=eve a>X b>X b~ c>Y c=eve@X", "a: adam | c: eve"),
    ("an early start of the same case is a return", "a=adam b=eve a>X b>X b~ c>X c=eve", "ac: adam eve"),
    ("an early stop wins over the place", "a=adam b=eve a>X b>X b~ c<X c=eve", "a: adam"),
    ("an early stop ends the place it names, though not taken", "a=adam b=eve a>X b>X b~ c<X c=eve@", "a: adam"),
    ("also when the page has opened another case since", "a=adam b=eve a>X b>X b~ c<X c>Y c=eve@Y", "a: adam | c: eve"),
    ("or one case after the other", "a=adam b=eve d=joe a>X b>X d>Z b~ c<X c>Z c<Z c>Y c=eve@Y", "a: adam | c: eve"),
    ("a page that is back before its loss was noticed is on its case", "a=adam b=eve a>X b>X c=eve@X", "c: adam eve"),
    ("and its loss is then nobody's business", "a=adam b=eve a>X b>X +10 c=eve@X +10 b~15 +15", ""),
    ("and it is still there", "a=adam b=eve a>X b>X +10 c=eve@X +10 b~15 +15 a>X", "ac: adam eve"),
    ("what was said to the dead line meanwhile reaches its successor", "b=eve b>X +1 *1 +9 c=eve@X +1 *2 b~15", "c: *1"),
    ("a second tab is no successor of the first", "b=eve b>X c=eve@X c>X +20 *1 c~", ""),
    ("a poll that breaks off is a goodbye", "a=adam b=eve a>X b>X b% .", "a: adam"),
    ("though not at once, for others may follow", "a=adam b=eve a>X b>X b%", ""),
    ("when another browser is cut off, too, both are lost", "a=adam b=eve c=joe/two a>X b>X c>X b% c% . +14", ""),
    ("and come back", "a=adam b=eve c=joe/two a>X b>X c>X b% c% . d=eve e=joe/two a>X", "ade: adam eve joe"),
    ("also when that was a websocket, before it", "a=adam b=eve c=joe/two a>X b>X c>X c~ b% . +14", ""),
    ("or after it", "a=adam b=eve c=joe/two a>X b>X c>X b% c~ . +14", ""),
    ("and so are all that follow", "a=adam b=eve c=joe/two d=eve a>X b>X c>X d>X b% c% d% . +14", ""),
    ("and so are all that follow soon", "a=adam b=eve c=joe d=joe a>Y b>X c>X d>Y b% c% , d% .", ""),
    ("also on two desks of one office, with one browser everywhere", "a=adam b=eve c=joe a>X b>X c>X b% c% . +14", ""),
    ("a browser that is closed with all its tabs is gone", "a=adam b=eve/two c=eve/two a>X b>X c>X b% c% .", "a: adam"),
    ("what happens to others later is another matter", "a=adam b=eve c=joe/two a>X b>X c>X b% . c% .", "a: adam"),
    ("a message to a lost place reaches whoever takes it over", "b=eve b>X b~ *1 c=eve", "c: eve | c: *1"),
    ("all of them do, in order", "b=eve b~ *1 *2 *3 c=eve", "c: *1 | c: *2 | c: *3"),
    ("but only those that are meant for it", "b=eve b~ *1 c=joe", ""),
    ("and only once", "b=eve b~ *1 c=eve c~ d=eve", ""),
    ("a message before the loss is not repeated", "b=eve *1 b~ c=eve", ""),
    ("unless nothing had been heard since", "b=eve +9 *1 +61 b~70 c=eve", "c: *1"),
    ("and then none from before the silence", "b=eve *1 +9 *2 +61 b~65 c=eve", "c: *2"),
    ("what was kept is kept on if the line that took the place was dead", "b=eve b~ +2 *1 +8 c=eve +70 c~70 d=eve", "d: *1"),
    ("but not once something was heard over it", "b=eve b~ +2 *1 +8 c=eve +70 c~60 d=eve", ""),
    ("what was said before somebody came is not for them", "a=adam *1 +1 b=eve +5 b~70 c=eve", ""),
    ("not even to one that was lost at once", "a=adam *1 b=eve b~1 c=eve", ""),
    ("nor what is said to others while they are away", "b=eve b~ ^1 c=eve", ""),
    ("a tab without a case gets its messages too", "b=eve b~ *1 c=eve@", "c: *1"),
    ("a restart tells nobody that anybody left", "a=adam b=eve a>X b>X $ +59", ""),
    ("after a restart everybody is back on the case", "a=adam b=eve a>X b>X $ c=adam d=eve", "d: adam eve"),
    ("also in the order of identify", "b=eve a=adam a>X b>X $ c=adam d=eve", "d: eve adam"),
    ("whoever stays away has left after the restart's grace", "a=adam b=eve a>X b>X $ c=adam +60", "c: adam"),
    ("who is waited for over two restarts is waited for no longer", "a=adam b=eve a>X b>X $ +50 $ c=adam +10", "c: adam"),
    ("places that were lost before a restart are kept over it", "a=adam b=eve a>X b>X b~ $ c=adam d=eve", "d: adam eve"),
    ("messages are kept over a restart", "b=eve b~ *1 $ *2 c=eve", "c: *1 | c: *2"),
    ("but not those that were received", "b=eve *1 $ *2 c=eve", "c: *2"),
    ("a place that is ended by hand is left", "a=adam b=eve a>X b>X b~ b#", "a: adam"),
    ("a connection that is there cannot be ended by hand", "a=adam b=eve a>X b>X b#", ""),
    ("a lost connection says nothing more", "a=adam b=eve a>X b>X b~ b>Y", ""),
    ("nor takes another name", "a=adam b=eve a>X b>X b~ b=joe a>X", "a: adam eve"),
];

#[test]
fn nobody_is_told_of_a_loss_that_is_made_good() {
    for (claim, script, expected) in TOLD {
        assert_eq!(lists(script), *expected, "{claim}: {script}");
    }
}

/// What happens, and the changes to places at the last step: `lost b`, `b -> c` for a place that was taken over (`!` if others
/// were watching), `b => c` for a page that was back before its loss was noticed, `lapsed b 85` with the staleness in seconds,
/// `left b` and why.
#[rustfmt::skip]
const CHANGES: &[(&str, &str)] = &[
    ("b=eve b~", "lost b"),
    ("b=eve b!", "left b Closed"),
    ("b=eve b>X b~ c=eve", "b -> c"),
    ("a=adam a>X b=eve b>X b~ c=eve", "b -> c!"),
    ("a=adam a>X b=eve b>X a~ b~ c=eve", "b -> c"),
    ("a=adam a>X b=eve b>X b~ c>Y c=eve", "b -> c, c>Y"),
    ("b=eve b>X +10 c=eve@X +10 b~15", "b => c, lost b"),
    ("b=eve b>X d=eve d>X d~ +10 c=eve@X +10 b~15", "b => c, lost b"),
    ("b=eve b>X +10 c=eve@Y +10 b~15", "lost b"),
    ("b=eve b>X +10 c=eve@X +5 c~ +5 b~15", "lost b"),
    ("b=eve b>X c=eve@X +20 b~5", "lost b"),
    ("b=eve b>X b~ c=eve/two c>X +15", "left b Duplicate"),
    ("b=eve b~70 +15", "lapsed b 85"),
    ("b=eve b~ b#", "left b Dismissed"),
    ("b=eve b#", ""),
    ("b=eve b%", ""),
    ("b=eve b% .", "left b Closed"),
    ("b=eve c=joe/two b% c%", "lost b, lost c"),
    ("b=eve", "b=eve"),
    ("b=eve b=eve", "b:eve"),
    ("b=eve b=joe", "b:joe"),
    ("b=eve b>X c=eve@X", "c=eve X"),
    ("b=eve b>X", "b>X"),
    ("b=eve b>X b>X", "b>X"),
    ("b=eve b>X b<", "b<X"),
    ("b=eve b<", "b<"),
    ("b>X b=eve", "b=eve, b>X"),
    ("a=adam b=eve b>X b~ c=eve@ c<X", "c<, left b ClosedLater"),
    ("b=eve *12", "posted 2"),
];

#[test]
fn subscribers_are_told_what_becomes_of_a_place() {
    for (script, expected) in CHANGES {
        let mut stage = Stage::default();
        let mut last = Vec::new();
        for step in script.split(' ') {
            last = stage.play(step);
        }
        let changes: Vec<_> = last.iter().filter_map(change).map(described).collect();
        assert_eq!(changes.join(", "), *expected, "{script}");
    }
}

#[test]
fn a_lost_connection_still_counts_and_is_shown_as_lost() {
    let mut stage = played("a=adam a>X a~ +4");
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
fn without_grace_a_loss_is_a_goodbye() {
    let mut registry = Registry::new(Rules {
        grace: Duration::ZERO,
        ..rules(Duration::ZERO)
    });
    for event in ["a=adam", "b=eve", "a>X", "b>X"] {
        let _ = registry.apply(parse(event), Duration::ZERO);
    }
    let effects = registry.apply(parse("b~"), Duration::ZERO);
    assert_eq!(spoken(&effects), "a: adam");
    let changes: Vec<_> = effects.iter().filter_map(change).map(described).collect();
    assert_eq!(changes, ["left b Closed"]);
}

#[test]
fn while_the_daemon_stops_nobody_lapses() {
    for grace in [Duration::ZERO, GRACE] {
        let mut registry = Registry::new(Rules {
            grace,
            ..rules(Duration::ZERO)
        });
        for event in ["a=adam", "b=eve", "a>X", "b>X"] {
            let _ = registry.apply(parse(event), Duration::ZERO);
        }
        registry.drain();
        let effects = registry.apply(parse("b~"), Duration::ZERO);
        assert_eq!(spoken(&effects), "");
        assert_eq!(spoken(&registry.wake(GRACE * 10)), "");
        assert_eq!(registry.next_due(), None);
        assert_eq!(registry.snapshot(GRACE).places.len(), 2);
    }
}

#[test]
fn lost_places_are_bounded_and_the_oldest_makes_room() {
    let mut registry = Registry::new(Rules {
        lost_places: 2,
        ..rules(Duration::ZERO)
    });
    for event in [
        "a=adam", "b=eve", "c=joe", "d=zoe", "a>X", "b>X", "c>X", "d>X",
    ] {
        let _ = registry.apply(parse(event), Duration::ZERO);
    }
    for (at, event, told) in [(1, "b~", ""), (2, "c~", ""), (3, "d~", "a: adam joe zoe")] {
        let effects = registry.apply(parse(event), Duration::from_secs(at));
        assert_eq!(spoken(&effects), told, "{event}");
    }
}

#[test]
fn a_user_with_more_tabs_than_anybody_has_costs_no_more_than_others() {
    let mut stage = Stage::default();
    for number in 0..=64 {
        let conn: ConnectionId = format!("{number:016}").as_str().try_into().unwrap();
        let case = number.to_string().as_str().try_into().unwrap();
        for event in [
            Event::Identified {
                conn,
                identity: identity("eve"),
                browser: browser("one"),
                page: Some(page("")),
            },
            Event::CaseOpened { conn, case },
        ] {
            let _ = stage.registry.apply(event, stage.now);
        }
    }
    assert_eq!(spoken(&stage.play("a=eve@63")), "a: eve");
    assert_eq!(spoken(&stage.play("b=eve@64")), "", "one too many");
}

#[test]
fn messages_are_bounded_and_the_latest_are_kept() {
    let mut stage = played("b=eve b~");
    for number in 0..100 {
        stage.play(&format!("*{number}"));
    }
    let told = spoken(&stage.play("c=eve"));
    let latest: Vec<_> = (68..100).map(|number| format!("c: *{number}")).collect();
    assert_eq!(told, latest.join(" | "));

    let mut stage = played("b=eve b~");
    let long = "x".repeat(3 * 1024 * 1024);
    stage.play(&format!("*1{long}"));
    stage.play(&format!("*2{long}"));
    assert!(spoken(&stage.play("c=eve")).starts_with("c: *2xxx"));
    stage.play("c~");
    stage.play(&format!("*3{long}{long}"));
    assert!(spoken(&stage.play("d=eve")).starts_with("d: *3xxx"));
}

#[test]
fn a_message_says_how_many_it_waits_for() {
    let mut stage = played("a=adam b=eve c=joe b~ c~");
    let posting = stage.post("operator", "1");
    assert_eq!(
        (posting.to, posting.kept),
        (Recipients::These(conns("a")), 2)
    );
}

#[test]
fn a_restart_with_no_grace_forgets_everybody() {
    let snapshot = played("a=adam a>X *1").registry.snapshot(Duration::ZERO);
    let rules = rules(Duration::ZERO);
    let restored = Registry::restored(rules, snapshot, Duration::ZERO);
    assert_eq!(restored, Registry::new(rules));
}

fn played(script: &str) -> Stage {
    let mut stage = Stage::default();
    for step in script.split(' ') {
        stage.play(step);
    }
    stage
}

/// A change in the shorthand of [`CHANGES`].
fn described(change: &Change) -> String {
    let id = |conn: &ConnectionId| conn.as_str()[..1].to_owned();
    let case = |case: &Option<CaseRef>| case.as_ref().map(ToString::to_string).unwrap_or_default();
    match change {
        Change::Arrived {
            conn,
            identity,
            case: on,
        } => {
            let arrived = format!("{}={} {}", id(conn), identity.username, case(on));
            arrived.trim_end().to_owned()
        }
        Change::Identified { conn, identity } => format!("{}:{}", id(conn), identity.username),
        Change::Opened { conn, case } => format!("{}>{case}", id(conn)),
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
