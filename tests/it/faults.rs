//! What breaks around the daemon: the disk, the clock on the wall, its share of files, StatsD. Presence goes on, the log says
//! so once, and what was given up is taken up again.

use std::{
    fs,
    net::{Ipv4Addr, TcpListener},
    os::fd::OwnedFd,
    path::Path,
    process::Stdio,
    time::{Duration, SystemTime},
};

use nix::sys::signal::{
    Signal::{SIGKILL, SIGTERM},
    kill,
};
use rustix::process::{Pid, Resource, Rlimit, prlimit};
use serde_json::{Value, json};
use socket2::SockRef;
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpStream, UdpSocket},
    process::Command,
    time::timeout,
};

use crate::{
    daemon::{Daemon, PATIENCE, binary, settings},
    http,
    places::{file, keeping_in, until_written},
    wire::{Browser, Version},
};

#[tokio::test]
async fn a_full_disk_is_one_warning_and_leaves_the_file_that_was_there() {
    let dir = TempDir::new().unwrap();
    let mut daemon = keeping_in(dir.path())
        .files_may_be_too_large()
        .start()
        .await;
    let mut adam = on_case(&daemon, "adam").await;
    until_written(dir.path(), 1).await;
    let before = fs::read_to_string(file(dir.path())).unwrap();

    // To whoever writes, a file that must not grow is a disk without room.
    let room = limit(&daemon, Resource::Fsize, 16);
    let _eve = on_case(&daemon, "eve").await;
    adam.until_viewing(&["adam", "eve"]).await;
    daemon.until_logged("cannot keep places").await;
    let _joe = on_case(&daemon, "joe").await;
    adam.until_viewing(&["adam", "eve", "joe"]).await;
    assert_eq!(fs::read_to_string(file(dir.path())).unwrap(), before);

    restore(&daemon, Resource::Fsize, room);
    let _zoe = on_case(&daemon, "zoe").await;
    daemon.until_logged("places can be kept").await;
    until_written(dir.path(), 4).await;
    ends_after_one_warning(daemon).await;
}

#[tokio::test]
async fn a_crash_on_a_full_disk_brings_back_what_was_last_written() {
    let dir = TempDir::new().unwrap();
    let mut daemon = keeping_in(dir.path())
        .files_may_be_too_large()
        .start()
        .await;
    let _adam = on_case(&daemon, "adam").await;
    until_written(dir.path(), 1).await;
    limit(&daemon, Resource::Fsize, 16);
    let _eve = on_case(&daemon, "eve").await;
    daemon.until_logged("cannot keep places").await;
    daemon.signal(SIGKILL);
    daemon.exit().await;
    let daemon = keeping_in(dir.path()).start().await;
    let people = daemon.people().await;
    assert!(people["adam"].is_object(), "{people}");
}

#[tokio::test]
async fn a_directory_that_goes_away_and_comes_back_is_written_again() {
    let parent = TempDir::new().unwrap();
    let (here, away) = (parent.path().join("here"), parent.path().join("away"));
    fs::create_dir(&here).unwrap();
    let mut daemon = keeping_in(&here).start().await;
    let mut adam = on_case(&daemon, "adam").await;
    until_written(&here, 1).await;
    fs::rename(&here, &away).unwrap();
    let _eve = on_case(&daemon, "eve").await;
    adam.until_viewing(&["adam", "eve"]).await;
    daemon.until_logged("cannot keep places").await;
    fs::rename(&away, &here).unwrap();
    let _joe = on_case(&daemon, "joe").await;
    daemon.until_logged("places can be kept").await;
    until_written(&here, 3).await;
    ends_after_one_warning(daemon).await;
}

/// As in a directory that may only be read.
#[tokio::test]
async fn a_useless_file_that_cannot_be_set_aside_stops_nobody() {
    let dir = TempDir::new().unwrap();
    fs::write(file(dir.path()), "useless").unwrap();
    fs::create_dir(dir.path().join("places.json.unusable")).unwrap();
    let daemon = keeping_in(dir.path()).start().await;
    let _adam = on_case(&daemon, "adam").await;
    until_written(dir.path(), 1).await;
    let warnings = ends_after_one_warning(daemon).await;
    assert!(warnings.contains("cannot rename"), "{warnings}");
}

