//! The daemon as its supervisor meets it: signals, exit codes, notifications, logs.

use std::{
    net::{SocketAddr, TcpListener},
    os::fd::OwnedFd,
    path::Path,
    process::{Output, Stdio},
};

use nix::sys::signal::{SIGINT, SIGTERM};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpStream, UnixDatagram},
    process::Command,
    time::timeout,
};

use crate::{
    daemon::{PATIENCE, binary, settings},
    http,
    wire::{Browser, Poller, VERSIONS, Version},
};

#[tokio::test]
async fn a_signal_ends_it_cleanly_and_clients_are_free_to_come_back() {
    for signal in [SIGTERM, SIGINT] {
        let mut daemon = settings().start().await;
        let mut browsers = Vec::new();
        for version in VERSIONS {
            let mut browser = Browser::identified(daemon.public, version, "adam").await;
            browser.say("startViewingCase", json!("X")).await;
            browser.until_viewing(&["adam"]).await;
            browsers.push(browser);
        }
        let joe = Browser::identified(daemon.public, Version::Four, "joe").await;
        let poller = Poller::joined(daemon.public, Version::Three).await;
        let polling = poller.held().await;
        let _half_open = TcpStream::connect(daemon.public).await.unwrap();

        daemon.signal(signal);
        for browser in &mut browsers {
            let last_words = browser.until_closed().await;
            let only_lists = |frame: &String| frame == "1" || frame.ends_with(r#"["adam"]]"#);
            assert!(
                last_words.iter().all(only_lists),
                "neither a disconnect packet nor people vanishing: {last_words:?}"
            );
        }
        assert_eq!(daemon.exit().await.code(), Some(0));
        drop((joe, polling));
        let problems = daemon.whole_log().await.iter();
        let problems: Vec<_> = problems.filter(|line| is_problem(line)).collect();
        assert!(problems.is_empty(), "{problems:?}");
    }
}

#[tokio::test]
async fn a_second_signal_ends_it_at_once() {
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
async fn nobody_can_hold_up_the_stop_with_half_a_request() {
    let mut daemon = settings().start().await;
    let poller = Poller::open(daemon.public, Version::Four).await;
    let _busy = [
        request_under_way(daemon.admin, "/admin/notifications/").await,
        request_under_way(daemon.public, &poller.path()).await,
    ];
    daemon.signal(SIGTERM);
    assert_eq!(daemon.exit().await.code(), Some(0));
}

#[tokio::test]
async fn whoever_asks_while_it_stops_is_told_to_go_elsewhere() {
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
async fn a_request_on_its_way_over_a_new_connection_is_still_answered() {
    let mut daemon = settings().start().await;
    // Accepted, but silent so far.
    let mut streams = [
        TcpStream::connect(daemon.public).await.unwrap(),
        TcpStream::connect(daemon.admin).await.unwrap(),
    ];
    daemon.get("/healthz").await;
    daemon.signal(SIGTERM);
    daemon.until_logged("stopping").await;
    let paths = ["/socket.io/?EIO=4&transport=polling", "/healthz"];
    for (stream, path) in streams.iter_mut().zip(paths) {
        let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
    }
    for mut stream in streams {
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
    assert_eq!(daemon.exit().await.code(), Some(0));
}

#[tokio::test]
async fn systemd_is_told_what_happens() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    let mut daemon = settings()
        .env("NOTIFY_SOCKET", path.display())
        .env("WATCHDOG_USEC", 300_000)
        .env("CLA_DRAIN__SPREAD_MS", 40_000)
        .start()
        .await;
    until_notified(&socket, "READY=1").await;
    until_notified(&socket, "WATCHDOG=1").await;
    let mut browser = daemon.browser(Version::Four).await;
    browser.identify("adam").await;
    until_notified(&socket, "STATUS=1 person connected").await;
    until_notified(&socket, "WATCHDOG=1").await;
    daemon.signal(SIGTERM);
    // systemd would wait for 20 seconds.
    until_notified(&socket, "STOPPING=1\nEXTEND_TIMEOUT_USEC=50000000").await;
    assert!(daemon.exit().await.success());
}

#[tokio::test]
async fn listeners_may_be_passed_by_systemd() {
    let listeners = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    let [public, admin] = listeners.each_ref().map(|l| l.local_addr().unwrap());
    let output = |names: &str| {
        let [public, admin] = listeners
            .each_ref()
            .map(|l| OwnedFd::from(l.try_clone().unwrap()));
        activated(names, public, admin)
    };
    let mut child = output("public:admin").spawn().unwrap();
    let ready = timeout(PATIENCE, async {
        while http::request(admin, "GET", "/readyz", &[], "").await.status != 200 {}
    });
    ready.await.unwrap();
    let mut adam = Browser::identified(public, Version::Three, "adam").await;
    adam.say("startViewingCase", json!("X")).await;
    adam.until_viewing(&["adam"]).await;
    child.kill().await.unwrap();

    let refused = output("public:typo")
        .spawn()
        .unwrap()
        .wait_with_output()
        .await
        .unwrap();
    assert_eq!(refused.status.code(), Some(78));
    assert!(
        text(&refused.stderr).contains("FileDescriptorName="),
        "{}",
        text(&refused.stderr)
    );
}

#[tokio::test]
async fn a_public_socket_for_the_admin_app_is_refused_also_from_systemd() {
    let public = TcpListener::bind("127.0.0.1:0").unwrap();
    let admin = TcpListener::bind("0.0.0.0:0").unwrap();
    let mut refused = activated("public:admin", public.into(), admin.into());
    let refused = refused.spawn().unwrap().wait_with_output().await.unwrap();
    assert_eq!(refused.status.code(), Some(78));
    assert!(
        text(&refused.stderr).contains("ListenStream="),
        "{}",
        text(&refused.stderr)
    );
}

#[tokio::test]
async fn a_socket_that_is_missing_beside_others_is_refused() {
    let [public, other] = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap().into());
    let mut refused = activated("public:public", public, other);
    let refused = refused.spawn().unwrap().wait_with_output().await.unwrap();
    assert_eq!(refused.status.code(), Some(78));
    let error = text(&refused.stderr);
    assert!(error.contains("\"admin\": systemctl restart"), "{error}");
}

#[tokio::test]
async fn a_socket_that_is_not_what_the_configuration_says_is_refused() {
    let listeners = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    let opened = listeners[1].local_addr().unwrap().to_string();
    let [public, admin] = listeners.map(OwnedFd::from);
    let mut refused = activated("public:admin", public, admin);
    refused.env("CLA_ADMIN__LISTEN", "10.0.1.5:8005");
    let refused = refused.spawn().unwrap().wait_with_output().await.unwrap();
    assert_eq!(refused.status.code(), Some(78));
    let error = text(&refused.stderr);
    for part in ["CLA_ADMIN__LISTEN", "ListenStream=10.0.1.5:8005", &opened] {
        assert!(error.contains(part), "{part} is not named in: {error}");
    }
}

#[tokio::test]
async fn check_goes_by_the_sockets_that_it_was_told() {
    let check = |admin: &str| {
        let mut check = binary();
        check
            .arg("check")
            .env("SERVICE_MEMORY_MAX", "infinity")
            .env("SERVICE_PUBLIC_LISTEN", "127.0.0.1:8005")
            .env("SERVICE_ADMIN_LISTEN", "127.0.0.1:8006")
            .env("CLA_ADMIN__LISTEN", admin);
        check.output()
    };
    assert!(check("127.0.0.1:8006").await.unwrap().status.success());
    let refused = check("10.0.1.5:8005").await.unwrap();
    assert_eq!(refused.status.code(), Some(78));
    assert!(text(&refused.stderr).contains("ListenStream=10.0.1.5:8005"));
}

#[tokio::test]
async fn every_mistake_in_the_configuration_is_named_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("config.toml");
    std::fs::write(&file, "[statsd]\nprot = 1\n").unwrap();
    let config = ["--config", file.to_str().unwrap()];
    for command in [&[][..], &["check"][..]] {
        let output = binary()
            .args(config)
            .args(command)
            .args(["--admin-listen", "0.0.0.0:8006"])
            .env("STATSD_PORT", "many")
            .env("CLA_TYPO", "1")
            .output()
            .await
            .unwrap();
        assert_eq!(output.status.code(), Some(78));
        let errors = text(&output.stderr);
        for part in [
            "statsd.prot",
            "config.toml",
            "0.0.0.0:8006",
            "--admin-listen",
            "STATSD_PORT",
            "many",
            "CLA_TYPO",
        ] {
            assert!(errors.contains(part), "{part} is not named in: {errors}");
        }
        assert_eq!(text(&output.stdout), "");
    }
    let missing = run(&["--config", "/no/such/file.toml"]).await;
    assert_eq!(missing.status.code(), Some(78));
    assert!(text(&missing.stderr).contains("/no/such/file.toml"));
}

#[tokio::test]
async fn check_prints_each_value_with_its_source() {
    let output = binary()
        .args(["check", "--public-listen", "127.0.0.1:9005"])
        .env("CLA_PUBLIC__MERGE_INTERVAL_MS", "75")
        .env("SITE_HOSTNAME", "b.example")
        .output()
        .await
        .unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    let printed = text(&output.stdout);
    for (key, value, source) in [
        ("public.listen", "127.0.0.1:9005", "flag --public-listen"),
        (
            "public.merge_interval_ms",
            "75",
            "variable CLA_PUBLIC__MERGE_INTERVAL_MS",
        ),
        ("site_hostname", "b.example", "variable SITE_HOSTNAME"),
        ("admin.listen", "127.0.0.1:8006", "default"),
    ] {
        let line = printed
            .lines()
            .find(|line| line.starts_with(&format!("{key} =")));
        let line = line.unwrap_or_else(|| panic!("{key} is missing in {printed}"));
        assert!(line.contains(value) && line.ends_with(source), "{line}");
    }
}

#[tokio::test]
async fn exit_codes_tell_what_kind_of_failure_it_was() {
    assert_eq!(run(&["--help"]).await.status.code(), Some(0));
    assert_eq!(run(&["--version"]).await.status.code(), Some(0));
    assert_eq!(run(&["--no-such-flag"]).await.status.code(), Some(64));
    assert_eq!(run(&["no-such-command"]).await.status.code(), Some(64));
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let in_use = run(&["--public-listen", &address, "--admin-listen", "127.0.0.1:0"]).await;
    assert_eq!(in_use.status.code(), Some(1));
    let error = text(&in_use.stderr);
    assert!(
        error.contains(&address) && error.contains("public.listen"),
        "{error}"
    );
}

#[tokio::test]
async fn health_is_told_apart_from_readiness() {
    let daemon = settings().start().await;
    assert_eq!(daemon.get("/healthz").await.status, 200);
    assert_eq!(daemon.get("/readyz").await.json()["status"], "ready");
}

#[tokio::test]
async fn the_log_says_at_start_when_no_site_is_named() {
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
async fn the_log_holds_nothing_personal_at_any_level() {
    let mut daemon = settings()
        .env("CLA_LOG__LEVEL", "trace")
        .env("SITE_HOSTNAME", "site.example")
        .start()
        .await;
    let mut adam = daemon.browser(Version::Three).await;
    let identity = json!({"username": "secret-name", "usertype": "operator", "appVersion": "1"});
    adam.say("identify", identity).await;
    adam.say("startViewingCase", json!("secret-case")).await;
    adam.until_viewing(&["secret-name"]).await;
    adam.say("identify", json!({"username": ["secret-junk"]}))
        .await;
    adam.say("secret-event", json!("secret-junk")).await;
    let origin = [
        ("Origin", "https://secret-user@stranger.example"),
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
    let body = json!({"notifications": "secret-notification"}).to_string();
    let json = [("Content-Type", "application/json")];
    http::request(daemon.admin, "POST", "/admin/notifications/", &json, &body).await;
    http::request(
        daemon.admin,
        "POST",
        "/admin/notifications/",
        &json,
        "{secret-junk",
    )
    .await;
    adam.close().await;
    daemon.signal(SIGTERM);
    assert!(daemon.exit().await.success());
    for line in daemon.whole_log().await {
        assert!(!line.to_string().contains("secret"), "{line}");
    }
}

#[tokio::test]
async fn what_a_stranger_does_is_not_news() {
    let mut daemon = settings()
        .env("CLA_LOG__LEVEL", "info")
        .env("SITE_HOSTNAME", "site.example")
        .start()
        .await;
    let mut stranger = daemon.browser(Version::Four).await;
    stranger.say("identify", json!(null)).await;
    stranger.send("nonsense").await;
    stranger.until_closed().await;
    http::raw(daemon.public, b"nonsense\r\n\r\n").await;
    http::request(daemon.public, "GET", "/wp-login.php", &[], "").await;
    daemon.signal(SIGTERM);
    assert!(daemon.exit().await.success());
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

/// Holds a request open: its body does not come.
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

/// Waits until all of these lines come together.
pub async fn until_notified(socket: &UnixDatagram, expected: &str) {
    let mut buffer = [0; 1000];
    let reading = timeout(PATIENCE, async {
        loop {
            let length = socket.recv(&mut buffer).await.unwrap();
            let told = text(&buffer[..length]);
            if expected
                .lines()
                .all(|one| told.lines().any(|line| line == one))
            {
                return;
            }
        }
    });
    assert!(reading.await.is_ok(), "never notified: {expected}");
}

/// The daemon with two sockets as descriptors 3 and 4, the way systemd does it.
pub fn activated(names: &str, public: OwnedFd, admin: OwnedFd) -> Command {
    let daemon = binary();
    let path = Path::new(daemon.as_std().get_program());
    let mut shell = Command::new("/bin/sh");
    shell
        .arg("-c")
        .arg(r#"LISTEN_PID=$$ exec "$0" 3<&0 4<&1 0</dev/null 1>&2"#)
        .arg(path)
        .env_clear()
        .env("LISTEN_FDS", "2")
        .env("LISTEN_FDNAMES", names)
        .stdin(Stdio::from(public))
        .stdout(Stdio::from(admin))
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    shell
}

async fn run(args: &[&str]) -> Output {
    let output = timeout(PATIENCE, binary().args(args).output()).await;
    output.expect("the daemon should have ended").unwrap()
}

fn is_problem(line: &Value) -> bool {
    ["WARN", "ERROR"]
        .iter()
        .any(|level| line["level"] == *level)
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}
