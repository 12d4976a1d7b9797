//! Every limit holds, says so in its own counter, and leaves everybody else alone.

use std::time::Duration;

use serde_json::json;
use socket2::SockRef;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use tokio_tungstenite::tungstenite::Message;

use crate::{
    daemon::{Daemon, PATIENCE, settings},
    http::{self, Answer},
    wire::{Browser, Poller, VERSIONS, Version, event_frame},
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
    let full = handshake(&daemon, "192.0.2.1").await;
    assert_eq!((full.status, full.header("retry-after")), (429, Some("5")));
    assert_eq!(handshake(&daemon, "198.51.100.1").await.status, 200);
    let full = handshake(&daemon, "203.0.113.1").await;
    assert_eq!((full.status, full.header("retry-after")), (503, Some("5")));
    daemon.counted("session_refused", "sessions", 1).await;
    daemon
        .counted("session_refused", "sessions_per_address", 1)
        .await;

    polling.post(&["1"]).await;
    websocket.close().await;
    daemon.until_shown("cla_socketserver_sessions 1").await;
    assert_eq!(handshake(&daemon, "192.0.2.1").await.status, 200);
    assert_eq!(handshake(&daemon, "192.0.2.1").await.status, 200);
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
            let answer = handshake(&daemon, &address).await;
            let expected = if network < 2 { 200 } else { 429 };
            assert_eq!(answer.status, expected, "{address}");
        }
    }
    daemon
        .counted("session_refused", "sessions_per_network", 4)
        .await;
    assert_eq!(handshake(&daemon, "2001:db8:1::1").await.status, 200);
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
        let mut let_in = 0;
        // On a slow machine a second passes meanwhile, and one more is let in.
        let refused = loop {
            let answer = handshake(&daemon, "192.0.2.1").await;
            let Some(session) = answer.session() else {
                break answer.status;
            };
            let_in += 1;
            // Whoever leaves at once makes room, but not in time.
            let session = Poller::known(daemon.public, Version::Four, session);
            session.join().await;
            session.post(&["1"]).await;
            daemon.until_shown("cla_socketserver_sessions 0").await;
        };
        assert_eq!(refused, refusal, "{limit}");
        assert!((burst..20 * burst).contains(&let_in), "{let_in}: {limit}");
        daemon
            .counted("session_refused", &limit.to_lowercase(), 1)
            .await;
    }
}

#[tokio::test]
async fn strangers_are_closed_in_time() {
    let daemon = settings()
        .env("CLA_LIMITS__IDENTIFY_TIMEOUT_MS", 1000)
        .start()
        .await;
    for version in VERSIONS {
        let mut known = Browser::identified(daemon.public, version, "adam").await;
        let mut outside = Browser::open(daemon.public, version).await;
        let mut nameless = daemon.browser(version).await;
        nameless.say("startViewingCase", json!("X")).await;
        outside.until_closed().await;
        nameless.until_closed().await;
        known.say("startViewingCase", json!("X")).await;
        known.until_viewing(&["adam"]).await;
        known.close().await;
    }
    let _polling = Poller::joined(daemon.public, Version::Three).await;
    daemon.counted("session_closed", "not_joined", 2).await;
    daemon.counted("session_closed", "not_identified", 3).await;
    daemon.until_shown("cla_socketserver_sessions 0").await;
}

#[tokio::test]
async fn a_stranger_is_closed_in_time_though_many_have_come_and_gone() {
    let daemon = settings()
        .env("CLA_LIMITS__IDENTIFY_TIMEOUT_MS", 1000)
        .start()
        .await;
    for number in 0..150 {
        daemon.browser(VERSIONS[number % 2]).await.close().await;
    }
    // Once nobody's time runs any more, that of the next one does.
    for count in 1..=2 {
        daemon.browser(VERSIONS[0]).await.until_closed().await;
        daemon
            .counted("session_closed", "not_identified", count)
            .await;
    }
}

