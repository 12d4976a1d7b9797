//! A restart: no user is missing when the next daemon takes over.

use std::time::Duration;

use futures_util::future::join_all;
use nix::sys::signal::Signal::{SIGKILL, SIGTERM};
use serde_json::json;
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::Message;

use crate::support::{
    browser::Browser,
    daemon::settings,
    people::lost,
    places::{in_memory, keeping_in, until_written},
    poller::Poller,
    protocol::{VERSIONS, Version, event_frame},
};

#[tokio::test]
async fn nobody_is_missing_after_a_stop_or_a_crash() {
    for signal in [SIGTERM, SIGKILL] {
        for version in VERSIONS {
            let dir = in_memory();
            let mut daemon = keeping_in(dir.path()).start().await;
            let mut people = Vec::new();
            for name in ["eve", "adam", "zoe"] {
                people.push(daemon.browser_on_case(version, name, "X").await);
            }
            people[0].until_viewing(&["eve", "adam", "zoe"]).await;
            until_written(dir.path(), 3).await;
            if signal == SIGKILL {
                daemon.crash().await;
            } else {
                daemon.stop().await;
            }
            drop(people);

            let daemon = keeping_in(dir.path()).start().await;
            let people = daemon.people().await;
            assert_eq!(lost(&people), 3, "after {signal}, {version:?}: {people}");
            let mut back = Vec::new();
            for name in ["zoe", "adam", "eve"] {
                let mut browser = Browser::returning(daemon.public, version, name, &[]).await;
                let list = ("peopleViewing".to_owned(), json!(["eve", "adam", "zoe"]));
                assert_eq!(browser.event().await, list, "{signal}, {version:?}, {name}");
                back.push(browser);
            }
            assert_eq!(lost(&daemon.people().await), 0, "{signal}, {version:?}");
        }
    }
}

#[tokio::test]
async fn a_user_who_does_not_return_after_a_restart_is_gone_after_the_restart_grace() {
    let dir = in_memory();
    let mut daemon = keeping_in(dir.path()).start().await;
    let people = [
        daemon.browser_on_case(Version::Four, "adam", "X").await,
        daemon.browser_on_case(Version::Four, "eve", "X").await,
    ];
    daemon.stop().await;
    drop(people);
    let daemon = keeping_in(dir.path())
        .env("CLA_PRESENCE__RESTART_GRACE_MS", 5000)
        .start()
        .await;
    let mut adam = Browser::returning(daemon.public, Version::Four, "adam", &[]).await;
    adam.until_viewing(&["adam", "eve"]).await;
    adam.until_viewing(&["adam"]).await;
}

#[tokio::test]
async fn messages_posted_around_a_restart_reach_users_who_were_away() {
    let dir = in_memory();
    let mut daemon = keeping_in(dir.path()).start().await;
    let mut eve = daemon.browser_on_case(Version::Four, "eve", "X").await;
    daemon.notify(json!("received")).await;
    // The answer to a later event shows that this message was received.
    eve.open_case("X").await;
    eve.until_listed("eve").await;
    drop(eve);
    daemon.until_lost("eve").await;
    daemon.notify(json!("before")).await;
    daemon.stop().await;
    let daemon = keeping_in(dir.path()).start().await;
    daemon.notify(json!("after")).await;
    let mut eve = Browser::returning(daemon.public, Version::Four, "eve", &[]).await;
    eve.until_viewing(&["eve"]).await;
    for word in ["before", "after"] {
        let expected = ("notification".to_owned(), json!(word));
        assert_eq!(eve.event().await, expected, "posted {word} the restart");
    }
}

#[tokio::test]
async fn a_message_that_no_poll_has_fetched_is_sent_after_the_restart() {
    let dir = in_memory();
    let mut daemon = keeping_in(dir.path()).start().await;
    let eve = Poller::on_case_x(daemon.public, Version::Four, "eve", &[]).await;
    eve.until("peopleViewing").await;
    daemon.notify(json!("not fetched")).await;
    daemon.stop().await;
    let daemon = keeping_in(dir.path()).start().await;
    let eve = Poller::identified(daemon.public, Version::Four, "eve").await;
    eve.until("not fetched").await;
}

#[tokio::test]
async fn frames_that_arrive_during_the_drain_still_count() {
    let dir = in_memory();
    let mut daemon = keeping_in(dir.path())
        .env("CLA_DRAIN__SPREAD_MS", 2000)
        .start()
        .await;
    let mut people = Vec::new();
    // With 200 connections the drain takes two seconds. The order of the closes is not fixed.
    for number in 0..200 {
        people.push(
            daemon
                .browser_on_case(Version::Four, &format!("user{number}"), "X")
                .await,
        );
    }
    daemon.signal(SIGTERM);
    daemon.until_logged("stopping").await;
    let sent = people.iter_mut().map(async |browser| {
        // The daemon may have closed this connection already.
        let frame = event_frame("startViewingCase", json!("Y"));
        browser.send_message(Message::text(frame)).await.is_ok()
    });
    join_all(sent).await;
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
    assert!(on("Y") > 0, "no frame was handled during the drain");
}

#[tokio::test]
async fn a_drain_is_spread_and_ends_with_the_last_connection() {
    for (people, spread, at_least, at_most) in [
        (60, 600, Duration::from_millis(50), Duration::from_secs(5)),
        (3, 60_000, Duration::ZERO, Duration::from_secs(5)),
    ] {
        let mut daemon = settings().env("CLA_DRAIN__SPREAD_MS", spread).start().await;
        let mut browsers = Vec::new();
        for number in 0..people {
            let name = format!("user{number}");
            browsers.push(daemon.browser_on_case(Version::Four, &name, &name).await);
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
        assert!(
            (at_least..at_most).contains(&took),
            "{people} connections were closed in {took:?}"
        );
        let code = daemon.exit().await.code();
        assert_eq!(code, Some(0), "{people} connections");
        let took = begun.elapsed();
        assert!(
            took < at_most,
            "{people} connections: the stop took {took:?}"
        );
    }
}

#[tokio::test]
async fn no_viewer_disappears_from_a_list_during_the_drain() {
    for grace in [0, 15_000] {
        let mut daemon = settings()
            .env("CLA_PRESENCE__GRACE_MS", grace)
            .env("CLA_PUBLIC__MERGE_INTERVAL_MS", 0)
            .start()
            .await;
        let mut browsers = Vec::new();
        for number in 0..50 {
            browsers.push(
                daemon
                    .browser_on_case(Version::Four, &format!("user{number}"), "X")
                    .await,
            );
        }
        // No lists are merged, so every list was sent before this notification.
        daemon.notify(json!("last before the drain")).await;
        for browser in &mut browsers {
            browser.until_notification().await;
        }
        daemon.signal(SIGTERM);
        for browser in &mut browsers {
            let frames = browser.until_closed().await;
            let is_list = |frame: &String| frame.contains("peopleViewing");
            assert!(!frames.iter().any(is_list), "grace {grace} ms: {frames:?}");
        }
        let code = daemon.exit().await.code();
        assert_eq!(code, Some(0), "grace {grace} ms");
    }
}
