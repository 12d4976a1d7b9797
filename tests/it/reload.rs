//! SIGHUP: the daemon takes up a changed configuration, and no connection ends because of it.

use std::{net::SocketAddr, path::Path, time::Duration};

use cla_socketserver::config;
use futures_util::{StreamExt, stream};
use nix::sys::signal::{SIGHUP, SIGTERM};
use rustix::pty::{OpenptFlags, ioctl_tiocgptpeer, openpt, unlockpt};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpStream, UnixDatagram},
    time::timeout,
};
use tokio_tungstenite::tungstenite::Message;

use crate::{
    daemon::{Daemon, binary, settings},
    http,
    process::until_notified,
    wire::{Browser, Poller, Version, event_frame},
};

/// A key, what the file says before and after the reload, and what is seen then.
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

/// Keys whose effect other tests show, or that only bound what a test cannot bring about in a moment.
const SHOWN_ELSEWHERE: [&str; 10] = [
    // It has no effect.
    "limits.cases",
    "limits.connections_per_user",
    // presence: a_reloaded_registry_goes_by_the_new_rules
    "public.merge_interval_ms",
    // a_stop_goes_by_the_configuration_of_its_moment
    "drain.spread_ms",
    "limits.shutdown_grace_ms",
    // guests: other_limits_hold_for_whoever_comes_next_and_drop_nobody
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
        assert_eq!(line["level"], "INFO", "{line}");
        assert!(line["message"].as_str().unwrap().contains(key), "{line}");
        assert_eq!(observe(&mut daemon, key).await, *seen_after, "{key}, after");
        bystander.say("startViewingCase", json!("the same")).await;
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

#[tokio::test]
async fn a_file_with_mistakes_changes_nothing_and_all_of_them_are_logged() {
    let mut daemon = settings()
        .file("site_hostname = ['site.example']")
        .start()
        .await;
    let mut bystander = Browser::identified(daemon.public, Version::Three, "bystander").await;
    let mistakes = "site_hostname = ['other.example']\nlimits.cases = 'abc'\nlimits.typo = 1\n";
    let first = daemon.reload(mistakes).await;
    let second = daemon.until_logged("not reloaded").await;
    for (line, parts) in [
        (&first, ["limits.typo", "there is no such key"]),
        (
            &second,
            ["limits.cases", "a whole number from 1 to 1000000"],
        ),
    ] {
        let message = line["message"].as_str().unwrap();
        assert_eq!(line["level"], "ERROR", "{line}");
        assert!(parts.iter().all(|part| message.contains(part)), "{line}");
    }
    assert_eq!(observe(&mut daemon, "site_hostname").await, "200");
    std::fs::remove_file(daemon.config()).unwrap();
    daemon.signal(SIGHUP);
    daemon.until_logged("config.toml").await;

    let line = daemon.reload("site_hostname = ['other.example']").await;
    assert_eq!(line["level"], "INFO", "{line}");
    assert_eq!(observe(&mut daemon, "site_hostname").await, "403");
    bystander.say("startViewingCase", json!("X")).await;
    bystander.until_viewing(&["bystander"]).await;
}

#[tokio::test]
async fn what_cannot_change_is_named_in_one_warning_and_stays() {
    let mut daemon = settings().file("").start().await;
    let changed = "public.ping_interval_ms = 1\nlog.format = 'text'\nlimits.message_bytes = 1024\nlimits.cases = 7";
    // Twice: it still needs one.
    for changes in ["limits.cases", "nothing changed"] {
        let line = daemon.reload(changed).await;
        assert!(
            line["message"].as_str().unwrap().contains(changes),
            "{line}"
        );
        let line = daemon.until_logged("needs a restart").await;
        assert_eq!(line["level"], "WARN");
        assert_eq!(
            line["message"], "needs a restart: public.ping_interval_ms, limits.message_bytes",
            "log.format is set by a variable, which overrules the file"
        );
    }
    let answer = http::request(daemon.public, "GET", HANDSHAKE, &[], "").await;
    assert!(
        answer.body.contains(r#""pingInterval":25000"#),
        "{answer:?}"
    );
}

/// Five thousand of them: `SOCKETSERVER_PEOPLE=5000 cargo test --test it hundreds_of_connections`.
#[tokio::test]
async fn hundreds_of_connections_stay_over_ten_reloads_two_of_which_are_refused() {
    let count = std::env::var("SOCKETSERVER_PEOPLE").map_or(300, |count| count.parse().unwrap());
    let mut daemon = settings()
        .file("limits.sessions_per_address = 9000")
        .start()
        .await;
    let server = daemon.public;
    let people = (0..count).map(|number| async move {
        let version = if number % 2 == 0 {
            Version::Three
        } else {
            Version::Four
        };
        Browser::identified(server, version, &format!("person {number}")).await
    });
    // Not all at once, or the last ones would not have asked in time.
    let people = stream::iter(people).buffered(100);
    let mut people: Vec<_> = people.collect().await;
    for round in 0..10 {
        let (text, level) = match round {
            3 | 7 => ("nonsense", "ERROR"),
            // Fewer than there are.
            5 => (
                "limits.sessions = 1\nlimits.sessions_per_address = 1\nlimits.cases = 1\nlimits.connections_per_user = 1",
                "INFO",
            ),
            _ => (
                "limits.sessions_per_address = 9000\nsite_hostname = ['site.example']",
                "INFO",
            ),
        };
        let line = daemon.reload(text).await;
        assert_eq!(line["level"], level, "{line}");
    }
    for (number, person) in people.iter_mut().enumerate() {
        person
            .say("startViewingCase", json!(format!("case {number}")))
            .await;
    }
    for (number, person) in people.iter_mut().enumerate() {
        person.until_viewing(&[&format!("person {number}")]).await;
    }
    daemon
        .until_shown("cla_socketserver_presence_total{event=\"lost\"} 0")
        .await;
    daemon
        .until_shown(&format!("cla_socketserver_people_connected {count}"))
        .await;
}

#[tokio::test]
async fn a_stop_goes_by_the_configuration_of_its_moment_and_a_hangup_does_not_disturb_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    let mut daemon = settings()
        .file("")
        .env("NOTIFY_SOCKET", path.display())
        .start()
        .await;
    until_notified(&socket, "READY=1").await;
    daemon
        .reload("drain.spread_ms = 7000\nlimits.shutdown_grace_ms = 4000")
        .await;
    until_notified(&socket, "RELOADING=1").await;
    until_notified(&socket, "READY=1\nSTATUS=configuration reloaded").await;
    daemon.signal(SIGTERM);
    until_notified(&socket, "STOPPING=1\nEXTEND_TIMEOUT_USEC=11000000").await;
    // Gone already, or stopping.
    let _ = nix::sys::signal::kill(daemon.pid(), SIGHUP);
    assert_eq!(daemon.exit().await.code(), Some(0));
}

#[tokio::test]
async fn the_command_for_the_unit_refuses_a_wrong_file_before_the_daemon_hears_of_it() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path().display().to_string();
    let mut daemon = settings()
        .file("")
        .env("RUNTIME_DIRECTORY", &directory)
        .start()
        .await;
    let reload = async |daemon: &Daemon, variables: &[(&str, &str)]| {
        let mut command = binary();
        command.arg("reload").arg("--config").arg(daemon.config());
        command.env("RUNTIME_DIRECTORY", &directory);
        command.env("MAINPID", daemon.pid().to_string());
        command
            .envs(variables.iter().copied())
            .output()
            .await
            .unwrap()
    };
    std::fs::write(daemon.config(), "limits.sessions = 'many'").unwrap();
    let refused = reload(&daemon, &[]).await;
    assert_eq!(refused.status.code(), Some(78));
    let why = String::from_utf8(refused.stderr).unwrap();
    assert!(why.contains("limits.sessions = \"many\""), "{why}");

    std::fs::write(daemon.config(), "limits.sessions = 7").unwrap();
    assert!(reload(&daemon, &[]).await.status.success());
    let line = daemon.until_logged("reloaded").await;
    assert_eq!(
        line["message"],
        "configuration reloaded, changed: limits.sessions"
    );
    assert!(!Path::new(&directory).join("reload.sock").exists());

    // The daemon goes by the environment that it was started with.
    std::fs::write(daemon.config(), "limits.cases = 'many'").unwrap();
    let refused = reload(&daemon, &[("CLA_LIMITS__CASES", "7")]).await;
    assert_eq!(refused.status.code(), Some(78));
    let why = String::from_utf8(refused.stderr).unwrap();
    assert!(why.contains("limits.cases = \"many\""), "{why}");

    std::fs::write(daemon.config(), "").unwrap();
    let by_hand = reload(&daemon, &[("MAINPID", "")]).await;
    assert_eq!(by_hand.status.code(), Some(1));
    let why = String::from_utf8(by_hand.stderr).unwrap();
    assert!(why.contains("systemctl reload"), "{why}");
}

