//! The file of places, written from a real hub.

use std::time::SystemTime;

use tempfile::TempDir;
use tokio::time::Instant;

use super::*;
use crate::{
    hub::{Recorder, registry},
    presence::{CaseRef, Entry, Evidence, Facts, SavedAbsence, SavedPlace},
};

#[tokio::test(start_paused = true)]
async fn the_file_is_written_again_while_nothing_changes() {
    let directory = TempDir::new().unwrap();
    let (handle, hub, inbox) = Recorder::default().hub(registry());
    let store = Store::new(directory.path().to_owned());
    let path = directory.path().join(FILE);
    let keeping = keep(Some(store), handle, CancellationToken::new());
    let started = Instant::now();
    let written = async {
        for _ in 0..3 {
            while fs::remove_file(&path).is_err() {
                sleep(Duration::from_millis(10)).await;
            }
        }
    };
    tokio::select! {
        () = keeping => panic!("the store ended"),
        () = hub.run(inbox) => panic!("the hub ended"),
        written = timeout(REFRESH * 4, written) => written.unwrap(),
    }
    assert!(
        started.elapsed() > REFRESH * 2,
        "it is written only once per interval"
    );
}

/// A file of each version, and its times. The file of version 2 has members that this daemon does not know.
const FIXTURES: [(&str, [Option<u64>; 3]); 2] = [
    (include_str!("fixtures/places-1.json"), [None; 3]),
    (
        include_str!("fixtures/places-2.json"),
        [
            Some(1_764_300_000_000),
            Some(1_764_300_060_000),
            Some(1_764_300_120_000),
        ],
    ),
];

#[test]
fn a_file_of_each_version_is_read_and_unknown_members_are_ignored() {
    let directory = TempDir::new().unwrap();
    let store = Store::new(directory.path().to_owned());
    for (version, (text, times)) in (1..).zip(FIXTURES) {
        fs::write(store.path(FILE), text).unwrap();
        let before = wall_time();
        let snapshot = store.load();
        let [adam, eve] = snapshot.places.as_slice() else {
            panic!("not both places in {text}");
        };
        let version = format!("version {version}");
        assert_eq!(names(adam), ("adam", Some("AB-1234-5678")), "{version}");
        assert_eq!(names(eve), ("eve", None), "{version}");
        assert_eq!(adam.left, None, "{version}");
        assert_eq!(eve.left, Some(Duration::from_secs(12)), "{version}");
        let unread_from = (adam.unread_from.0, eve.unread_from.0);
        assert_eq!(unread_from, (8, 7), "{version}");
        assert_eq!(eve.first_user_type.as_str(), "operator", "{version}");
        assert_eq!(eve.facts.opened_at, None, "{version}");
        let read = [
            adam.facts.since,
            adam.facts.opened_at.unwrap(),
            eve.facts.since,
        ];
        for (read, expected) in read.into_iter().zip(times) {
            match expected {
                Some(expected) => assert_eq!(read.0, Duration::from_millis(expected), "{version}"),
                None => assert!(read >= before, "{version} has no times"),
            }
        }
        let numbers: Vec<_> = snapshot.messages.iter().map(|it| it.number.0).collect();
        assert_eq!(
            (numbers.as_slice(), snapshot.next_message.0),
            ([6, 7].as_slice(), 8),
            "{version}"
        );
    }
}

#[test]
fn a_written_file_is_read_back() {
    let directory = TempDir::new().unwrap();
    let store = Store::new(directory.path().to_owned());
    let [_, (text, _)] = FIXTURES;
    fs::write(store.path(FILE), text).unwrap();
    let snapshot = store.load();
    store.save(snapshot.clone()).unwrap();
    let written = fs::read_to_string(store.path(FILE)).unwrap();
    assert!(written.starts_with(r#"{"format":"cla-socketserver places 2","#));
    let read = store.load();
    assert!(read.age < Duration::from_mins(1), "{:?}", read.age);
    let age = read.age;
    assert_eq!(read, Snapshot { age, ..snapshot });
}

#[test]
fn a_file_without_the_members_of_version_2_that_came_later_is_read() {
    let directory = TempDir::new().unwrap();
    let store = Store::new(directory.path().to_owned());
    let [(text, _), _] = FIXTURES;
    fs::write(store.path(FILE), text).unwrap();
    let snapshot = store.load();
    assert_eq!((snapshot.absences, snapshot.complete), (vec![], false));
    for place in snapshot.places {
        assert_eq!((place.facts.entry, place.settled), (None, false));
    }
}

#[test]
fn absences_and_ways_onto_a_case_are_read_and_an_unknown_way_is_none() {
    let directory = TempDir::new().unwrap();
    let store = Store::new(directory.path().to_owned());
    let [_, (text, _)] = FIXTURES;
    for (entry, expected) in [
        ("after_absence", Some(Entry::PutBack(Evidence::Absence))),
        ("beamed", None),
    ] {
        fs::write(store.path(FILE), text.replace("after_absence", entry)).unwrap();
        let snapshot = store.load();
        let [adam, eve] = snapshot.places.as_slice() else {
            panic!("not both places");
        };
        assert_eq!(adam.facts.entry, expected);
        assert_eq!((eve.facts.entry, eve.settled), (None, true));
        assert!(snapshot.complete);
        let [absence] = snapshot.absences.as_slice() else {
            panic!("not one absence");
        };
        let SavedAbsence { absence, left, .. } = absence;
        assert_eq!(absence.username.as_str(), "zoe");
        assert_eq!(absence.user_type.as_str(), "provider");
        assert_eq!(absence.case.as_str(), "CD-1234-5678");
        assert_eq!(*left, Duration::from_hours(1));
    }
}

#[test]
fn a_clock_that_was_set_forward_does_not_age_the_file() {
    let directory = TempDir::new().unwrap();
    let store = Store::new(directory.path().to_owned());
    store.save(Snapshot::default()).unwrap();
    // To the clock on the wall, the file is a day old then.
    let file = File::options().write(true).open(store.path(FILE)).unwrap();
    let day = Duration::from_hours(24);
    let a_day_ago = SystemTime::UNIX_EPOCH + wall_time().0 - day;
    file.set_modified(a_day_ago).unwrap();
    assert!(store.load().age < Duration::from_mins(1));
    let text = fs::read_to_string(store.path(FILE)).unwrap();
    let by_wall_only = text.replace(r#""uptime_ms":"#, r#""uptime_is":"#);
    fs::write(store.path(FILE), by_wall_only).unwrap();
    file.set_modified(a_day_ago).unwrap();
    assert!(store.load().age >= day, "a file of an earlier version");
}

fn names(place: &SavedPlace) -> (&str, Option<&str>) {
    let Facts { identity, case, .. } = &place.facts;
    (
        identity.username.as_str(),
        case.as_ref().map(CaseRef::as_str),
    )
}
