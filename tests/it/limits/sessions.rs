//! Limits of sessions and handshakes, and the time in which a client must identify.

use std::time::Duration;

use socket2::SockRef;
use tokio::{io::AsyncReadExt, net::TcpStream};

use crate::support::{
    browser::Browser,
    daemon::{Daemon, settings},
    http::{self, Answer},
    people::lost,
    poller::Poller,
    protocol::{VERSIONS, Version},
};

#[tokio::test]
async fn sessions_are_bounded_in_all_and_by_client_address() {
    let daemon = settings()
        .env("CLA_LIMITS__SESSIONS", 3)
        .env("CLA_LIMITS__SESSIONS_PER_ADDRESS", 2)
        .env("CLA_LIMITS__HANDSHAKES_PER_SECOND", 1_000_000)
        .env("CLA_LIMITS__HANDSHAKES_PER_SECOND_PER_ADDRESS", 1_000_000)
        .start()
        .await;
    let office = [("X-Real-IP", "192.0.2.1")];
    let polling = Poller::open_with(daemon.public, Version::Four, &office).await;
    polling.join().await;
    let websocket = Browser::open_with(daemon.public, Version::Three, &office).await;
    let full = handshake_from(&daemon, "192.0.2.1").await;
    assert_eq!((full.status, full.header("retry-after")), (429, Some("5")));
    assert_eq!(handshake_from(&daemon, "198.51.100.1").await.status, 200);
    let full = handshake_from(&daemon, "203.0.113.1").await;
    assert_eq!((full.status, full.header("retry-after")), (503, Some("5")));
    daemon.until_counted("session_refused", "sessions", 1).await;
    daemon
        .until_counted("session_refused", "sessions_per_address", 1)
        .await;

    polling.post(&["1"]).await;
    websocket.close().await;
    daemon.until_shown("cla_socketserver_sessions 1").await;
    assert_eq!(handshake_from(&daemon, "192.0.2.1").await.status, 200);
    assert_eq!(handshake_from(&daemon, "192.0.2.1").await.status, 200);
}

#[tokio::test]
async fn sessions_are_bounded_by_network() {
    let daemon = settings()
        .env("CLA_LIMITS__SESSIONS", 8)
        .env("CLA_LIMITS__SESSIONS_PER_ADDRESS", 2)
        .start()
        .await;
    for network in 0..4 {
        for host in 1..=2 {
            let address = format!("2001:db8:0:{network}::{host}");
            let answer = handshake_from(&daemon, &address).await;
            let expected = if network < 2 { 200 } else { 429 };
            assert_eq!(answer.status, expected, "{address}");
        }
    }
    daemon
        .until_counted("session_refused", "sessions_per_network", 4)
        .await;
    assert_eq!(handshake_from(&daemon, "2001:db8:1::1").await.status, 200);
}

#[tokio::test]
async fn new_sessions_are_bounded_in_time() {
    for (limit, burst, refusal) in [
        ("HANDSHAKES_PER_SECOND", 3, 503),
        ("HANDSHAKES_PER_SECOND_PER_ADDRESS", 2, 429),
    ] {
        let daemon = settings()
            .env("CLA_LIMITS__HANDSHAKES_PER_SECOND", 1_000_000)
            .env("CLA_LIMITS__HANDSHAKES_PER_SECOND_PER_ADDRESS", 1_000_000)
            .env(&format!("CLA_LIMITS__{limit}"), 1)
            .env("CLA_LIMITS__SESSIONS", 3)
            .env("CLA_LIMITS__SESSIONS_PER_ADDRESS", 2)
            .start()
            .await;
        let mut admitted = 0;
        // On a slow machine a second passes meanwhile, and one more session is admitted.
        let refused = loop {
            let answer = handshake_from(&daemon, "192.0.2.1").await;
            let Some(session) = answer.session() else {
                break answer.status;
            };
            admitted += 1;
            // A session that ends at once makes room for another session, but not for another handshake.
            let session = Poller::known(daemon.public, Version::Four, session);
            session.join().await;
            session.post(&["1"]).await;
            daemon.until_shown("cla_socketserver_sessions 0").await;
        };
        assert_eq!(refused, refusal, "{limit}");
        assert!(
            (burst..20 * burst).contains(&admitted),
            "{limit}: {admitted} sessions were admitted"
        );
        daemon
            .until_counted("session_refused", &limit.to_lowercase(), 1)
            .await;
    }
}