#[tokio::test]
async fn a_clock_that_was_set_back_forgets_nobody() {
    let dir = TempDir::new().unwrap();
    let mut daemon = keeping_in(dir.path()).start().await;
    let _adam = on_case(&daemon, "adam").await;
    until_written(dir.path(), 1).await;
    daemon.signal(SIGKILL);
    daemon.exit().await;
    let written = fs::File::options().write(true).open(file(dir.path()));
    let ahead = SystemTime::now() + Duration::from_hours(1);
    written.unwrap().set_modified(ahead).unwrap();
    let daemon = keeping_in(dir.path()).start().await;
    let mut adam = Browser::connect(daemon.public, Version::Four).await;
    adam.identify("adam").await;
    adam.until_viewing(&["adam"]).await;
    ends_without_a_warning(daemon).await;
}

#[tokio::test]
async fn without_a_file_to_spare_nobody_is_disturbed_and_whoever_knocks_waits() {
    let dir = TempDir::new().unwrap();
    let mut daemon = keeping_in(dir.path()).start().await;
    let mut adam = on_case(&daemon, "adam").await;
    let mut eve = on_case(&daemon, "eve").await;
    until_written(dir.path(), 2).await;
    adam.until_viewing(&["adam", "eve"]).await;

    let open = fs::read_dir(format!("/proc/{}/fd", daemon.pid())).unwrap();
    let files = limit(&daemon, Resource::Nofile, open.count() as u64);
    let mut waiting = Vec::new();
    for server in [daemon.public, daemon.admin] {
        // Some files may be given back in this moment.
        for _ in 0..8 {
            waiting.push((server, TcpStream::connect(server).await.unwrap()));
        }
    }
    daemon.until_logged("cannot accept a connection").await;
    eve.say("stopViewingCase", json!("X")).await;
    adam.until_viewing(&["adam"]).await;

    restore(&daemon, Resource::Nofile, files);
    for (server, stream) in waiting {
        let path = if server == daemon.public {
            "/socket.io/?EIO=4&transport=polling"
        } else {
            "/readyz"
        };
        answers(stream, path).await;
    }
    until_counted(&daemon.statsd, "accept.failed:").await;
}

#[tokio::test]
async fn a_statsd_that_is_late_is_told_of_everybody_at_the_next_change() {
    // Nobody else has this address, so its ports are closed until a test opens one.
    let host = Ipv4Addr::new(127, 83, 84, 68);
    let daemon = settings()
        .env("STATSD_HOST", host)
        .env("STATSD_PORT", 8125)
        .start()
        .await;
    let mut adam = on_case(&daemon, "adam").await;
    let _eve = on_case(&daemon, "eve").await;
    adam.until_viewing(&["adam", "eve"]).await;
    let statsd = UdpSocket::bind((host, 8125)).await.unwrap();
    let _joe = on_case(&daemon, "joe").await;
    until_counted(&statsd, "people_connected:3|g").await;
    ends_without_a_warning(daemon).await;
}

