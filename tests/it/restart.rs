//! A daemon that takes over from the one before: nobody is missed, and nothing that is wrong with the file stops it.

use std::{
    fs,
    io::Read,
    os::unix::fs::{PermissionsExt, symlink},
    path::Path,
    time::Duration,
};

use futures_util::future::join_all;
use nix::{
    sys::{
        signal::Signal::{self, SIGKILL, SIGTERM},
        stat::Mode,
    },
    unistd::mkfifo,
};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::time::Instant;

use crate::{
    daemon::{Daemon, settings},
    http,
    places::{file, keeping_in, until_written},
    wire::{Browser, VERSIONS, Version},
};

#[tokio::test]
async fn nobody_is_missing_after_a_stop_or_a_crash() {
    for signal in [SIGTERM, SIGKILL] {
        for version in VERSIONS {
            let dir = TempDir::new().unwrap();
            let mut daemon = keeping_in(dir.path()).start().await;
            let mut people = Vec::new();
            for name in ["eve", "adam", "zoe"] {
                people.push(on_case(&daemon, version, name, "X").await);
            }
            people[0].until_viewing(&["eve", "adam", "zoe"]).await;
            until_written(dir.path(), 3).await;
            end(&mut daemon, signal).await;
            drop(people);

            let daemon = keeping_in(dir.path()).start().await;
            assert_eq!(lost(&daemon.people().await), 3, "counted until they lapse");
            let mut back = Vec::new();
            for name in ["zoe", "adam", "eve"] {
                let mut browser = arrives(&daemon, version, name).await;
                let list = ("peopleViewing".to_owned(), json!(["eve", "adam", "zoe"]));
                assert_eq!(browser.hears().await, list, "{signal} {version:?} {name}");
                back.push(browser);
            }
            assert_eq!(lost(&daemon.people().await), 0);
        }
    }
}

#[tokio::test]
async fn whoever_does_not_come_back_after_a_restart_is_gone_when_its_grace_is_over() {
    let dir = TempDir::new().unwrap();
    let mut daemon = keeping_in(dir.path()).start().await;
    let people = [
        on_case(&daemon, Version::Four, "adam", "X").await,
        on_case(&daemon, Version::Four, "eve", "X").await,
    ];
    end(&mut daemon, SIGTERM).await;
    drop(people);
    let daemon = keeping_in(dir.path())
        .env("CLA_PRESENCE__RESTART_GRACE_MS", 5000)
        .start()
        .await;
    let mut adam = arrives(&daemon, Version::Four, "adam").await;
    adam.until_viewing(&["adam", "eve"]).await;
    adam.until_viewing(&["adam"]).await;
}

#[tokio::test]
async fn what_is_posted_around_a_restart_reaches_whoever_was_away() {
    let dir = TempDir::new().unwrap();
    let mut daemon = keeping_in(dir.path()).start().await;
    let mut eve = on_case(&daemon, Version::Four, "eve", "X").await;
    notify(&daemon, json!("received")).await;
    // Whoever is heard of after a message has received it.
    eve.say("startViewingCase", json!("X")).await;
    while eve.hears().await.0 != "peopleViewing" {}
    drop(eve);
    daemon.until_people(|people| lost(people) == 1).await;
    notify(&daemon, json!("before")).await;
    end(&mut daemon, SIGTERM).await;
    let daemon = keeping_in(dir.path()).start().await;
    notify(&daemon, json!("after")).await;
    let mut eve = arrives(&daemon, Version::Four, "eve").await;
    eve.until_viewing(&["eve"]).await;
    for word in ["before", "after"] {
        assert_eq!(eve.hears().await, ("notification".to_owned(), json!(word)));
    }
}

