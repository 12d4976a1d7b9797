//! Limits of what a client may send.

use serde_json::json;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;

use super::{answered, polls_over_one_connection, post_notifications};
use crate::support::{
    WAIT,
    browser::Browser,
    daemon::settings,
    poller::Poller,
    protocol::{VERSIONS, Version, event_frame},
};

#[tokio::test]
async fn a_client_that_sends_events_too_fast_is_closed_and_may_return() {
    let daemon = settings()
        .env("CLA_LIMITS__EVENTS_PER_SECOND", 1)
        .env("CLA_LIMITS__EVENTS_BURST", 5)
        .start()
        .await;
    for (at, version) in VERSIONS.into_iter().enumerate() {
        let mut hasty = daemon.browser(version).await;
        hasty.identify("hasty").await;
        for round in 0..4 {
            hasty.open_case(&round.to_string()).await;
            hasty.until_viewing(&["hasty"]).await;
        }
        // Rejected events count too. On a slow machine a second passes meanwhile, and one more event is allowed.
        for _ in 0..5 {
            let frame = Message::text(event_frame("no such event", json!(null)));
            // The daemon may close before everything is sent.
            let _ = hasty.send_message(frame).await;
        }
        hasty.until_closed().await;
        daemon
            .until_counted("connection_closed", "events_per_second", at + 1)
            .await;
        daemon.until_lost("hasty").await;
        let again = Browser::identified(daemon.public, version, "hasty").await;
        again.close().await;
    }
}

#[tokio::test]
async fn a_client_that_sends_too_many_bytes_is_closed_even_for_heartbeats() {
    let daemon = settings()
        .env("CLA_LIMITS__BYTES_PER_SECOND", 1024)
        .start()
        .await;
    for (at, version) in VERSIONS.into_iter().enumerate() {
        let mut noisy = Browser::open(daemon.public, version).await;
        let closed = timeout(WAIT, async {
            while noisy.send_message(Message::text("3")).await.is_ok() {}
        });
        assert!(closed.await.is_ok(), "{version:?} was never closed");
        daemon
            .until_counted("connection_closed", "bytes_per_second", at + 1)
            .await;
    }
    // The back-end has a limit of its own.
    let large = json!({"notifications": "x".repeat(100_000)});
    assert_eq!(
        post_notifications(&daemon, &large.to_string()).await.status,
        200
    );
}

#[tokio::test]
async fn closing_an_upgraded_session_leaves_the_tcp_connection_of_its_handshake_open() {
    let daemon = settings()
        .env("CLA_LIMITS__EVENTS_PER_SECOND", 1)
        .env("CLA_LIMITS__EVENTS_BURST", 5)
        .start()
        .await;
    let (mut stream, session) = polls_over_one_connection(&daemon, "").await;
    let mut hasty = session.upgrade().await;
    for _ in 0..10 {
        let frame = Message::text(event_frame("no such event", json!(null)));
        // The daemon may close before everything is sent.
        let _ = hasty.send_message(frame).await;
    }
    hasty.until_closed().await;
    daemon
        .until_counted("connection_closed", "events_per_second", 1)
        .await;
    answered(&mut stream, "GET / HTTP/1.1\r\nHost: x\r\n\r\n", "404").await;
}

#[tokio::test]
async fn a_client_that_sends_while_the_inbox_of_the_hub_is_full_is_closed() {
    let daemon = settings()
        .without_rate_limits()
        .env("CLA_LIMITS__INBOX", 1)
        .env("CLA_LIMITS__SESSIONS", 1)
        .env("CLA_LOG__LEVEL", "info")
        .start()
        .await;
    let session = Poller::joined(daemon.public, Version::Four).await;
    let frame = event_frame("identify", json!("flooder"));
    let burst = vec![frame.as_str(); 200];
    let closed = timeout(WAIT, async {
        while session.post(&burst).await.status == 200 {}
    });
    assert!(closed.await.is_ok(), "the flood was never stopped");
    daemon.until_counted("connection_closed", "inbox", 1).await;
}

#[tokio::test]
async fn overlong_and_malformed_packets_have_counters_of_their_own() {
    let daemon = settings().start().await;
    let long = "x".repeat(16_385);
    for (at, version) in VERSIONS.into_iter().enumerate() {
        // The body that is too long below ends its session as a bad packet too, so each version counts two.
        for (packet, reason, count) in [
            (long.as_str(), "unreadable", at + 1),
            (r#"42/socket.io,["identify""#, "bad_packet", 2 * at + 1),
        ] {
            let mut client = daemon.browser(version).await;
            // The daemon may close before everything is sent.
            let _ = client.send_message(Message::text(packet)).await;
            client.until_closed().await;
            daemon
                .until_counted("connection_closed", reason, count)
                .await;
        }
        let session = Poller::joined(daemon.public, version).await;
        let status = session.post(&[&long]).await.status;
        assert_eq!(status, 413, "{version:?}");
        daemon
            .until_counted("request_refused", "message_bytes", at + 1)
            .await;
    }
    // A TCP connection that ends is not an unreadable packet.
    let cut = daemon.browser(Version::Four).await;
    drop(cut);
    daemon
        .until_shown("cla_socketserver_connections{transport=\"websocket\",protocol=\"4\"} 0")
        .await;
    daemon
        .until_counted("connection_closed", "unreadable", 2)
        .await;
}