#[tokio::test]
async fn clients_that_do_not_identify_in_time_are_closed() {
    let daemon = settings()
        .env("CLA_LIMITS__IDENTIFY_TIMEOUT_MS", 1000)
        .start()
        .await;
    for version in VERSIONS {
        let mut identified = Browser::identified(daemon.public, version, "adam").await;
        let mut not_joined = Browser::open(daemon.public, version).await;
        let mut unidentified = daemon.browser(version).await;
        unidentified.open_case("X").await;
        not_joined.until_closed().await;
        unidentified.until_closed().await;
        identified.open_case("X").await;
        identified.until_viewing(&["adam"]).await;
        identified.close().await;
    }
    let _polling = Poller::joined(daemon.public, Version::Three).await;
    daemon
        .until_counted("session_closed", "not_joined", 2)
        .await;
    daemon
        .until_counted("session_closed", "not_identified", 3)
        .await;
    daemon.until_shown("cla_socketserver_sessions 0").await;
}

#[tokio::test]
async fn the_time_to_identify_holds_after_many_clients_have_left() {
    let daemon = settings()
        .env("CLA_LIMITS__IDENTIFY_TIMEOUT_MS", 1000)
        .start()
        .await;
    for number in 0..150 {
        daemon.browser(VERSIONS[number % 2]).await.close().await;
    }
    // The second client connects when no other client is waited for.
    for count in 1..=2 {
        daemon.browser(VERSIONS[0]).await.until_closed().await;
        daemon
            .until_counted("session_closed", "not_identified", count)
            .await;
    }
}

/// socketioxide never ends a session whose first packet cannot be written.
#[tokio::test]
async fn a_websocket_that_is_reset_during_its_handshake_leaves_no_session() {
    let daemon = settings()
        .without_rate_limits()
        .env("CLA_LIMITS__IDENTIFY_TIMEOUT_MS", 200)
        .env("CLA_LOG__LEVEL", "info")
        .start()
        .await;
    let ask = async |version: Version| {
        let stream = TcpStream::connect(daemon.public).await.unwrap();
        let path = format!("/socket.io/?EIO={}&transport=websocket", version.number());
        let request = http::upgrade_request(&path, &[]);
        stream.try_write(request.as_bytes()).unwrap();
        stream
    };
    for number in 0..1000 {
        let stream = ask(VERSIONS[number % 2]).await;
        // Resets the connection at some moment of the handshake.
        tokio::time::sleep(Duration::from_micros(number as u64 % 500)).await;
        SockRef::from(&stream)
            .set_linger(Some(Duration::ZERO))
            .unwrap();
    }
    for version in VERSIONS {
        let mut status = [0; 12];
        let mut stream = ask(version).await;
        stream.read_exact(&mut status).await.unwrap();
        assert_eq!(&status, b"HTTP/1.1 101", "{version:?} is admitted");
    }
    daemon.until_shown("cla_socketserver_sessions 0").await;
}

/// The two limits that no longer have an effect are as low as they can be.
#[tokio::test]
async fn a_hundred_connections_that_claim_a_name_take_nothing_from_its_owner() {
    for version in VERSIONS {
        let daemon = settings()
            .env("CLA_LIMITS__CONNECTIONS_PER_USER", 1)
            .env("CLA_LIMITS__CASES", 1)
            .start()
            .await;
        let mut attackers = Vec::new();
        for number in 0..100 {
            let address = format!("203.0.113.{number}");
            let headers = [("X-Real-IP", address.as_str())];
            let mut attacker = Browser::returning(daemon.public, version, "adam", &headers).await;
            attacker.open_case(&format!("case {number}")).await;
            attacker.until_viewing(&["adam"]).await;
            attackers.push(attacker);
        }
        let mut adam = Browser::identified(daemon.public, version, "adam").await;
        adam.open_case("X").await;
        adam.until_viewing(&["adam"]).await;
        let mut eve = Browser::identified(daemon.public, version, "eve").await;
        eve.open_case("X").await;
        for browser in [&mut adam, &mut eve] {
            browser.until_viewing(&["adam", "eve"]).await;
        }
        drop(adam);
        daemon.until_people(|people| lost(people) == 1).await;
        let mut adam = Browser::returning(daemon.public, version, "adam", &[]).await;
        adam.until_viewing(&["adam", "eve"]).await;
        adam.close().await;
        eve.until_viewing(&["eve"]).await;
    }
}

/// Asks for a session as a client at this address.
async fn handshake_from(daemon: &Daemon, address: &str) -> Answer {
    http::handshake(daemon.public, &[("X-Real-IP", address)]).await
}
