//! The log: its lines, and a daemon whose log is not read.

use std::{
    collections::BTreeSet,
    fs,
    io::{self, BufRead, BufReader, PipeReader, PipeWriter, Write, pipe},
    net::{SocketAddr, TcpListener},
    os::unix::fs::MetadataExt,
    time::Duration,
};

use nix::{
    sys::signal::{Signal::SIGTERM, kill},
    unistd::Pid,
};
use serde_json::{Value, json};
use tempfile::NamedTempFile;
use tokio::{process::Child, task::spawn_blocking, time::timeout};

use crate::support::{
    WAIT,
    browser::Browser,
    daemon::{binary, settings},
    http,
    protocol::{Version, event_frame, identity},
    systemd::{activated, two_listeners},
};

/// The default capacity of a pipe, see `pipe(7)`.
const PIPE_BYTES: usize = 64 * 1024;

/// The longest time for a stop. It usually takes a fraction of that.
const STOP: Duration = Duration::from_secs(5);

#[tokio::test]
async fn a_log_that_is_not_read_delays_nothing() {
    let (_reader, writer) = full_pipe();
    let mut daemon = Unread::start(writer).await;
    // More requests than threads, so one that waits for the log would be noticed.
    for _ in 0..50 {
        http::raw(daemon.public, b"nonsense\r\n\r\n").await;
        http::raw(daemon.admin, b"nonsense\r\n\r\n").await;
    }
    daemon.flood(100).await;
    for _ in 0..10 {
        let healthy = http::request(daemon.admin, "GET", "/healthz", &[], "").await;
        assert_eq!(healthy.status, 200);
        let mut browser = Browser::identified(daemon.public, Version::Four, "adam").await;
        browser.open_case("X").await;
        browser.until_viewing(&["adam"]).await;
        browser.close().await;
    }
    daemon.stop().await;
}

#[tokio::test]
async fn lost_lines_are_counted_and_the_log_says_so_when_it_is_read_again() {
    let (reader, writer) = full_pipe();
    let mut daemon = Unread::start(writer).await;
    while daemon.lost().await == 0 {
        daemon.flood(2000).await;
    }
    let reading = spawn_blocking(move || {
        let mut lines = BufReader::new(reader).lines().map(parsed);
        let lost = lines.find_map(|line| line["lost"].as_u64());
        (lost, lines)
    });
    let (lost, rest) = timeout(WAIT, reading).await.unwrap().unwrap();
    assert_eq!(lost, Some(daemon.lost().await));
    daemon.stop().await;
    let end = rest.last().unwrap();
    assert_eq!(end["message"], "stopping", "{end}");
}

#[tokio::test]
async fn every_line_for_the_journal_has_a_priority() {
    let priorities = |log: &str| {
        let lines = log.lines().map(|line| line.get(..3).unwrap_or_default());
        lines.map(str::to_owned).collect::<BTreeSet<_>>()
    };
    let refused = [("CLA_TYPO", "1"), ("CLA_ADMIN__LISTEN", "0.0.0.0:1")];
    let (code, log) = journalled(&[], &refused).await;
    assert_eq!((code, log.lines().count()), (78, 2), "{log}");
    assert_eq!(priorities(&log), ["<3>".to_owned()].into());

    let (code, log) = journalled(&["--no-such-flag"], &[]).await;
    assert_eq!(code, 64);
    assert_eq!(priorities(&log), ["<3>".to_owned()].into(), "{log}");

    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let in_use = ["--public-listen", &address, "--admin-listen", "127.0.0.1:0"];
    let (code, log) = journalled(&in_use, &[("CLA_LOG__FORMAT", "json")]).await;
    assert_eq!(code, 1);
    let line = log.strip_prefix("<3>").unwrap();
    let line: Value = serde_json::from_str(line).unwrap();
    assert!(
        line["message"].as_str().unwrap().contains(&address),
        "{line}"
    );
}

#[tokio::test]
async fn a_refusal_that_an_operator_can_mend_is_one_warning_with_the_key_to_change() {
    let mut daemon = settings()
        .env("CLA_LOG__LEVEL", "info")
        .env("CLA_PUBLIC__TRUSTED_PROXIES", "10.0.0.1")
        .start()
        .await;
    let (public, admin) = (daemon.public, daemon.admin);
    for (server, header, value, key) in [
        (admin, "Host", "presence.internal", "admin.hostnames"),
        (public, "Origin", "https://chs.gov.example", "site_hostname"),
        (public, "X-Real-IP", "192.0.2.1", "public.trusted_proxies"),
    ] {
        let headers = [(header, value)];
        let refused = || http::handshake(server, &headers);
        refused().await;
        let line = daemon.until_logged(key).await;
        assert_eq!(line["level"], "WARN", "{line}");
        for _ in 0..100 {
            refused().await;
        }
    }
    daemon.stop().await;
    let warnings = daemon.problems().await;
    assert_eq!(warnings.len(), 3, "{warnings:?}");
    for (warning, example) in
        warnings
            .iter()
            .zip(["presence.internal", "chs.gov.example", "127.0.0.1"])
    {
        assert!(warning.contains(example), "{warning}");
        assert!(
            !warning.contains("192.0.2.1"),
            "a client chose this text: {warning}"
        );
    }
}

#[tokio::test]
async fn the_log_says_at_start_that_no_site_is_set() {
    for (site, said) in [("", true), ("site.example", false)] {
        let daemon = settings().env("SITE_HOSTNAME", site).start().await;
        let mut messages = daemon
            .logged
            .iter()
            .filter_map(|line| line["message"].as_str());
        let found = messages.any(|message| message.contains("site_hostname is not set"));
        assert_eq!(found, said, "{site:?}");
    }
}

