//! Lost connections of sessions that poll.

use std::time::Duration;

use serde_json::json;
use tokio::time::{Instant, timeout};

use super::{short_heartbeat, told};
use crate::support::{
    WAIT,
    browser::{Browser, Headers},
    daemon::{Daemon, settings},
    people::is_lost,
    poller::Poller,
    protocol::{VERSIONS, Version},
};

#[tokio::test]
async fn a_polling_session_keeps_its_place_when_its_polls_stop() {
    for version in VERSIONS {
        let daemon = short_heartbeat().start().await;
        let eve = polling(&daemon, version, "eve").await;
        daemon.until_lost("eve").await;
        let mut back =
            Browser::returning(daemon.public, version, "eve", &[("User-Agent", "eve")]).await;
        back.until_viewing(&["eve"]).await;
        drop(eve);
    }
}

#[tokio::test]
async fn a_polling_session_keeps_its_place_when_its_client_gives_up() {
    for version in VERSIONS {
        let daemon = settings().start().await;
        polling(&daemon, version, "eve").await.post(&["1"]).await;
        daemon.until_lost("eve").await;
    }
}

/// A single aborted poll is a closed tab, which leaves at once: see `presence.rs`.
#[tokio::test]
async fn polls_of_several_browsers_that_are_aborted_at_once_are_losses() {
    for version in VERSIONS {
        let daemon = settings().start().await;
        let mut people = Vec::new();
        for name in ["adam", "eve"] {
            people.push(polling(&daemon, version, name).await);
        }
        let mut held = Vec::new();
        for session in &people {
            held.push(session.held().await);
        }
        drop(held);
        daemon.until_lost("adam").await;
        daemon.until_lost("eve").await;
        let mut back =
            Browser::returning(daemon.public, version, "adam", &[("User-Agent", "adam")]).await;
        back.until_viewing(&["adam", "eve"]).await;
    }
}

#[tokio::test]
async fn a_closed_tab_leaves_at_once_while_an_attacker_aborts_polls() {
    for (attacker, from) in [
        ("an attacker at another address", "203.0.113.1"),
        ("an attacker at the same address", "127.0.0.1"),
    ] {
        let daemon = settings().start().await;
        let mut adam = daemon.browser_on_case(Version::Four, "adam", "X").await;
        let sid: Headers = &[("User-Agent", "sid"), ("X-Real-IP", from)];
        for _ in 0..3 {
            let session = Poller::on_case_x(daemon.public, Version::Four, "sid", sid).await;
            adam.until_viewing(&["adam", "sid"]).await;
            drop(session.held().await);
            adam.until_viewing(&["adam"]).await;
        }
        for _ in 0..5 {
            let eve = polling(&daemon, Version::Four, "eve").await;
            adam.until_viewing(&["adam", "eve"]).await;
            let session = Poller::on_case_x(daemon.public, Version::Four, "sid", sid).await;
            adam.until_viewing(&["adam", "eve", "sid"]).await;
            let (first, second) = tokio::join!(session.held(), eve.held());
            let closed = Instant::now();
            drop(first);
            drop(second);
            adam.until_viewing(&["adam"]).await;
            let took = closed.elapsed();
            assert!(took < Duration::from_secs(5), "{took:?} with {attacker}");
        }
    }
}

/// When nginx stops, browsers at several addresses abort their polls, and no browser keeps its connection.
#[tokio::test]
async fn polls_of_browsers_at_different_addresses_that_are_aborted_at_once_are_losses() {
    let daemon = settings().start().await;
    let mut people = Vec::new();
    for (name, address) in [("adam", "192.0.2.1"), ("eve", "198.51.100.1")] {
        let headers: Headers = &[("User-Agent", name), ("X-Real-IP", address)];
        people.push(Poller::on_case_x(daemon.public, Version::Four, name, headers).await);
    }
    let held = [people[0].held().await, people[1].held().await];
    drop(held);
    // A closed tab would not be counted as lost.
    daemon
        .until_shown("cla_socketserver_presence_total{event=\"lost\"} 2")
        .await;
    let headers: Headers = &[("User-Agent", "adam"), ("X-Real-IP", "192.0.2.1")];
    let mut back = Browser::returning(daemon.public, Version::Four, "adam", headers).await;
    back.until_viewing(&["adam", "eve"]).await;
}

#[tokio::test]
async fn a_slow_reader_keeps_its_place() {
    let daemon = settings()
        .env("CLA_PUBLIC__MERGE_INTERVAL_MS", 0)
        .start()
        .await;
    let mut adam = daemon.browser_on_case(Version::Four, "adam", "X").await;
    // This session never polls, so its queue becomes full.
    let _eve = polling(&daemon, Version::Four, "eve").await;
    adam.until_viewing(&["adam", "eve"]).await;
    let lost = timeout(WAIT, async {
        while !is_lost(&daemon.people().await, "eve") {
            adam.open_case("X").await;
            let (mut event, mut list) = adam.event().await;
            while event != "peopleViewing" {
                (event, list) = adam.event().await;
            }
            assert_eq!(list, json!(["adam", "eve"]));
            let receipt = daemon.notify(json!("1")).await;
            let (reached, kept) = told(&receipt);
            assert_eq!(reached + kept, 2, "{receipt}");
        }
    });
    assert!(lost.await.is_ok(), "eve was never lost");
}

/// A session that polls, on case X. Its name is its user agent too, so each name is another browser.
async fn polling(daemon: &Daemon, version: Version, name: &'static str) -> Poller {
    Poller::on_case_x(daemon.public, version, name, &[("User-Agent", name)]).await
}
