//! Limits of what may wait for a client that does not read.

use serde_json::json;

use super::{answered, polls_over_one_connection, post_notifications};
use crate::support::{
    browser::Browser,
    daemon::{Daemon, settings},
    poller::Poller,
    protocol::{VERSIONS, Version, event_frame},
};

#[tokio::test]
async fn a_client_that_fills_its_queue_closes_no_other_connection() {
    let daemon = settings().start().await;
    let mut adam = Browser::identified(daemon.public, Version::Four, "adam").await;
    adam.open_case("X").await;
    adam.until_viewing(&["adam"]).await;
    // In version 4 the library would end the session if its first ping found the queue full.
    let flooder = Poller::joined(daemon.public, Version::Three).await;
    let identify = event_frame("identify", json!("eve"));
    let open = event_frame("startViewingCase", json!("X"));
    flooder.post(&[&identify, &open]).await;
    adam.until_viewing(&["adam", "eve"]).await;
    // socketioxide answers each of these packets, and this client never polls for the answers.
    flooder.post(&["40/x,"; 200]).await;
    let mut joe = Browser::identified(daemon.public, Version::Four, "joe").await;
    joe.open_case("X").await;
    adam.until_viewing(&["adam", "eve", "joe"]).await;
    daemon
        .until_counted("connection_closed", "slow_reader", 1)
        .await;
    joe.close_case("X").await;
    adam.until_viewing(&["adam", "eve"]).await;
}

#[tokio::test]
async fn unread_lists_are_bounded_in_bytes() {
    let daemon = settings()
        .without_rate_limits()
        .env("CLA_LIMITS__QUEUED_BYTES", 1024)
        .env("CLA_PUBLIC__MERGE_INTERVAL_MS", 0)
        .start()
        .await;
    for (at, version) in VERSIONS.into_iter().enumerate() {
        let name = "n".repeat(128);
        let mut awake = Browser::identified(daemon.public, version, &name).await;
        let asleep = joined_as(&daemon, version, "asleep").await;
        let case = event_frame("startViewingCase", json!(name));
        asleep.post(&[&case]).await;
        // A list has about 200 bytes: seven lists exceed 1024 bytes, but not the queue of 128 packets.
        for _ in 0..7 {
            awake.send(&case).await;
            awake.event().await;
        }
        daemon
            .until_counted("connection_closed", "queued_bytes", at + 1)
            .await;
        awake.close().await;
    }
}

/// The TCP connection of a handshake also carries other requests of the client or of a proxy.
#[tokio::test]
async fn other_answers_on_the_tcp_connection_do_not_count_as_taken_lists() {
    let daemon = settings()
        .without_rate_limits()
        .env("CLA_LIMITS__QUEUED_BYTES", 1024)
        .env("CLA_PUBLIC__MERGE_INTERVAL_MS", 0)
        .start()
        .await;
    let name = "n".repeat(128);
    let mut awake = Browser::identified(daemon.public, Version::Four, &name).await;
    // Only the header of a websocket; the request asks for none.
    let (mut stream, asleep) = polls_over_one_connection(&daemon, "Sec-WebSocket-Key: x\r\n").await;
    let case = event_frame("startViewingCase", json!(name));
    asleep
        .post(&[&event_frame("identify", json!("asleep")), &case])
        .await;
    for _ in 0..7 {
        awake.send(&case).await;
        awake.event().await;
        answered(&mut stream, "GET / HTTP/1.1\r\nHost: x\r\n\r\n", "404").await;
    }
    daemon
        .until_counted("connection_closed", "queued_bytes", 1)
        .await;
}

#[tokio::test]
async fn unread_messages_are_bounded_in_bytes() {
    let daemon = settings()
        .env("CLA_LIMITS__ADMIN_BODY_BYTES", 16 * 1024 * 1024)
        .env("CLA_LIMITS__TCP_USER_TIMEOUT_MS", 3_600_000)
        .start()
        .await;
    let _asleep = Browser::identified(daemon.public, Version::Four, "asleep").await;
    let _polling = joined_as(&daemon, Version::Four, "polling").await;
    let large = json!({"notifications": "x".repeat(5_000_000)}).to_string();
    // More than the 12 MiB of the queue and the buffers of the network together.
    for _ in 0..6 {
        assert_eq!(post_notifications(&daemon, &large).await.status, 200);
    }
    daemon
        .until_counted("connection_closed", "queued_bytes", 2)
        .await;
}

#[tokio::test]
async fn a_client_that_reads_is_sent_any_number_of_bytes() {
    let daemon = settings()
        .without_rate_limits()
        .env("CLA_LIMITS__QUEUED_BYTES", 1024)
        .env("CLA_PUBLIC__MERGE_INTERVAL_MS", 0)
        .start()
        .await;
    for version in VERSIONS {
        let name = "n".repeat(128);
        let polling = joined_as(&daemon, version, &name).await;
        let upgraded = joined_as(&daemon, version, &name).await;
        let mut upgraded = upgraded.upgrade().await;
        let case = event_frame("startViewingCase", json!(name));
        for _ in 0..50 {
            polling.post(&[&case]).await;
            polling.until("peopleViewing").await;
            upgraded.send(&case).await;
            upgraded.until_viewing(&[&name]).await;
            polling.until("peopleViewing").await;
        }
        polling.post(&["1"]).await;
        upgraded.close().await;
    }
    daemon
        .until_counted("connection_closed", "queued_bytes", 0)
        .await;
}

/// A session that polls and is identified.
async fn joined_as(daemon: &Daemon, version: Version, name: &str) -> Poller {
    let session = Poller::identified(daemon.public, version, name).await;
    daemon
        .until_people(|people| people.to_string().contains(&session.id))
        .await;
    session
}