/// The library forgets a session whose first packet cannot be written.
#[tokio::test]
async fn a_websocket_that_is_gone_before_it_is_greeted_leaves_no_session_behind() {
    let daemon = settings()
        .hasty()
        .env("CLA_LIMITS__IDENTIFY_TIMEOUT_MS", 200)
        .env("CLA_LOG__LEVEL", "info")
        .start()
        .await;
    let knock = async |version: Version| {
        let stream = TcpStream::connect(daemon.public).await.unwrap();
        let upgrade = format!(
            "GET /socket.io/?EIO={}&transport=websocket HTTP/1.1\r\nHost: x\r\n\
             Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
            version.number()
        );
        stream.try_write(upgrade.as_bytes()).unwrap();
        stream
    };
    for number in 0..1000 {
        let stream = knock(VERSIONS[number % 2]).await;
        // Resets the connection at some moment of the handshake.
        tokio::time::sleep(Duration::from_micros(number as u64 % 500)).await;
        SockRef::from(&stream)
            .set_linger(Some(Duration::ZERO))
            .unwrap();
    }
    for version in VERSIONS {
        let mut status = [0; 12];
        let mut stream = knock(version).await;
        stream.read_exact(&mut status).await.unwrap();
        assert_eq!(&status, b"HTTP/1.1 101", "nobody was let in");
    }
    daemon.until_shown("cla_socketserver_sessions 0").await;
}

#[tokio::test]
async fn whoever_speaks_too_fast_is_closed_and_may_come_back() {
    let daemon = settings()
        .env("CLA_LIMITS__EVENTS_PER_SECOND", 1)
        .env("CLA_LIMITS__EVENTS_BURST", 5)
        .start()
        .await;
    for (at, version) in VERSIONS.into_iter().enumerate() {
        let mut hasty = daemon.browser(version).await;
        hasty.identify("hasty").await;
        for round in 0..4 {
            hasty
                .say("startViewingCase", json!(round.to_string()))
                .await;
            hasty.until_viewing(&["hasty"]).await;
        }
        // What is dropped counts, too. On a slow machine a second passes meanwhile, and one more is heard.
        for _ in 0..5 {
            let frame = Message::text(event_frame("no such event", json!(null)));
            // The daemon may be faster to close than we are to send.
            let _ = hasty.send_message(frame).await;
        }
        hasty.until_closed().await;
        daemon
            .counted("connection_closed", "events_per_second", at + 1)
            .await;
        assert!(daemon.people().await["hasty"].to_string().contains("lost"));
        let again = Browser::identified(daemon.public, version, "hasty").await;
        again.close().await;
    }
}

#[tokio::test]
async fn whoever_sends_too_many_bytes_is_closed_whatever_they_mean() {
    let daemon = settings()
        .env("CLA_LIMITS__BYTES_PER_SECOND", 1024)
        .start()
        .await;
    for (at, version) in VERSIONS.into_iter().enumerate() {
        let mut noisy = Browser::open(daemon.public, version).await;
        let closed = timeout(PATIENCE, async {
            while noisy.send_message(Message::text("3")).await.is_ok() {}
        });
        assert!(closed.await.is_ok(), "it may go on for ever");
        daemon
            .counted("connection_closed", "bytes_per_second", at + 1)
            .await;
    }
    // The back-end may post as much as its own limit allows.
    let large = json!({"notifications": "x".repeat(100_000)});
    assert_eq!(post(&daemon, &large.to_string()).await.status, 200);
}

/// Neither limit keeps anybody from the list or from a case, however low it is.
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
            let mut attacker = Browser::open_with(daemon.public, version, &headers).await;
            attacker.join().await;
            attacker.identify("adam").await;
            let case = json!(format!("case {number}"));
            attacker.say("startViewingCase", case).await;
            attacker.until_viewing(&["adam"]).await;
            attackers.push(attacker);
        }
        let mut adam = Browser::identified(daemon.public, version, "adam").await;
        adam.say("startViewingCase", json!("X")).await;
        adam.until_viewing(&["adam"]).await;
        let mut eve = Browser::identified(daemon.public, version, "eve").await;
        eve.say("startViewingCase", json!("X")).await;
        for browser in [&mut adam, &mut eve] {
            browser.until_viewing(&["adam", "eve"]).await;
        }
        drop(adam);
        daemon
            .until_people(|people| people["adam"].to_string().contains("lost"))
            .await;
        let mut adam = daemon.browser(version).await;
        adam.identify("adam").await;
        adam.until_viewing(&["adam", "eve"]).await;
        adam.close().await;
        eve.until_viewing(&["eve"]).await;
    }
}