#[tokio::test]
async fn a_goodbye_during_the_drain_is_a_goodbye_and_a_frame_still_counts() {
    let dir = TempDir::new().unwrap();
    let mut daemon = keeping_in(dir.path()).start().await;
    let mut people = Vec::new();
    // So many that the drain takes a while; the order in which they are closed is nobody's business.
    for number in 0..200 {
        people.push(on_case(&daemon, Version::Four, &format!("user{number}"), "X").await);
    }
    daemon.signal(SIGTERM);
    daemon.until_logged("stopping").await;
    let said = people.iter_mut().map(async |browser| {
        // Some are closed already, and some will be in this very moment.
        let frame = crate::wire::event_frame("startViewingCase", json!("Y"));
        let text = tokio_tungstenite::tungstenite::Message::text(frame);
        browser.send_message(text).await.is_ok()
    });
    join_all(said).await;
    assert_eq!(daemon.exit().await.code(), Some(0));
    let daemon = keeping_in(dir.path()).start().await;
    let people = daemon.people().await;
    assert_eq!(lost(&people), 200);
    let on = |case: &str| {
        people
            .to_string()
            .matches(&format!(r#""caseViewed":"{case}""#))
            .count()
    };
    assert_eq!(on("X") + on("Y"), 200);
    assert!(on("Y") > 0, "nobody was heard during the drain");
}

#[tokio::test]
async fn a_drain_is_spread_and_ends_with_the_last() {
    for (people, spread, at_least, at_most) in [
        (60, 600, Duration::from_millis(50), Duration::from_secs(5)),
        (3, 60_000, Duration::ZERO, Duration::from_secs(5)),
    ] {
        let mut daemon = settings().env("CLA_DRAIN__SPREAD_MS", spread).start().await;
        let mut browsers = Vec::new();
        for number in 0..people {
            let name = format!("user{number}");
            browsers.push(on_case(&daemon, Version::Four, &name, &name).await);
        }
        daemon.signal(SIGTERM);
        let begun = Instant::now();
        let closed = browsers.iter_mut().map(async |browser| {
            browser.until_closed().await;
            begun.elapsed()
        });
        let closed = join_all(closed).await;
        let [first, last] = [closed.iter().min(), closed.iter().max()].map(Option::unwrap);
        let took = last.saturating_sub(*first);
        assert!((at_least..at_most).contains(&took), "{took:?} for {people}");
        assert_eq!(daemon.exit().await.code(), Some(0));
        assert!(begun.elapsed() < at_most, "{:?}", begun.elapsed());
    }
}

#[tokio::test]
async fn nobody_vanishes_from_a_screen_during_the_drain() {
    for grace in [0, 15_000] {
        let mut daemon = settings()
            .env("CLA_PRESENCE__GRACE_MS", grace)
            .env("CLA_PUBLIC__MERGE_INTERVAL_MS", 0)
            .start()
            .await;
        let mut browsers = Vec::new();
        for number in 0..50 {
            browsers.push(on_case(&daemon, Version::Four, &format!("user{number}"), "X").await);
        }
        // Nothing is merged, so whoever has heard this has heard every list.
        notify(&daemon, json!("the last word")).await;
        for browser in &mut browsers {
            while browser.hears().await.0 != "notification" {}
        }
        daemon.signal(SIGTERM);
        for browser in &mut browsers {
            let last_words = browser.until_closed().await;
            let lists = last_words
                .iter()
                .filter(|frame| frame.contains("peopleViewing"));
            assert_eq!(lists.count(), 0, "{last_words:?}");
        }
        assert_eq!(daemon.exit().await.code(), Some(0));
    }
}

#[tokio::test]
async fn the_file_is_private_and_whole() {
    let dir = TempDir::new().unwrap();
    let mut daemon = keeping_in(dir.path()).start().await;
    let _eve = on_case(&daemon, Version::Four, "eve", "X").await;
    until_written(dir.path(), 1).await;
    let mut first = fs::File::open(file(dir.path())).unwrap();
    let mode = first.metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let _adam = on_case(&daemon, Version::Four, "adam", "X").await;
    until_written(dir.path(), 2).await;
    let mut text = String::new();
    first.read_to_string(&mut text).unwrap();
    assert!(!text.contains("adam"), "replaced, never written over");
    end(&mut daemon, SIGTERM).await;
    let names: Vec<_> = fs::read_dir(dir.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(names, ["places.json"], "no other file is left behind");
}

#[tokio::test]
async fn a_file_that_cannot_be_used_is_set_aside_with_one_line() {
    let sound =
        r#"{"format":"cla-socketserver places 1","next_message":0,"messages":[],"places":[]}"#;
    for (content, reason) in [
        ("", "EOF"),
        (&sound[..sound.len() - 1], "EOF"),
        ("{}", "missing field `format`"),
        (
            r#"{"format":"cla-socketserver places 3"}"#,
            "unknown variant",
        ),
        (
            r#"{"a list of other places": []}"#,
            "missing field `format`",
        ),
        (
            &sound.replace(r#""places":[]"#, r#""places":[{"id":1}]"#),
            "invalid type",
        ),
        ("\u{0}\u{1}", "expected value"),
    ] {
        let dir = TempDir::new().unwrap();
        fs::write(file(dir.path()), content).unwrap();
        let mut daemon = keeping_in(dir.path()).start().await;
        assert_eq!(daemon.people().await, json!({}));
        end(&mut daemon, SIGTERM).await;
        let warnings = warnings(&mut daemon).await;
        assert_eq!(warnings.len(), 1, "{content}: {warnings:?}");
        assert!(warnings[0].contains("places.json.unusable"), "{warnings:?}");
        assert!(warnings[0].contains(reason), "{content}: {warnings:?}");
        let aside = fs::read_to_string(dir.path().join("places.json.unusable")).unwrap();
        assert_eq!(aside, content);
    }
}

#[tokio::test]
async fn links_in_the_directory_are_not_followed() {
    let dir = TempDir::new().unwrap();
    let elsewhere = TempDir::new().unwrap();
    let victim = elsewhere.path().join("victim");
    fs::write(&victim, "precious").unwrap();
    for name in ["places.json.part", "places.json.unusable", "places.json"] {
        symlink(&victim, dir.path().join(name)).unwrap();
    }
    let mut daemon = keeping_in(dir.path()).start().await;
    let _eve = on_case(&daemon, Version::Four, "eve", "X").await;
    until_written(dir.path(), 1).await;
    end(&mut daemon, SIGTERM).await;
    let warnings = warnings(&mut daemon).await;
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(
        warnings[0].contains("it is a symbolic link"),
        "{warnings:?}"
    );
    assert_eq!(fs::read_to_string(&victim).unwrap(), "precious");
    let written = fs::symlink_metadata(file(dir.path())).unwrap();
    assert!(written.is_file());
    let aside = fs::read_link(dir.path().join("places.json.unusable"));
    assert_eq!(aside.unwrap(), victim, "the link was renamed");
}

#[tokio::test]
async fn a_hard_link_is_replaced_and_not_written_to() {
    let dir = TempDir::new().unwrap();
    let victim = dir.path().join("victim");
    fs::write(&victim, "precious").unwrap();
    fs::hard_link(&victim, dir.path().join("places.json.part")).unwrap();
    let daemon = keeping_in(dir.path()).start().await;
    let _eve = on_case(&daemon, Version::Four, "eve", "X").await;
    until_written(dir.path(), 1).await;
    assert_eq!(fs::read_to_string(&victim).unwrap(), "precious");
}

#[tokio::test]
async fn what_is_no_file_is_set_aside_and_does_not_keep_the_daemon_from_starting() {
    let dir = TempDir::new().unwrap();
    for name in ["places.json", "places.json.part"] {
        mkfifo(&dir.path().join(name), Mode::S_IRWXU).unwrap();
    }
    let mut daemon = keeping_in(dir.path()).start().await;
    let _eve = on_case(&daemon, Version::Four, "eve", "X").await;
    until_written(dir.path(), 1).await;
    end(&mut daemon, SIGTERM).await;
    let warnings = warnings(&mut daemon).await;
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].contains("it is not a file"), "{warnings:?}");
}

#[tokio::test]
async fn a_file_that_is_too_old_is_set_aside() {
    let dir = TempDir::new().unwrap();
    let mut daemon = keeping_in(dir.path()).start().await;
    let _eve = on_case(&daemon, Version::Four, "eve", "X").await;
    end(&mut daemon, SIGTERM).await;
    let written = fs::File::options()
        .write(true)
        .open(file(dir.path()))
        .unwrap();
    let long_ago = std::time::SystemTime::now() - Duration::from_secs(61);
    written.set_modified(long_ago).unwrap();
    let mut daemon = keeping_in(dir.path()).start().await;
    assert_eq!(daemon.people().await, json!({}));
    end(&mut daemon, SIGTERM).await;
    let warnings = warnings(&mut daemon).await;
    assert!(
        warnings[0].contains("longer than any browser is waited for"),
        "{warnings:?}"
    );
}

#[tokio::test]
async fn a_directory_that_cannot_be_written_is_one_warning_and_no_failure() {
    let mut daemon = keeping_in(Path::new("/nowhere")).start().await;
    let mut eve = on_case(&daemon, Version::Four, "eve", "X").await;
    eve.say("startViewingCase", json!("Y")).await;
    eve.until_viewing(&["eve"]).await;
    end(&mut daemon, SIGTERM).await;
    let warnings = warnings(&mut daemon).await;
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    let expected = "cannot keep places in /nowhere";
    assert!(warnings[0].contains(expected), "{warnings:?}");
}

#[tokio::test]
async fn the_directory_that_systemd_grants_is_used() {
    let dir = TempDir::new().unwrap();
    let daemon = settings()
        .env("RUNTIME_DIRECTORY", dir.path().display())
        .start()
        .await;
    let _eve = on_case(&daemon, Version::Four, "eve", "X").await;
    until_written(dir.path(), 1).await;
}

#[tokio::test]
async fn without_a_restart_grace_nothing_is_written() {
    let dir = TempDir::new().unwrap();
    let mut daemon = keeping_in(dir.path())
        .env("CLA_PRESENCE__RESTART_GRACE_MS", 0)
        .start()
        .await;
    let _eve = on_case(&daemon, Version::Four, "eve", "X").await;
    end(&mut daemon, SIGTERM).await;
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}

async fn end(daemon: &mut Daemon, signal: Signal) {
    daemon.signal(signal);
    let code = daemon.exit().await.code();
    assert_eq!(code, (signal == SIGTERM).then_some(0));
}

async fn warnings(daemon: &mut Daemon) -> Vec<String> {
    let log = daemon.whole_log().await.iter();
    let warnings = log.filter(|line| line["level"] == "WARN");
    warnings
        .map(|line| line["message"].as_str().unwrap().to_owned())
        .collect()
}

async fn arrives(daemon: &Daemon, version: Version, name: &str) -> Browser {
    let mut browser = daemon.browser(version).await;
    browser.identify(name).await;
    browser
}

async fn on_case(daemon: &Daemon, version: Version, name: &str, case: &str) -> Browser {
    let mut browser = arrives(daemon, version, name).await;
    browser.say("startViewingCase", json!(case)).await;
    while !browser.hears().await.1.to_string().contains(name) {}
    browser
}

fn lost(people: &Value) -> usize {
    let people = people.as_object().unwrap().values();
    let connections = people.flat_map(|person| person["connections"].as_object().unwrap().values());
    connections
        .filter(|connection| connection["lost"].is_object())
        .count()
}

async fn notify(daemon: &Daemon, word: Value) {
    let headers = [("Content-Type", "application/json")];
    let body = json!({ "notifications": word }).to_string();
    let answer = http::request(
        daemon.admin,
        "POST",
        "/admin/notifications/",
        &headers,
        &body,
    )
    .await;
    assert_eq!(answer.json()["success"], true);
}
