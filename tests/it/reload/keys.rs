//! Each key that needs no restart takes effect at a reload.

use std::{net::SocketAddr, time::Duration};

use cla_socketserver::config;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use tokio_tungstenite::tungstenite::Message;

use crate::support::{
    browser::Browser,
    daemon::{Daemon, settings},
    http,
    poller::Poller,
    protocol::{Version, event_frame},
};

/// A key, the text of the file before and after the reload, and the observation before and after.
struct Row(&'static str, &'static str, &'static str, [&'static str; 2]);

const ROWS: &[Row] = &[
    Row(
        "site_hostname",
        "site_hostname = ['other.example']",
        "site_hostname = ['site.example']",
        ["403", "200"],
    ),
    Row(
        "public.trusted_proxies",
        "public.trusted_proxies = []\nlimits.sessions_per_address = 1",
        "public.trusted_proxies = ['127.0.0.1']\nlimits.sessions_per_address = 1",
        ["429", "200"],
    ),
    Row(
        "presence.grace_ms",
        "presence.grace_ms = 60000",
        "presence.grace_ms = 0",
        ["kept", "gone"],
    ),
    Row(
        "admin.hostnames",
        "",
        "admin.hostnames = ['admin.example']",
        ["421", "200"],
    ),
    Row(
        "admin.allow_from",
        "",
        "admin.allow_from = ['10.0.0.0/8']",
        ["200", "403"],
    ),
    Row(
        "log.level",
        "log.level = 'info'",
        "log.level = 'debug'",
        ["silent", "logged"],
    ),
    Row("limits.sessions", "", "limits.sessions = 1", ["200", "503"]),
    Row(
        "limits.sessions_per_address",
        "",
        "limits.sessions_per_address = 1",
        ["200", "429"],
    ),
    Row(
        "limits.events_per_second",
        "limits.events_burst = 20\nlimits.events_per_second = 1",
        "limits.events_burst = 20\nlimits.events_per_second = 1000000",
        ["closed", "open"],
    ),
    Row(
        "limits.events_burst",
        "",
        "limits.events_burst = 1",
        ["open", "closed"],
    ),
    Row(
        "limits.bytes_per_second",
        "",
        "limits.bytes_per_second = 1024",
        ["open", "closed"],
    ),
    Row(
        "limits.admin_body_bytes",
        "",
        "limits.admin_body_bytes = 1024",
        ["200", "413"],
    ),
    Row(
        "limits.request_timeout_ms",
        "limits.request_timeout_ms = 1",
        "",
        ["408", "waits"],
    ),
    Row(
        "limits.header_timeout_ms",
        "limits.header_timeout_ms = 200",
        "",
        ["closed", "waits"],
    ),
];

/// Keys whose effect other tests show, and bounds that a test cannot reach in a short time.
const SHOWN_ELSEWHERE: [&str; 10] = [
    // This key has no effect.
    "limits.cases",
    // presence: a_reloaded_registry_searches_as_many_tabs_as_the_new_rules_say
    "limits.connections_per_user",
    // presence: a_reloaded_registry_uses_the_new_rules
    "public.merge_interval_ms",
    // a_stop_uses_the_reloaded_configuration_and_ignores_a_hangup
    "drain.spread_ms",
    "limits.shutdown_grace_ms",
    // socketio::admission: other_limits_hold_for_later_handshakes_and_close_no_session
    "limits.handshakes_per_second",
    "limits.handshakes_per_second_per_address",
    "limits.queued_bytes",
    "limits.frames_in_flight",
    "limits.tcp_user_timeout_ms",
];

#[tokio::test]
async fn each_key_takes_effect_without_a_restart_and_drops_nobody() {
    for Row(key, before, after, [seen_before, seen_after]) in ROWS {
        let mut daemon = settings().file(before).start().await;
        let mut bystander = Browser::identified(daemon.public, Version::Four, "bystander").await;
        assert_eq!(
            observe(&mut daemon, key).await,
            *seen_before,
            "{key}, before"
        );
        let line = daemon.reload(after).await;
        assert_eq!(line["level"], "INFO", "{key}: {line}");
        assert!(
            line["message"].as_str().unwrap().contains(key),
            "{key}: {line}"
        );
        assert_eq!(observe(&mut daemon, key).await, *seen_after, "{key}, after");
        bystander.open_case("the same").await;
        bystander.until_viewing(&["bystander"]).await;
    }
}

#[test]
fn every_key_that_needs_no_restart_is_shown_to_take_effect() {
    let live = config::keys().iter().filter(|key| !key.needs_restart);
    let mut live: Vec<_> = live.map(|key| key.name).collect();
    let shown = ROWS.iter().map(|Row(key, ..)| *key);
    let mut shown: Vec<_> = shown.chain(SHOWN_ELSEWHERE).collect();
    live.sort_unstable();
    shown.sort_unstable();
    assert_eq!(live, shown);
}