#[tokio::test]
async fn whoever_fills_the_queue_of_the_library_closes_nobody_elses_connection() {
    let daemon = settings().start().await;
    let mut adam = Browser::identified(daemon.public, Version::Four, "adam").await;
    adam.say("startViewingCase", json!("X")).await;
    adam.until_viewing(&["adam"]).await;
    let flooder = Poller::joined(daemon.public, Version::Four).await;
    let identify = event_frame("identify", json!("eve"));
    let open = event_frame("startViewingCase", json!("X"));
    flooder.post(&[&identify, &open]).await;
    adam.until_viewing(&["adam", "eve"]).await;
    // The library answers each of these by itself, and nobody takes the answers.
    flooder.post(&["40/x,"; 200]).await;
    let mut joe = Browser::identified(daemon.public, Version::Four, "joe").await;
    joe.say("startViewingCase", json!("X")).await;
    adam.until_viewing(&["adam", "eve", "joe"]).await;
    daemon.counted("connection_closed", "slow_reader", 1).await;
    joe.say("stopViewingCase", json!("X")).await;
    adam.until_viewing(&["adam", "eve"]).await;
}

#[tokio::test]
async fn lists_that_nobody_takes_are_bounded_in_bytes() {
    let daemon = settings()
        .hasty()
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
        // Each list has some 200 bytes: seven are more than may wait, and fewer than 128.
        for _ in 0..7 {
            awake.send(&case).await;
            awake.hears().await;
        }
        daemon
            .counted("connection_closed", "queued_bytes", at + 1)
            .await;
        awake.close().await;
    }
}

/// The TCP connection of the handshake carries whatever else its client, or a proxy, asks for.
#[tokio::test]
async fn what_is_heard_elsewhere_is_not_taken_for_the_lists_that_wait() {
    let daemon = settings()
        .hasty()
        .env("CLA_LIMITS__QUEUED_BYTES", 1024)
        .env("CLA_PUBLIC__MERGE_INTERVAL_MS", 0)
        .start()
        .await;
    let name = "n".repeat(128);
    let mut awake = Browser::identified(daemon.public, Version::Four, &name).await;
    // The key is that of a websocket, and is not asked for.
    let (mut line, asleep) = polls_over_one_line(&daemon, "Sec-WebSocket-Key: x\r\n").await;
    let case = event_frame("startViewingCase", json!(name));
    asleep
        .post(&[&event_frame("identify", json!("asleep")), &case])
        .await;
    for _ in 0..7 {
        awake.send(&case).await;
        awake.hears().await;
        hears(&mut line, "GET / HTTP/1.1\r\nHost: x\r\n\r\n", "404").await;
    }
    daemon.counted("connection_closed", "queued_bytes", 1).await;
}

#[tokio::test]
async fn closing_an_upgraded_session_leaves_the_line_of_its_handshake_alone() {
    let daemon = settings()
        .env("CLA_LIMITS__EVENTS_PER_SECOND", 1)
        .env("CLA_LIMITS__EVENTS_BURST", 5)
        .start()
        .await;
    let (mut line, session) = polls_over_one_line(&daemon, "").await;
    let mut hasty = session.upgrade().await;
    for _ in 0..10 {
        let frame = Message::text(event_frame("no such event", json!(null)));
        // The daemon may be faster to close than we are to send.
        let _ = hasty.send_message(frame).await;
    }
    hasty.until_closed().await;
    daemon
        .counted("connection_closed", "events_per_second", 1)
        .await;
    hears(&mut line, "GET / HTTP/1.1\r\nHost: x\r\n\r\n", "404").await;
}

