//! The file of places: who may read it, and what becomes of a file or a directory that cannot be used.

use std::{
    fs,
    io::Read,
    os::unix::fs::{PermissionsExt, symlink},
    path::Path,
    time::{Duration, SystemTime},
};

use nix::{sys::stat::Mode, unistd::mkfifo};
use serde_json::json;

use crate::support::{
    daemon::settings,
    places::{file, in_memory, keeping_in, until_written},
    protocol::Version,
};

/// A package from before version 2 has written it.
#[tokio::test]
async fn places_in_a_file_of_version_1_are_restored() {
    let dir = in_memory();
    let text = include_str!("../../src/store/fixtures/places-1.json");
    fs::write(file(dir.path()), text).unwrap();
    let daemon = keeping_in(dir.path()).start().await;
    let people = daemon.people().await;
    let places = [
        ("adam", "AAAAAAAAAAAAAAAA", json!("AB-1234-5678")),
        ("eve", "BBBBBBBBBBBBBBBB", json!(null)),
    ];
    for (user, conn, case) in places {
        let connection = &people[user]["connections"][conn];
        assert_eq!(connection["caseViewed"], case, "{user}");
        assert!(connection["lost"].is_object(), "{user} is lost");
    }
}

#[tokio::test]
async fn only_its_owner_can_read_the_file_and_it_is_never_half_written() {
    let dir = in_memory();
    let mut daemon = keeping_in(dir.path()).start().await;
    let _eve = daemon.browser_on_case(Version::Four, "eve", "X").await;
    until_written(dir.path(), 1).await;
    let mut first = fs::File::open(file(dir.path())).unwrap();
    let mode = first.metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let _adam = daemon.browser_on_case(Version::Four, "adam", "X").await;
    until_written(dir.path(), 2).await;
    let mut text = String::new();
    first.read_to_string(&mut text).unwrap();
    assert!(
        !text.contains("adam"),
        "the old file is replaced, not overwritten: {text}"
    );
    daemon.stop().await;
    let names: Vec<_> = fs::read_dir(dir.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(names, ["places.json"], "no other file is left behind");
}

#[tokio::test]
async fn an_unusable_file_is_renamed_with_one_warning() {
    let sound =
        r#"{"format":"cla-socketserver places 1","next_message":0,"messages":[],"places":[]}"#;
    for (claim, content, reason) in [
        ("an empty file", "", "EOF"),
        ("the last byte is missing", &sound[..sound.len() - 1], "EOF"),
        ("no format", "{}", "missing field `format`"),
        (
            "an unknown format",
            r#"{"format":"cla-socketserver places 3"}"#,
            "unknown variant",
        ),
        (
            "another JSON file",
            r#"{"a list of other places": []}"#,
            "missing field `format`",
        ),
        (
            "a place of the wrong type",
            &sound.replace(r#""places":[]"#, r#""places":[{"id":1}]"#),
            "invalid type",
        ),
        ("no JSON", "\u{0}\u{1}", "expected value"),
    ] {
        let dir = in_memory();
        fs::write(file(dir.path()), content).unwrap();
        let mut daemon = keeping_in(dir.path()).start().await;
        assert_eq!(daemon.people().await, json!({}), "{claim}");
        daemon.stop().await;
        let warnings = daemon.problems().await;
        assert_eq!(warnings.len(), 1, "{claim}: {warnings:?}");
        for part in ["places.json.unusable", reason] {
            assert!(
                warnings[0].contains(part),
                "{claim}: {part} in {warnings:?}"
            );
        }
        let renamed = fs::read_to_string(dir.path().join("places.json.unusable")).unwrap();
        assert_eq!(renamed, content, "{claim}");
    }
}

#[tokio::test]
async fn symbolic_links_in_the_directory_are_not_followed() {
    let dir = in_memory();
    let elsewhere = in_memory();
    let victim = elsewhere.path().join("victim");
    fs::write(&victim, "precious").unwrap();
    for name in ["places.json.part", "places.json.unusable", "places.json"] {
        symlink(&victim, dir.path().join(name)).unwrap();
    }
    let mut daemon = keeping_in(dir.path()).start().await;
    let _eve = daemon.browser_on_case(Version::Four, "eve", "X").await;
    until_written(dir.path(), 1).await;
    let warning = daemon.stop_after_one_problem().await;
    assert!(warning.contains("it is a symbolic link"), "{warning}");
    assert_eq!(fs::read_to_string(&victim).unwrap(), "precious");
    let written = fs::symlink_metadata(file(dir.path())).unwrap();
    assert!(written.is_file());
    let aside = fs::read_link(dir.path().join("places.json.unusable"));
    assert_eq!(aside.unwrap(), victim, "the link was renamed");
}

#[tokio::test]
async fn a_hard_link_is_replaced_and_its_target_stays_as_it_is() {
    let dir = in_memory();
    let victim = dir.path().join("victim");
    fs::write(&victim, "precious").unwrap();
    fs::hard_link(&victim, dir.path().join("places.json.part")).unwrap();
    let daemon = keeping_in(dir.path()).start().await;
    let _eve = daemon.browser_on_case(Version::Four, "eve", "X").await;
    until_written(dir.path(), 1).await;
    assert_eq!(fs::read_to_string(&victim).unwrap(), "precious");
}

#[tokio::test]
async fn a_fifo_instead_of_the_file_is_renamed_and_the_daemon_starts() {
    let dir = in_memory();
    for name in ["places.json", "places.json.part"] {
        mkfifo(&dir.path().join(name), Mode::S_IRWXU).unwrap();
    }
    let mut daemon = keeping_in(dir.path()).start().await;
    let _eve = daemon.browser_on_case(Version::Four, "eve", "X").await;
    until_written(dir.path(), 1).await;
    let warning = daemon.stop_after_one_problem().await;
    assert!(warning.contains("it is not a file"), "{warning}");
}

#[tokio::test]
async fn a_file_that_is_too_old_is_renamed() {
    let dir = in_memory();
    let mut daemon = keeping_in(dir.path()).start().await;
    let _eve = daemon.browser_on_case(Version::Four, "eve", "X").await;
    daemon.stop().await;
    let written = fs::File::options()
        .write(true)
        .open(file(dir.path()))
        .unwrap();
    let long_ago = SystemTime::now() - Duration::from_secs(61);
    written.set_modified(long_ago).unwrap();
    let mut daemon = keeping_in(dir.path()).start().await;
    assert_eq!(daemon.people().await, json!({}));
    let warning = daemon.stop_after_one_problem().await;
    let expected = "longer than any browser is waited for";
    assert!(warning.contains(expected), "{warning}");
}

#[tokio::test]
async fn a_directory_that_cannot_be_written_is_one_warning_and_no_failure() {
    let mut daemon = keeping_in(Path::new("/nowhere")).start().await;
    let mut eve = daemon.browser_on_case(Version::Four, "eve", "X").await;
    eve.open_case("Y").await;
    eve.until_viewing(&["eve"]).await;
    let warning = daemon.stop_after_one_problem().await;
    let expected = "cannot keep places in /nowhere";
    assert!(warning.contains(expected), "{warning}");
}

#[tokio::test]
async fn the_runtime_directory_of_systemd_is_used() {
    let dir = in_memory();
    let daemon = settings()
        .env("RUNTIME_DIRECTORY", dir.path().display())
        .start()
        .await;
    let _eve = daemon.browser_on_case(Version::Four, "eve", "X").await;
    until_written(dir.path(), 1).await;
}

#[tokio::test]
async fn without_a_restart_grace_nothing_is_written() {
    let dir = in_memory();
    let mut daemon = keeping_in(dir.path())
        .env("CLA_PRESENCE__RESTART_GRACE_MS", 0)
        .start()
        .await;
    let _eve = daemon.browser_on_case(Version::Four, "eve", "X").await;
    daemon.stop().await;
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}
