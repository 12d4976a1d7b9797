//! Clients that send too much, read too little, or come in large numbers, while a bystander stays served.

use serde_json::{Value, json};
use tokio::{net::TcpStream, time::timeout};
use tokio_tungstenite::tungstenite::Message;

use crate::support::{
    WAIT,
    browser::Browser,
    bystander::Bystander,
    daemon::settings,
    poller::Poller,
    protocol::{VERSIONS, Version, event_frame},
};

#[tokio::test]
async fn two_polls_at_once_end_a_session_and_its_presence() {
    let mut bystander = Bystander::new().await;
    let session = bystander.joined_by("twice", Version::Four).await;
    let held = session.held().await;
    session.poll().await;
    bystander.browser.until_viewing(&["bystander"]).await;
    drop(held);
}

#[tokio::test]
async fn viewers_of_one_case_who_disconnect_at_once_all_leave() {
    let mut bystander = Bystander::new().await;
    let mut browsers = Vec::new();
    for number in 0..20 {
        let name = format!("user{number}");
        let server = bystander.daemon.public;
        let mut browser = Browser::identified(server, VERSIONS[number % 2], &name).await;
        browser.open_case("bystander").await;
        browsers.push(browser);
    }
    while bystander.browser.event().await.1.as_array().unwrap().len() < 21 {}
    drop(browsers);
    bystander.browser.until_viewing(&["bystander"]).await;
    let people = bystander.daemon.people().await;
    assert_eq!(people.as_object().unwrap().len(), 1, "{people}");
}

#[tokio::test]
async fn a_flood_disturbs_no_other_client() {
    let mut bystander = Bystander::with(
        settings()
            .without_rate_limits()
            .env("CLA_LOG__LEVEL", "info"),
    )
    .await;
    let mut flooder = bystander.daemon.browser(Version::Four).await;
    let frame = event_frame("identify", json!("flooder"));
    let flood = tokio::spawn(async move {
        for _ in 0..20_000 {
            if flooder
                .send_message(Message::text(frame.clone()))
                .await
                .is_err()
            {
                break;
            }
        }
    });
    for _ in 0..20 {
        bystander.is_served().await;
    }
    flood.await.unwrap();
    bystander.is_served().await;
}

#[tokio::test]
async fn a_connection_with_too_many_frames_in_flight_is_closed_and_may_return() {
    let daemon = settings()
        .without_rate_limits()
        .env("CLA_LIMITS__FRAMES_IN_FLIGHT", 4)
        .env("CLA_LOG__LEVEL", "info")
        .start()
        .await;
    for version in VERSIONS {
        let session = Poller::joined(daemon.public, version).await;
        let frame = event_frame("identify", json!("flooder"));
        let burst = vec![frame.as_str(); 400];
        let closed = timeout(WAIT, async {
            while session.post(&burst).await.status == 200 {}
        });
        assert!(
            closed.await.is_ok(),
            "{version:?}: the flood was never stopped"
        );
        let mut again = Browser::identified(daemon.public, version, "flooder").await;
        again.open_case("X").await;
        again.until_viewing(&["flooder"]).await;
        again.close().await;
    }
    let mut flooder = daemon.browser(Version::Four).await;
    let frame = event_frame("identify", json!("flooder"));
    let closed = timeout(WAIT, async {
        while flooder
            .send_message(Message::text(frame.clone()))
            .await
            .is_ok()
        {}
    });
    assert!(closed.await.is_ok(), "the flood was never stopped");
    daemon
        .until_counted("connection_closed", "frames_in_flight", 3)
        .await;
}

#[tokio::test]
async fn a_websocket_that_stops_reading_leaves_the_list() {
    let mut bystander = Bystander::with(
        settings()
            .env("CLA_LIMITS__TCP_USER_TIMEOUT_MS", 500)
            .env("CLA_LIMITS__ADMIN_BODY_BYTES", 1_048_576)
            .env("CLA_LOG__LEVEL", "info"),
    )
    .await;
    let server = bystander.daemon.public;
    let mut sleeper = Browser::identified(server, Version::Four, "sleeper").await;
    sleeper.open_case("bystander").await;
    bystander
        .browser
        .until_viewing(&["bystander", "sleeper"])
        .await;
    let large = json!("x".repeat(900_000));
    let mut gone = false;
    // More than the buffers of the network hold, but less than the daemon queues before it closes.
    for _ in 0..13 {
        bystander.daemon.notify(large.clone()).await;
        // The bystander reads, and may already receive the list without the sleeper.
        let mut event = bystander.browser.event().await;
        while event.0 != "notification" {
            gone |= event.1 == json!(["bystander"]);
            event = bystander.browser.event().await;
        }
    }
    if !gone {
        bystander.browser.until_viewing(&["bystander"]).await;
    }
    bystander.is_served().await;
}

#[tokio::test]
async fn a_session_that_does_not_poll_is_closed_when_it_has_missed_a_message() {
    for version in VERSIONS {
        let mut bystander = Bystander::with(
            settings()
                .without_rate_limits()
                .env("CLA_PUBLIC__MERGE_INTERVAL_MS", 0),
        )
        .await;
        let _session = bystander.joined_by("sleeper", version).await;
        let gone = timeout(WAIT, async {
            loop {
                bystander.browser.open_case("bystander").await;
                if bystander.browser.event().await.1 == json!(["bystander"]) {
                    return;
                }
            }
        });
        assert!(gone.await.is_ok(), "{version:?}: the sleeper stays listed");
        bystander
            .daemon
            .until_counted("connection_closed", "slow_reader", 1)
            .await;
    }
}

#[tokio::test]
async fn no_number_of_public_connections_blocks_the_admin_app() {
    let daemon = settings()
        .files(100, 300)
        .env("CLA_LIMITS__HEADER_TIMEOUT_MS", 60_000)
        .start()
        .await;
    let mut silent = Vec::new();
    for _ in 0..400 {
        silent.push(TcpStream::connect(daemon.public).await.unwrap());
    }
    assert_eq!(daemon.get("/healthz").await.status, 200);
    assert_eq!(daemon.get("/readyz").await.status, 200);
    drop(silent);
    Browser::identified(daemon.public, Version::Three, "adam").await;
    let warned = |line: &Value| {
        let message = line["message"].as_str().unwrap_or_default();
        line["level"] == "WARN" && message.contains("300 open files leave room for 150")
    };
    assert!(daemon.logged.iter().any(warned), "{:?}", daemon.logged);
}