#[tokio::test]
async fn the_end_of_its_terminal_ends_a_daemon_that_was_started_in_one() {
    // Daemons of other tests must not inherit it, or it would stay.
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let terminal = openpt(flags).unwrap();
    unlockpt(&terminal).unwrap();
    let stdin = ioctl_tiocgptpeer(&terminal, flags).unwrap();
    let mut daemon = settings().file("").stdin(stdin).start().await;
    daemon.reload("").await;
    drop(terminal);
    daemon.signal(SIGHUP);
    daemon.until_logged("stopping").await;
    assert_eq!(daemon.exit().await.code(), Some(0));
}

const HANDSHAKE: &str = "/socket.io/?EIO=4&transport=polling";

/// What a neighbour sees of a key.
async fn observe(daemon: &mut Daemon, key: &str) -> String {
    let (public, admin) = (daemon.public, daemon.admin);
    let status = async |to, method, path, headers: &[(&str, &str)], body: &str| {
        let answer = http::request(to, method, path, headers, body).await;
        answer.status.to_string()
    };
    match key {
        "site_hostname" => {
            let origin = [("Origin", "https://site.example")];
            status(public, "GET", HANDSHAKE, &origin, "").await
        }
        "public.trusted_proxies" => {
            let address = [("X-Real-IP", "192.0.2.7")];
            status(public, "GET", HANDSHAKE, &address, "").await
        }
        "limits.sessions" | "limits.sessions_per_address" => {
            status(public, "GET", HANDSHAKE, &[], "").await
        }
        "admin.hostnames" => {
            let host = [("Host", "admin.example")];
            status(admin, "GET", "/healthz", &host, "").await
        }
        "admin.allow_from" => status(admin, "GET", "/healthz", &[], "").await,
        "limits.admin_body_bytes" => {
            let json = [("Content-Type", "application/json")];
            let body = json!({"notifications": "x".repeat(2000)}).to_string();
            status(admin, "POST", "/admin/notifications/", &json, &body).await
        }
        "limits.request_timeout_ms" => slow_body(public).await,
        "limits.header_timeout_ms" => silence(public).await,
        "log.level" => is_debug_logged(daemon).await,
        "presence.grace_ms" => after_a_loss(daemon).await,
        "limits.events_per_second" | "limits.events_burst" => after_a_burst(public, 40, 1).await,
        "limits.bytes_per_second" => after_a_burst(public, 20, 1000).await,
        other => panic!("nobody knows how to look at {other}"),
    }
}

