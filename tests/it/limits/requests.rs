//! Limits of HTTP requests, and the rules of the admin app.

use std::time::Duration;

use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use crate::support::{
    WAIT, browser::Browser, daemon::settings, http, poller::Poller, protocol::Version,
};

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
        let answer = http::until_closed(server, &request(39 * 1024)).await;
        assert!(
            answer.starts_with("HTTP/1.1 "),
            "39 KiB to {server}: {answer}"
        );
        assert!(
            !answer.starts_with("HTTP/1.1 431"),
            "39 KiB to {server}: {answer}"
        );
        let refused = http::until_closed(server, &request(80 * 1024)).await;
        assert!(
            refused.starts_with("HTTP/1.1 431"),
            "80 KiB to {server}: {refused}"
        );
        daemon
            .until_counted("request_refused", "bad_head", count)
            .await;
    }
}

#[tokio::test]
async fn slow_requests_are_refused_after_their_time_out() {
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
        let rest = http::until_closed(server, &half).await;
        assert!(!rest.contains("200"), "{half:?} to {server}: {rest}");
    }
    // An idle connection after an answer is closed too, but not counted.
    let whole = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let rest = http::until_closed(daemon.admin, whole).await;
    assert!(rest.contains("200"), "{rest}");
    daemon
        .until_counted("connection_closed", "header_timeout", 4)
        .await;
    // A second request that arrives byte by byte is counted.
    let mut stream = TcpStream::connect(daemon.admin).await.unwrap();
    stream.write_all(whole.as_bytes()).await.unwrap();
    stream.read_u8().await.unwrap();
    while stream.write_all(b"G").await.is_ok() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    daemon
        .until_counted("connection_closed", "header_timeout", 5)
        .await;
    let head = |path: &str, media_type: &str| {
        format!(
            "POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {media_type}\r\nContent-Length: 100\r\n\r\n1"
        )
    };
    let rest = http::until_closed(daemon.public, &head(&path, "text/plain")).await;
    assert!(rest.starts_with("HTTP/1.1 408"), "{rest}");
    let form = "application/x-www-form-urlencoded";
    let rest = http::until_closed(daemon.admin, &head("/admin/broadcast/", form)).await;
    assert!(rest.starts_with("HTTP/1.1 408"), "{rest}");
    daemon
        .until_counted("request_refused", "request_timeout", 1)
        .await;
    daemon
        .until_counted("admin_refused", "request_timeout", 1)
        .await;
    let junk = http::until_closed(daemon.public, "\u{16}\u{3}\u{1} this is no HTTP\r\n\r\n").await;
    assert!(junk.starts_with("HTTP/1.1 400"), "{junk}");
    daemon.until_counted("request_refused", "bad_head", 1).await;
}

#[tokio::test]
async fn connections_to_an_address_of_the_admin_app_are_bounded_and_others_wait() {
    let daemon = settings()
        .env("CLA_ADMIN__LISTEN", "127.0.0.1:0,127.0.0.2:0")
        .env("CLA_LIMITS__ADMIN_CONNECTIONS", 4)
        // Longer than `WAIT`, so no held connection is closed during the test.
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
        let answered = timeout(WAIT, stream.read_u8()).await;
        assert!(answered.is_ok(), "not answered within the limit");
        held.push(stream);
    }
    let waits = timeout(Duration::from_millis(300), daemon.get("/healthz"));
    assert!(waits.await.is_err(), "answered beyond the limit");
    let elsewhere = daemon.addresses("admin")[1];
    let answer = http::until_closed(
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
async fn the_admin_app_refuses_addresses_outside_allow_from() {
    let daemon = settings()
        .env("CLA_ADMIN__ALLOW_FROM", "10.0.0.0/8")
        .start()
        .await;
    let refused = daemon.get("/healthz").await;
    assert_eq!(refused.status, 403);
    assert!(refused.body.contains("admin.allow_from"), "{refused:?}");
}

#[tokio::test]
async fn the_audit_log_has_every_message_without_names() {
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
    daemon.until_lost("adam").await;
    let body = json!({"place": place});
    let answer = daemon.post("/admin/places/end/", &body).await;
    assert_eq!(answer["ended"], true);
    let line = daemon.until_logged("place ended by hand").await;
    assert_eq!(line["audit.by"], "127.0.0.1", "{line}");
}
