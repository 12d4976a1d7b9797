//! Start and stop: signals, exit codes, health.

use std::net::SocketAddr;

use nix::sys::signal::{SIGINT, SIGTERM};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::support::{
    browser::Browser,
    daemon::settings,
    http,
    poller::Poller,
    protocol::{VERSIONS, Version},
};

#[tokio::test]
async fn a_signal_stops_the_daemon_and_clients_may_reconnect() {
    for signal in [SIGTERM, SIGINT] {
        let mut daemon = settings().start().await;
        let mut browsers = Vec::new();
        for version in VERSIONS {
            browsers.push(daemon.browser_on_case(version, "adam", "X").await);
        }
        let joe = Browser::identified(daemon.public, Version::Four, "joe").await;
        let poller = Poller::joined(daemon.public, Version::Three).await;
        let polling = poller.held().await;
        let _half_open = TcpStream::connect(daemon.public).await.unwrap();

        daemon.signal(signal);
        for browser in &mut browsers {
            let frames = browser.until_closed().await;
            let is_close_or_list = |frame: &String| frame == "1" || frame.ends_with(r#"["adam"]]"#);
            assert!(
                frames.iter().all(is_close_or_list),
                "{signal}: no disconnect packet, and no list without adam: {frames:?}"
            );
        }
        assert_eq!(daemon.exit().await.code(), Some(0), "{signal}");
        drop((joe, polling));
        let problems = daemon.problems().await;
        assert!(problems.is_empty(), "{signal}: {problems:?}");
    }
}

#[tokio::test]
async fn a_second_signal_ends_the_daemon_at_once() {
    let mut daemon = settings().start().await;
    let _busy = request_under_way(daemon.admin, "/admin/notifications/").await;
    daemon.signal(SIGTERM);
    daemon.until_logged("stopping").await;
    daemon.signal(SIGTERM);
    assert_eq!(daemon.exit().await.code(), Some(1));
}

#[tokio::test]
async fn the_grace_period_bounds_the_stop() {
    let mut daemon = settings()
        .env("CLA_LIMITS__SHUTDOWN_GRACE_MS", 50)
        .env("CLA_DRAIN__SPREAD_MS", 0)
        .start()
        .await;
    let _busy = request_under_way(daemon.admin, "/admin/notifications/").await;
    daemon.signal(SIGTERM);
    assert_eq!(daemon.exit().await.code(), Some(1));
    let log = daemon.whole_log().await;
    let last = log.last().unwrap()["message"].as_str().unwrap();
    assert!(last.contains("limits.shutdown_grace_ms"), "{last}");
}

#[tokio::test]
async fn half_a_request_does_not_delay_the_stop() {
    let mut daemon = settings().start().await;
    let poller = Poller::open(daemon.public, Version::Four).await;
    let _busy = [
        request_under_way(daemon.admin, "/admin/notifications/").await,
        request_under_way(daemon.public, &poller.path()).await,
    ];
    daemon.stop().await;
}

#[tokio::test]
async fn a_daemon_that_stops_is_alive_but_not_ready() {
    let mut daemon = settings().start().await;
    let poller = Poller::open(daemon.public, Version::Four).await;
    let busy = request_under_way(daemon.public, &poller.path()).await;
    daemon.signal(SIGTERM);
    daemon.until_logged("stopping").await;
    let answer = daemon.get("/readyz").await;
    assert_eq!(answer.status, 503);
    assert_eq!(answer.json()["status"], "draining");
    assert_eq!(daemon.get("/healthz").await.status, 200);
    drop(busy);
    assert_eq!(daemon.exit().await.code(), Some(0));
}

#[tokio::test]
async fn a_request_over_a_connection_from_before_the_stop_is_answered() {
    let mut daemon = settings().start().await;
    // These connections are accepted and have sent nothing.
    let mut streams = [
        TcpStream::connect(daemon.public).await.unwrap(),
        TcpStream::connect(daemon.admin).await.unwrap(),
    ];
    daemon.get("/healthz").await;
    daemon.signal(SIGTERM);
    daemon.until_logged("stopping").await;
    let paths = [http::HANDSHAKE, "/healthz"];
    for (stream, path) in streams.iter_mut().zip(paths) {
        let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
    }
    for (mut stream, path) in streams.into_iter().zip(paths) {
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{path}: {answer}");
    }
    assert_eq!(daemon.exit().await.code(), Some(0));
}

#[tokio::test]
async fn health_and_readiness_have_different_answers() {
    let daemon = settings().start().await;
    assert_eq!(daemon.get("/healthz").await.status, 200);
    assert_eq!(daemon.get("/readyz").await.json()["status"], "ready");
}

/// Starts a request and sends no body.
async fn request_under_way(server: SocketAddr, path: &str) -> TcpStream {
    let mut stream = TcpStream::connect(server).await.unwrap();
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\n\
         Content-Type: application/json\r\nContent-Length: 100\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 100");
    stream
}