/// Whether a body that does not come is waited for.
async fn slow_body(public: SocketAddr) -> String {
    let poller = Poller::open(public, Version::Four).await;
    let head = format!(
        "POST {} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n",
        poller.path()
    );
    let answer = first_words(public, &head).await;
    match answer.as_deref() {
        None => "waits".to_owned(),
        Some(answer) => answer.split(' ').nth(1).unwrap_or("closed").to_owned(),
    }
}

/// Whether headers that do not end are waited for.
async fn silence(public: SocketAddr) -> String {
    let answer = first_words(public, "GET / HTTP/1.1\r\n").await;
    if answer.is_some() { "closed" } else { "waits" }.to_owned()
}

/// How long nothing must come for a server to be said to wait.
const HELD: Duration = Duration::from_millis(500);

/// What a server says, perhaps nothing before it hangs up, unless it waits.
async fn first_words(to: SocketAddr, request: &str) -> Option<String> {
    let mut stream = TcpStream::connect(to).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = [0; 100];
    let read = timeout(HELD, stream.read(&mut answer)).await.ok()?;
    let length = read.unwrap_or_default();
    Some(String::from_utf8_lossy(&answer[..length]).into_owned())
}

/// Whether a line at debug is written, before one at info that is.
async fn is_debug_logged(daemon: &mut Daemon) -> String {
    let mut browser = daemon.browser(Version::Four).await;
    browser.say("identify", json!(null)).await;
    browser.identify("talker").await;
    browser.say("startViewingCase", json!("talk")).await;
    browser.until_viewing(&["talker"]).await;
    browser.close().await;
    let seen = daemon.logged.len();
    let body = json!({"notifications": []}).to_string();
    let json = [("Content-Type", "application/json")];
    http::request(daemon.admin, "POST", "/admin/notifications/", &json, &body).await;
    daemon.until_logged("notification of").await;
    let is_debug = daemon.logged[seen..]
        .iter()
        .any(|line| line["level"] == "DEBUG");
    if is_debug { "logged" } else { "silent" }.to_owned()
}

/// What becomes of the place of a connection that was lost.
async fn after_a_loss(daemon: &Daemon) -> String {
    let lost = Browser::identified(daemon.public, Version::Four, "lost").await;
    let id = lost.id.clone();
    lost.give_up().await;
    let is_kept =
        |people: &serde_json::Value| people["lost"]["connections"][&id]["lost"].is_object();
    let is_gone = |people: &serde_json::Value| people["lost"]["connections"][&id].is_null();
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

/// Whether a new connection may say so much at once.
async fn after_a_burst(public: SocketAddr, events: usize, bytes: usize) -> String {
    let mut browser = Browser::connect(public, Version::Four).await;
    let identity = json!({"username": "loud", "appVersion": "x".repeat(bytes)});
    let frame = event_frame("identify", identity);
    // It may be closed at any moment.
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