/// The effect of a key, as a client of the daemon can observe it.
pub(super) async fn observe(daemon: &mut Daemon, key: &str) -> String {
    let (public, admin) = (daemon.public, daemon.admin);
    let handshake =
        async |headers: &[(&str, &str)]| http::handshake(public, headers).await.status.to_string();
    let health = async |headers: &[(&str, &str)]| {
        let answer = http::request(admin, "GET", "/healthz", headers, "").await;
        answer.status.to_string()
    };
    match key {
        "site_hostname" => handshake(&[("Origin", "https://site.example")]).await,
        "public.trusted_proxies" => handshake(&[("X-Real-IP", "192.0.2.7")]).await,
        "limits.sessions" | "limits.sessions_per_address" => handshake(&[]).await,
        "admin.hostnames" => health(&[("Host", "admin.example")]).await,
        "admin.allow_from" => health(&[]).await,
        "limits.admin_body_bytes" => {
            let body = json!({"notifications": "x".repeat(2000)}).to_string();
            let answer = http::post_json(admin, "/admin/notifications/", &body).await;
            answer.status.to_string()
        }
        "limits.request_timeout_ms" => slow_body(public).await,
        "limits.header_timeout_ms" => silence(public).await,
        "log.level" => is_debug_logged(daemon).await,
        "presence.grace_ms" => after_a_loss(daemon).await,
        "limits.events_per_second" | "limits.events_burst" => after_a_burst(public, 40, 1).await,
        "limits.bytes_per_second" => after_a_burst(public, 20, 1000).await,
        other => panic!("no observation for {other}"),
    }
}

/// `waits` if the daemon waits for a missing body, else the status or `closed`.
async fn slow_body(public: SocketAddr) -> String {
    let poller = Poller::open(public, Version::Four).await;
    let head = format!(
        "POST {} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n",
        poller.path()
    );
    let answer = first_bytes(public, &head).await;
    match answer.as_deref() {
        None => "waits".to_owned(),
        Some(answer) => answer.split(' ').nth(1).unwrap_or("closed").to_owned(),
    }
}

/// `waits` if the daemon waits for the end of the headers, else `closed`.
async fn silence(public: SocketAddr) -> String {
    let answer = first_bytes(public, "GET / HTTP/1.1\r\n").await;
    if answer.is_some() { "closed" } else { "waits" }.to_owned()
}

/// The time of silence after which a server counts as waiting.
const HELD: Duration = Duration::from_millis(500);

/// The first bytes of an answer, empty if the server closes, `None` if it waits.
async fn first_bytes(to: SocketAddr, request: &str) -> Option<String> {
    let mut stream = TcpStream::connect(to).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = [0; 100];
    let read = timeout(HELD, stream.read(&mut answer)).await.ok()?;
    let length = read.unwrap_or_default();
    Some(String::from_utf8_lossy(&answer[..length]).into_owned())
}

/// `logged` if a line at debug comes before a line at info, else `silent`.
async fn is_debug_logged(daemon: &mut Daemon) -> String {
    let mut browser = daemon.browser(Version::Four).await;
    browser.emit("identify", json!(null)).await;
    browser.identify("talker").await;
    browser.open_case("talk").await;
    browser.until_viewing(&["talker"]).await;
    browser.close().await;
    let seen = daemon.logged.len();
    daemon.notify(json!([])).await;
    daemon.until_logged("notification of").await;
    let is_debug = daemon.logged[seen..]
        .iter()
        .any(|line| line["level"] == "DEBUG");
    if is_debug { "logged" } else { "silent" }.to_owned()
}

/// `kept` or `gone`: the place of a connection that was lost.
async fn after_a_loss(daemon: &Daemon) -> String {
    let lost = Browser::identified(daemon.public, Version::Four, "lost").await;
    let id = lost.id.clone();
    lost.give_up().await;
    let is_kept = |people: &Value| people["lost"]["connections"][&id]["lost"].is_object();
    let is_gone = |people: &Value| people["lost"]["connections"][&id].is_null();
    daemon
        .until_people(|people| is_kept(people) || is_gone(people))
        .await;
    if is_kept(&daemon.people().await) {
        "kept"
    } else {
        "gone"
    }
    .to_owned()
}

/// `open` or `closed`: a new connection after this number of events, each with this number of bytes.
async fn after_a_burst(public: SocketAddr, events: usize, bytes: usize) -> String {
    let mut browser = Browser::connect(public, Version::Four).await;
    let identity = json!({"username": "loud", "appVersion": "x".repeat(bytes)});
    let frame = event_frame("identify", identity);
    // The daemon may close at any moment.
    for _ in 0..events {
        let _ = browser.send_message(Message::text(frame.as_str())).await;
    }
    let last = event_frame("startViewingCase", json!("loud"));
    let _ = browser.send_message(Message::text(last)).await;
    while let Some(frame) = browser.next().await {
        if frame.contains("peopleViewing") {
            browser.close().await;
            return "open".to_owned();
        }
    }
    "closed".to_owned()
}