#[tokio::test]
async fn messages_that_nobody_takes_are_bounded_in_bytes() {
    let daemon = settings()
        .env("CLA_LIMITS__ADMIN_BODY_BYTES", 16 * 1024 * 1024)
        .env("CLA_LIMITS__TCP_USER_TIMEOUT_MS", 3_600_000)
        .start()
        .await;
    let _asleep = Browser::identified(daemon.public, Version::Four, "asleep").await;
    let _polling = joined_as(&daemon, Version::Four, "polling").await;
    let large = json!({"notifications": "x".repeat(5_000_000)}).to_string();
    // Twelve mebibytes, what the network holds on the way, and some more.
    for _ in 0..6 {
        assert_eq!(post(&daemon, &large).await.status, 200);
    }
    daemon.counted("connection_closed", "queued_bytes", 2).await;
}

#[tokio::test]
async fn whoever_takes_what_it_is_sent_is_sent_any_amount() {
    let daemon = settings()
        .hasty()
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
    daemon.counted("connection_closed", "queued_bytes", 0).await;
}

#[tokio::test]
async fn when_too_much_of_all_waits_for_the_hub_whoever_adds_to_it_is_closed() {
    let daemon = settings()
        .hasty()
        .env("CLA_LIMITS__INBOX", 1)
        .env("CLA_LIMITS__SESSIONS", 1)
        .env("CLA_LOG__LEVEL", "info")
        .start()
        .await;
    let session = Poller::joined(daemon.public, Version::Four).await;
    let frame = event_frame("identify", json!("flooder"));
    let burst = vec![frame.as_str(); 200];
    let closed = timeout(PATIENCE, async {
        while session.post(&burst).await.status == 200 {}
    });
    assert!(closed.await.is_ok(), "it may flood for ever");
    daemon.counted("connection_closed", "inbox", 1).await;
}

#[tokio::test]
async fn headers_are_bounded() {
    let daemon = settings().start().await;
    let request = |length| {
        let filler = "x".repeat(length);
        format!(
            "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nCookie: {filler}\r\n\r\n"
        )
    };
    for (server, count) in [(daemon.public, 1), (daemon.admin, 2)] {
        let heard = sent(server, &request(39 * 1024)).await;
        assert!(heard.starts_with("HTTP/1.1 "), "{heard}");
        assert!(!heard.starts_with("HTTP/1.1 431"), "{heard}");
        let refused = sent(server, &request(80 * 1024)).await;
        assert!(refused.starts_with("HTTP/1.1 431"), "{refused}");
        daemon.counted("request_refused", "bad_head", count).await;
    }
}