#[tokio::test]
async fn the_log_has_no_personal_data_at_any_level() {
    let mut daemon = settings()
        .env("CLA_LOG__LEVEL", "trace")
        .env("SITE_HOSTNAME", "site.example")
        .start()
        .await;
    let mut adam = daemon.browser(Version::Three).await;
    adam.emit("identify", identity("secret-name")).await;
    adam.open_case("secret-case").await;
    adam.until_viewing(&["secret-name"]).await;
    adam.emit("identify", json!({"username": ["secret-junk"]}))
        .await;
    adam.emit("secret-event", json!("secret-junk")).await;
    let origin = [
        ("Origin", "https://secret-user@foreign.example"),
        ("Cookie", "secret-cookie"),
    ];
    http::request(
        daemon.public,
        "GET",
        "/socket.io/?secret-query",
        &origin,
        "",
    )
    .await;
    daemon.notify(json!("secret-notification")).await;
    http::post_json(daemon.admin, "/admin/notifications/", "{secret-junk").await;
    adam.close().await;
    daemon.stop().await;
    for line in daemon.whole_log().await {
        assert!(!line.to_string().contains("secret"), "{line}");
    }
}

#[tokio::test]
async fn clients_cannot_write_lines_at_info() {
    let mut daemon = settings()
        .env("CLA_LOG__LEVEL", "info")
        .env("SITE_HOSTNAME", "site.example")
        .start()
        .await;
    let mut client = daemon.browser(Version::Four).await;
    client.emit("identify", json!(null)).await;
    client.send("nonsense").await;
    client.until_closed().await;
    http::raw(daemon.public, b"nonsense\r\n\r\n").await;
    http::request(daemon.public, "GET", "/wp-login.php", &[], "").await;
    daemon.stop().await;
    let log = daemon.whole_log().await;
    let messages: Vec<_> = log
        .iter()
        .filter_map(|line| line["message"].as_str())
        .collect();
    assert_eq!(
        messages.len(),
        4,
        "two listeners, ready, stopping: {messages:?}"
    );
}

/// Runs the daemon with a file as the journal, and returns its exit code and the text of the file.
async fn journalled(args: &[&str], variables: &[(&str, &str)]) -> (i32, String) {
    let file = NamedTempFile::new().unwrap();
    let metadata = file.as_file().metadata().unwrap();
    let stream = format!("{}:{}", metadata.dev(), metadata.ino());
    let mut command = binary();
    command
        .args(args)
        .envs(variables.iter().copied())
        .env("JOURNAL_STREAM", stream)
        .stderr(file.reopen().unwrap());
    let ended = timeout(WAIT, command.status()).await.unwrap().unwrap();
    let log = fs::read_to_string(file.path()).unwrap();
    (ended.code().unwrap(), log)
}

/// Parses a line and asserts that it is whole. The first line follows the bytes that filled the pipe.
fn parsed(line: io::Result<String>) -> Value {
    let line = line.unwrap();
    let line = line.trim_start_matches('\0');
    serde_json::from_str(line).unwrap_or_else(|_| panic!("not whole: {line}"))
}

/// A daemon whose log is not read. Its addresses cannot be read from the log, so it is given open listeners.
struct Unread {
    public: SocketAddr,
    admin: SocketAddr,
    child: Child,
}

impl Unread {
    async fn start(stderr: PipeWriter) -> Self {
        let listeners = two_listeners();
        let [public, admin] = listeners.each_ref().map(|l| l.local_addr().unwrap());
        let [first, second] = listeners;
        let mut command = activated("public:admin", first, second);
        let child = command
            .env("CLA_LOG__LEVEL", "debug")
            .env("CLA_LOG__FORMAT", "json")
            .env("CLA_LIMITS__EVENTS_PER_SECOND", "1000000")
            .env("CLA_LIMITS__EVENTS_BURST", "1000000")
            .env("CLA_LIMITS__BYTES_PER_SECOND", "104857600")
            .stderr(stderr)
            .spawn()
            .unwrap();
        http::until_ready(admin).await;
        Self {
            public,
            admin,
            child,
        }
    }

    /// Causes this number of lines at debug.
    async fn flood(&self, lines: usize) {
        let mut client = Browser::connect(self.public, Version::Four).await;
        let frame = event_frame("identify", json!(null));
        for _ in 0..lines {
            client.send(&frame).await;
        }
        client.identify("client").await;
        client.open_case("its own").await;
        client.until_viewing(&["client"]).await;
        client.close().await;
    }

    /// The number of lost lines.
    async fn lost(&self) -> u64 {
        let answer = http::request(self.admin, "GET", "/metrics", &[], "").await;
        let name = "cla_socketserver_log_total{outcome=\"lost\"} ";
        let count = answer.body.lines().find_map(|line| line.strip_prefix(name));
        count.unwrap().parse().unwrap()
    }

    async fn stop(&mut self) {
        let pid = Pid::from_raw(self.child.id().unwrap().try_into().unwrap());
        kill(pid, SIGTERM).unwrap();
        let exit = timeout(STOP, self.child.wait()).await;
        let exit = exit.expect("the daemon should have stopped").unwrap();
        assert_eq!(exit.code(), Some(0));
    }
}

/// A pipe that has no room for another byte.
fn full_pipe() -> (PipeReader, PipeWriter) {
    let (reader, mut writer) = pipe().unwrap();
    writer.write_all(&vec![0; PIPE_BYTES]).unwrap();
    (reader, writer)
}