/// A broadcast address may only be sent to over a socket that allows it, which can be changed while the daemon has it.
#[tokio::test]
async fn a_statsd_that_cannot_be_sent_to_is_one_warning_and_is_told_everything_later() {
    let listeners = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    let [public, admin] = listeners.each_ref().map(|l| l.local_addr().unwrap());
    let statsd = UdpSocket::bind("127.255.255.255:0").await.unwrap();
    let sender = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let dir = TempDir::new().unwrap();
    let log = dir.path().join("log");
    let mut daemon = activated(listeners, &sender, &log)
        .env("STATSD_HOST", "127.255.255.255")
        .env(
            "STATSD_PORT",
            statsd.local_addr().unwrap().port().to_string(),
        )
        .spawn()
        .unwrap();
    let ready = timeout(PATIENCE, async {
        while http::request(admin, "GET", "/readyz", &[], "").await.status != 200 {}
    });
    ready.await.unwrap();
    let mut adam = Browser::identified(public, Version::Four, "adam").await;
    for _ in 0..3 {
        adam.say("identify", json!(null)).await;
    }
    adam.say("startViewingCase", json!("X")).await;
    adam.until_viewing(&["adam"]).await;
    let logged = timeout(PATIENCE, async {
        while !fs::read_to_string(&log).unwrap().contains("cannot send") {
            tokio::task::yield_now().await;
        }
    });
    logged.await.unwrap();

    SockRef::from(&sender).set_broadcast(true).unwrap();
    until_counted(&statsd, "people_connected:1|g").await;
    until_counted(&statsd, "frame_rejected.malformed:3|c").await;
    let pid = nix::unistd::Pid::from_raw(daemon.id().unwrap().try_into().unwrap());
    kill(pid, SIGTERM).unwrap();
    assert!(daemon.wait().await.unwrap().success());
    let log = fs::read_to_string(&log).unwrap();
    assert_eq!(log.matches(r#""level":"WARN""#).count(), 1, "{log}");
    assert!(log.contains("is reachable again"), "{log}");
}

async fn on_case(daemon: &Daemon, name: &str) -> Browser {
    let mut browser = daemon.browser(Version::Four).await;
    browser.identify(name).await;
    browser.say("startViewingCase", json!("X")).await;
    while !browser.hears().await.1.to_string().contains(name) {}
    browser
}

/// Bounds what the daemon may use, and returns what it might before.
fn limit(daemon: &Daemon, resource: Resource, to: u64) -> Rlimit {
    let unchanged = rustix::process::getrlimit(resource);
    let limit = Rlimit {
        current: Some(to),
        ..unchanged
    };
    restore(daemon, resource, limit)
}

fn restore(daemon: &Daemon, resource: Resource, limit: Rlimit) -> Rlimit {
    let pid = Pid::from_raw(daemon.pid().as_raw());
    prlimit(pid, resource, limit).unwrap()
}

/// Asks over a connection that has waited.
async fn answers(mut stream: TcpStream, path: &str) {
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    let read = timeout(PATIENCE, stream.read_to_string(&mut answer)).await;
    read.unwrap().unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

/// Waits for a line that begins so.
async fn until_counted(statsd: &UdpSocket, beginning: &str) {
    let mut buffer = [0; 1500];
    let mut lines = Vec::new();
    let reading = timeout(PATIENCE, async {
        while !lines
            .last()
            .is_some_and(|line: &String| line.starts_with(beginning))
        {
            let length = statsd.recv(&mut buffer).await.unwrap();
            lines.push(String::from_utf8_lossy(&buffer[..length]).into_owned());
        }
    });
    assert!(reading.await.is_ok(), "expected {beginning}, got {lines:?}");
}

async fn ends_without_a_warning(daemon: Daemon) {
    let warnings = warnings_until_the_end(daemon).await;
    assert!(warnings.is_empty(), "{warnings:?}");
}

/// Returns the warning.
async fn ends_after_one_warning(daemon: Daemon) -> String {
    let warnings = warnings_until_the_end(daemon).await;
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    warnings.concat()
}

async fn warnings_until_the_end(mut daemon: Daemon) -> Vec<String> {
    daemon.signal(SIGTERM);
    assert_eq!(daemon.exit().await.code(), Some(0));
    let problem = |line: &&Value| line["level"] == "WARN" || line["level"] == "ERROR";
    let log = daemon.whole_log().await.iter();
    log.filter(problem).map(Value::to_string).collect()
}

/// The daemon with two listeners and the socket to send metrics from as descriptors 3 to 5, the way systemd does it.
fn activated(listeners: [TcpListener; 2], statsd: &std::net::UdpSocket, log: &Path) -> Command {
    let [public, admin] = listeners.map(|listener| Stdio::from(OwnedFd::from(listener)));
    let statsd = OwnedFd::from(statsd.try_clone().unwrap());
    let program = binary().as_std().get_program().to_owned();
    let mut shell = Command::new("/bin/sh");
    shell
        .arg("-c")
        .arg(r#"LISTEN_PID=$$ exec "$0" 3<&0 4<&1 5<&2 0</dev/null 1>&- 2>"$1""#)
        .arg(program)
        .arg(log)
        .env_clear()
        .env("SITE_HOSTNAME", "chs.example")
        .env("CLA_LOG__FORMAT", "json")
        .env("LISTEN_FDS", "3")
        .env("LISTEN_FDNAMES", "public:admin:statsd")
        .stdin(public)
        .stdout(admin)
        .stderr(Stdio::from(statsd))
        .kill_on_drop(true);
    shell
}