#[tokio::test]
async fn what_is_too_long_or_makes_no_sense_is_told_apart() {
    let daemon = settings().start().await;
    let long = "x".repeat(16_385);
    for (at, version) in VERSIONS.into_iter().enumerate() {
        // A body that is too long ends its session as a bad packet does, so that there is one more each time.
        for (packet, reason, count) in [
            (long.as_str(), "unreadable", at + 1),
            (r#"42/socket.io,["identify""#, "bad_packet", 2 * at + 1),
        ] {
            let mut stranger = daemon.browser(version).await;
            // The daemon may be faster to close than we are to send.
            let _ = stranger.send_message(Message::text(packet)).await;
            stranger.until_closed().await;
            daemon.counted("connection_closed", reason, count).await;
        }
        let session = Poller::joined(daemon.public, version).await;
        assert_eq!(session.post(&[&long]).await.status, 413);
        daemon
            .counted("request_refused", "message_bytes", at + 1)
            .await;
    }
    // Somebody whose line is cut in the middle of a frame has done nothing wrong.
    let cut = daemon.browser(Version::Four).await;
    drop(cut);
    daemon
        .until_shown("cla_socketserver_connections{transport=\"websocket\",protocol=\"4\"} 0")
        .await;
    daemon.counted("connection_closed", "unreadable", 2).await;
}

#[tokio::test]
async fn nobody_is_waited_for_longer_than_allowed() {
    let daemon = settings()
        .env("CLA_LIMITS__HEADER_TIMEOUT_MS", 200)
        .env("CLA_LIMITS__REQUEST_TIMEOUT_MS", 300)
        .start()
        .await;
    let session = Poller::joined(daemon.public, Version::Four).await;
    let path = session.path();
    for (server, half) in [
        (daemon.public, String::new()),
        (daemon.admin, String::new()),
        (daemon.public, "GET /socket.io/ HTT".to_owned()),
        (
            daemon.admin,
            "GET /healthz HTTP/1.1\r\nHost: x\r\n".to_owned(),
        ),
    ] {
        let rest = sent(server, &half).await;
        assert!(!rest.contains("200"), "{rest}");
    }
    // Nor is one that has been answered and asks for nothing more, but that is nobody's fault.
    let whole = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let rest = sent(daemon.admin, whole).await;
    assert!(rest.contains("200"), "{rest}");
    daemon
        .counted("connection_closed", "header_timeout", 4)
        .await;
    // Unless it begins to ask, a byte now and then.
    let mut stream = TcpStream::connect(daemon.admin).await.unwrap();
    stream.write_all(whole.as_bytes()).await.unwrap();
    stream.read_u8().await.unwrap();
    while stream.write_all(b"G").await.is_ok() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    daemon
        .counted("connection_closed", "header_timeout", 5)
        .await;
    let head = |path: &str, media_type: &str| {
        format!(
            "POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {media_type}\r\nContent-Length: 100\r\n\r\n1"
        )
    };
    let rest = sent(daemon.public, &head(&path, "text/plain")).await;
    assert!(rest.starts_with("HTTP/1.1 408"), "{rest}");
    let form = "application/x-www-form-urlencoded";
    let rest = sent(daemon.admin, &head("/admin/broadcast/", form)).await;
    assert!(rest.starts_with("HTTP/1.1 408"), "{rest}");
    daemon
        .counted("request_refused", "request_timeout", 1)
        .await;
    daemon.counted("admin_refused", "request_timeout", 1).await;
    let junk = sent(daemon.public, "\u{16}\u{3}\u{1} this is no HTTP\r\n\r\n").await;
    assert!(junk.starts_with("HTTP/1.1 400"), "{junk}");
    daemon.counted("request_refused", "bad_head", 1).await;
}

#[tokio::test]
async fn connections_to_an_address_of_the_admin_app_are_bounded_and_others_wait() {
    let daemon = settings()
        .env("CLA_ADMIN__LISTEN", "127.0.0.1:0,127.0.0.2:0")
        .env("CLA_LIMITS__ADMIN_CONNECTIONS", 4)
        // Longer than a test waits: only a connection of its own is an answer.
        .env("CLA_LIMITS__HEADER_TIMEOUT_MS", 60_000)
        .start()
        .await;
    let mut held = Vec::new();
    for _ in 0..2 {
        let mut stream = TcpStream::connect(daemon.admin).await.unwrap();
        stream
            .write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
            .await
            .unwrap();
        let answered = timeout(PATIENCE, stream.read_u8()).await;
        assert!(answered.is_ok(), "not answered within the limit");
        held.push(stream);
    }
    let waits = timeout(Duration::from_millis(300), daemon.get("/healthz"));
    assert!(waits.await.is_err(), "answered beyond the limit");
    let elsewhere = daemon.addresses("admin")[1];
    let answer = sent(
        elsewhere,
        "GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
    )
    .await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    held.pop();
    assert_eq!(daemon.get("/healthz").await.status, 200);
    let page = daemon.get("/metrics").await.body;
    let delayed = r#"cla_socketserver_accept_total{outcome="delayed"} "#;
    let times = page.lines().find_map(|line| line.strip_prefix(delayed));
    assert!(times.is_some_and(|times| times != "0"), "{page}");
}

#[tokio::test]
async fn the_admin_app_answers_those_who_may_use_it() {
    let daemon = settings()
        .env("CLA_ADMIN__ALLOW_FROM", "10.0.0.0/8")
        .start()
        .await;
    let refused = daemon.get("/healthz").await;
    assert_eq!(refused.status, 403);
    assert!(refused.body.contains("admin.allow_from"), "{refused:?}");
}

#[tokio::test]
async fn what_administrators_do_is_written_down_without_names() {
    let mut daemon = settings().env("CLA_LOG__LEVEL", "info").start().await;
    let adam = Browser::identified(daemon.public, Version::Four, "adam").await;
    let form = [("Content-Type", "application/x-www-form-urlencoded")];
    let json = [("Content-Type", "application/json")];
    for (path, headers, body, what, to) in [
        (
            "/admin/broadcast/",
            form,
            "msg=1&allClients=true",
            "system message 1",
            "everyone",
        ),
        (
            "/admin/broadcast/",
            form,
            "msg=1&selectedClients=true&username=adam",
            "system message 1",
            "1 user and 0 connections",
        ),
        (
            "/admin/notifications/",
            json,
            r#"{"notifications":["secret"]}"#,
            "notification of 10 bytes",
            "user type operator",
        ),
    ] {
        let answer = http::request(daemon.admin, "POST", path, &headers, body).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let line = daemon.until_logged("sent to").await;
        assert_eq!(line["audit.by"], "127.0.0.1", "{line}");
        assert_eq!(line["audit.what"], what, "{line}");
        assert_eq!(line["audit.to"], to, "{line}");
        assert_eq!(line["reached"], 1, "{line}");
        assert_eq!(line["kept"], 0, "{line}");
        assert!(!line.to_string().contains("adam"), "{line}");
        assert!(!line.to_string().contains("secret"), "{line}");
    }
    let place = adam.id.clone();
    drop(adam);
    daemon
        .until_people(|people| people["adam"].to_string().contains("lost"))
        .await;
    let body = json!({"place": place}).to_string();
    let answer = http::request(daemon.admin, "POST", "/admin/places/end/", &json, &body).await;
    assert_eq!(answer.json()["ended"], true);
    let line = daemon.until_logged("place ended by hand").await;
    assert_eq!(line["audit.by"], "127.0.0.1", "{line}");
}

/// A session that polls, of that user.
async fn joined_as(daemon: &Daemon, version: Version, name: &str) -> Poller {
    let session = Poller::joined(daemon.public, version).await;
    let identity = json!({"username": name, "usertype": "operator"});
    session.post(&[&event_frame("identify", identity)]).await;
    let is_known = |people: &serde_json::Value| people.to_string().contains(&session.id);
    daemon.until_people(is_known).await;
    session
}

/// A session in the namespace, and the connection that it came over, which stays open.
async fn polls_over_one_line(daemon: &Daemon, header: &str) -> (TcpStream, Poller) {
    let mut line = TcpStream::connect(daemon.public).await.unwrap();
    let handshake =
        format!("GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: x\r\n{header}\r\n");
    let open = hears(&mut line, &handshake, "pingInterval").await;
    let (_, id) = open.split_once(r#""sid":""#).unwrap();
    let (id, _) = id.split_once('"').unwrap();
    let session = Poller::known(daemon.public, Version::Four, id.to_owned());
    session.join().await;
    (line, session)
}

/// Asks over a connection and returns what is heard over it, up to `text` or a little more.
async fn hears(line: &mut TcpStream, request: &str, text: &str) -> String {
    line.write_all(request.as_bytes()).await.unwrap();
    let mut heard = Vec::new();
    while !String::from_utf8_lossy(&heard).contains(text) {
        let read = timeout(PATIENCE, line.read_buf(&mut heard)).await;
        assert_ne!(read.unwrap().unwrap(), 0, "closed");
    }
    String::from_utf8(heard).unwrap()
}

async fn handshake(daemon: &Daemon, address: &str) -> Answer {
    let path = "/socket.io/?EIO=4&transport=polling";
    let headers = [("X-Real-IP", address)];
    http::request(daemon.public, "GET", path, &headers, "").await
}

async fn post(daemon: &Daemon, body: &str) -> Answer {
    let json = [("Content-Type", "application/json")];
    http::request(daemon.admin, "POST", "/admin/notifications/", &json, body).await
}

/// What a server says until it closes the connection, having been sent so much and no more.
async fn sent(server: std::net::SocketAddr, bytes: &str) -> String {
    let mut stream = TcpStream::connect(server).await.unwrap();
    stream.write_all(bytes.as_bytes()).await.unwrap();
    let mut rest = Vec::new();
    // Where the server has closed on bytes that it did not read, a reset may follow what it said.
    let closed = timeout(PATIENCE, stream.read_to_end(&mut rest)).await;
    assert!(closed.is_ok(), "still open after {bytes:?}");
    String::from_utf8(rest).unwrap()
}
