//! The file of places, written from a real hub.

use tempfile::TempDir;
use tokio::time::Instant;

use super::*;
use crate::{
    hub::{Recorder, registry},
    presence::{CaseRef, Facts, SavedPlace},
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
        let snapshot = store.load(Duration::from_mins(1));
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
    let snapshot = store.load(Duration::from_mins(1));
    store.save(snapshot.clone()).unwrap();
    let written = fs::read_to_string(store.path(FILE)).unwrap();
    assert!(written.starts_with(r#"{"format":"cla-socketserver places 2","#));
    assert_eq!(store.load(Duration::from_mins(1)), snapshot);
}

fn names(place: &SavedPlace) -> (&str, Option<&str>) {
    let Facts { identity, case, .. } = &place.facts;
    (
        identity.username.as_str(),
        case.as_ref().map(CaseRef::as_str),
    )
}
