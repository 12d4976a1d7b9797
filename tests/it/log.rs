//! The log as its reader meets it, and as the daemon meets a reader who does not read.

use std::{
    collections::BTreeSet,
    fs,
    io::{self, BufRead, BufReader, PipeReader, PipeWriter, Write, pipe},
    net::{SocketAddr, TcpListener},
    os::{fd::OwnedFd, unix::fs::MetadataExt},
    time::Duration,
};

use nix::{
    sys::signal::{Signal::SIGTERM, kill},
    unistd::Pid,
};
use serde_json::{Value, json};
use tempfile::NamedTempFile;
use tokio::{process::Child, task::spawn_blocking, time::timeout};

use crate::{
    daemon::{PATIENCE, binary, settings},
    http,
    process::activated,
    wire::{Browser, Version, event_frame},
};

/// What a pipe holds if nothing else is said, see `pipe(7)`.
const PIPE_BYTES: usize = 64 * 1024;

/// A stop takes a fraction of this.
const STOP: Duration = Duration::from_secs(5);

#[tokio::test]
async fn a_log_that_nobody_reads_holds_up_nobody() {
    let (_reader, writer) = full_pipe();
    let mut daemon = Unread::start(writer).await;
    // Of all threads that serve, none may be left waiting.
    for _ in 0..50 {
        http::raw(daemon.public, b"nonsense\r\n\r\n").await;
        http::raw(daemon.admin, b"nonsense\r\n\r\n").await;
    }
    daemon.flood(100).await;
    for _ in 0..10 {
        let healthy = http::request(daemon.admin, "GET", "/healthz", &[], "").await;
        assert_eq!(healthy.status, 200);
        let mut browser = Browser::identified(daemon.public, Version::Four, "adam").await;
        browser.say("startViewingCase", json!("X")).await;
        browser.until_viewing(&["adam"]).await;
        browser.close().await;
    }
    daemon.stop().await;
}

#[tokio::test]
async fn lines_that_were_lost_are_counted_and_the_log_says_so_when_it_is_read_again() {
    let (reader, writer) = full_pipe();
    let mut daemon = Unread::start(writer).await;
    while daemon.lost().await == 0 {
        daemon.flood(2000).await;
    }
    let reading = spawn_blocking(move || {
        let mut lines = BufReader::new(reader).lines().map(parsed);
        let told = lines.find_map(|line| line["lost"].as_u64());
        (told, lines)
    });
    let (told, rest) = timeout(PATIENCE, reading).await.unwrap().unwrap();
    assert_eq!(told, Some(daemon.lost().await));
    daemon.stop().await;
    let last = rest.last().unwrap();
    assert_eq!(last["message"], "stopping");
}

#[tokio::test]
async fn what_the_journal_reads_has_a_priority_on_every_line() {
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
async fn what_an_operator_must_mend_is_one_warning_with_the_key_to_change() {
    let mut daemon = settings()
        .env("CLA_LOG__LEVEL", "info")
        .env("CLA_PUBLIC__TRUSTED_PROXIES", "10.0.0.1")
        .start()
        .await;
    let (public, admin) = (daemon.public, daemon.admin);
    let handshake = "/socket.io/?EIO=4&transport=polling";
    for (server, header, value, key) in [
        (admin, "Host", "presence.internal", "admin.hostnames"),
        (public, "Origin", "https://chs.gov.example", "site_hostname"),
        (public, "X-Real-IP", "192.0.2.1", "public.trusted_proxies"),
    ] {
        let headers = [(header, value)];
        let refused = || http::request(server, "GET", handshake, &headers, "");
        refused().await;
        let line = daemon.until_logged(key).await;
        assert_eq!(line["level"], "WARN", "{line}");
        for _ in 0..100 {
            refused().await;
        }
    }
    daemon.signal(SIGTERM);
    assert!(daemon.exit().await.success());
    let log = daemon.whole_log().await;
    let warnings = log.iter().filter(|line| line["level"] == "WARN");
    let warnings: Vec<_> = warnings
        .map(|line| line["message"].as_str().unwrap())
        .collect();
    assert_eq!(warnings.len(), 3, "{warnings:?}");
    for (warning, example) in
        warnings
            .iter()
            .zip(["presence.internal", "chs.gov.example", "127.0.0.1"])
    {
        assert!(warning.contains(example), "{warning}");
        assert!(
            !warning.contains("192.0.2.1"),
            "anybody can say that: {warning}"
        );
    }
}

/// Runs the daemon with a standard error that is said to be the journal, and returns its exit code and what it wrote there.
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
    let ended = timeout(PATIENCE, command.status()).await.unwrap().unwrap();
    let log = fs::read_to_string(file.path()).unwrap();
    (ended.code().unwrap(), log)
}

/// A line, which is whole. The first one follows what has filled the pipe.
fn parsed(line: io::Result<String>) -> Value {
    let line = line.unwrap();
    let line = line.trim_start_matches('\0');
    serde_json::from_str(line).unwrap_or_else(|_| panic!("not whole: {line}"))
}

/// The daemon with nobody to read its log, so that what it listens on must be known beforehand.
struct Unread {
    public: SocketAddr,
    admin: SocketAddr,
    child: Child,
}

impl Unread {
    async fn start(stderr: PipeWriter) -> Self {
        let listeners = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
        let [public, admin] = listeners.each_ref().map(|l| l.local_addr().unwrap());
        let [first, second] = listeners.map(OwnedFd::from);
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
        let ready = timeout(PATIENCE, async {
            while http::request(admin, "GET", "/readyz", &[], "").await.status != 200 {}
        });
        ready.await.unwrap();
        Self {
            public,
            admin,
            child,
        }
    }

    /// Does what leaves that many lines at debug.
    async fn flood(&self, lines: usize) {
        let mut stranger = Browser::connect(self.public, Version::Four).await;
        let frame = event_frame("identify", json!(null));
        for _ in 0..lines {
            stranger.send(&frame).await;
        }
        stranger.identify("stranger").await;
        stranger.say("startViewingCase", json!("its own")).await;
        stranger.until_viewing(&["stranger"]).await;
        stranger.close().await;
    }

    /// How many lines have been lost.
    async fn lost(&self) -> u64 {
        let page = http::request(self.admin, "GET", "/metrics", &[], "")
            .await
            .body;
        let name = "cla_socketserver_log_total{outcome=\"lost\"} ";
        let count = page.lines().find_map(|line| line.strip_prefix(name));
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

fn full_pipe() -> (PipeReader, PipeWriter) {
    let (reader, mut writer) = pipe().unwrap();
    writer.write_all(&vec![0; PIPE_BYTES]).unwrap();
    (reader, writer)
}
