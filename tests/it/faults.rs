//! Faults around the daemon: a full disk, a wall clock that is set back, no free file descriptors, no StatsD. Presence goes on,
//! the log has one warning, and the daemon resumes when the fault is over.

use std::{
    fs,
    net::Ipv4Addr,
    time::{Duration, SystemTime},
};

use nix::sys::signal::{Signal::SIGTERM, kill};
use rustix::process::{Pid, Resource, Rlimit, prlimit};
use serde_json::json;
use socket2::SockRef;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use crate::support::{
    WAIT,
    browser::Browser,
    daemon::{Daemon, settings},
    http,
    places::{file, in_memory, keeping_in, until_written},
    protocol::Version,
    statsd::StatsdServer,
    systemd::{activated_with_statsd, two_listeners},
};

#[tokio::test]
async fn a_full_disk_is_one_warning_and_leaves_the_old_file() {
    let dir = in_memory();
    let mut daemon = keeping_in(dir.path())
        .files_may_be_too_large()
        .start()
        .await;
    let mut adam = on_case(&daemon, "adam").await;
    until_written(dir.path(), 1).await;
    let before = fs::read_to_string(file(dir.path())).unwrap();

    // A limit on the size of files looks like a full disk to the daemon.
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
    daemon.stop_after_one_problem().await;
}

#[tokio::test]
async fn after_a_crash_on_a_full_disk_the_last_written_places_are_restored() {
    let dir = in_memory();
    let mut daemon = keeping_in(dir.path())
        .files_may_be_too_large()
        .start()
        .await;
    let _adam = on_case(&daemon, "adam").await;
    until_written(dir.path(), 1).await;
    limit(&daemon, Resource::Fsize, 16);
    let _eve = on_case(&daemon, "eve").await;
    daemon.until_logged("cannot keep places").await;
    daemon.crash().await;
    let daemon = keeping_in(dir.path()).start().await;
    let people = daemon.people().await;
    assert!(people["adam"].is_object(), "{people}");
}

#[tokio::test]
async fn a_directory_that_disappears_and_returns_is_written_again() {
    let parent = in_memory();
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
    daemon.stop_after_one_problem().await;
}

/// As in a read-only directory.
#[tokio::test]
async fn an_unusable_file_that_cannot_be_renamed_does_not_stop_the_daemon() {
    let dir = in_memory();
    fs::write(file(dir.path()), "useless").unwrap();
    fs::create_dir(dir.path().join("places.json.unusable")).unwrap();
    let mut daemon = keeping_in(dir.path()).start().await;
    let _adam = on_case(&daemon, "adam").await;
    until_written(dir.path(), 1).await;
    let warning = daemon.stop_after_one_problem().await;
    assert!(warning.contains("cannot rename"), "{warning}");
}

#[tokio::test]
async fn no_place_is_lost_when_the_wall_clock_is_set_back() {
    let dir = in_memory();
    let mut daemon = keeping_in(dir.path()).start().await;
    let _adam = on_case(&daemon, "adam").await;
    until_written(dir.path(), 1).await;
    daemon.crash().await;
    let written = fs::File::options().write(true).open(file(dir.path()));
    let ahead = SystemTime::now() + Duration::from_hours(1);
    written.unwrap().set_modified(ahead).unwrap();
    let daemon = keeping_in(dir.path()).start().await;
    let mut adam = Browser::returning(daemon.public, Version::Four, "adam", &[]).await;
    adam.until_viewing(&["adam"]).await;
    ends_without_a_problem(daemon).await;
}

#[tokio::test]
async fn without_free_file_descriptors_users_stay_connected_and_new_connections_wait() {
    let dir = in_memory();
    let mut daemon = keeping_in(dir.path()).start().await;
    let mut adam = on_case(&daemon, "adam").await;
    let mut eve = on_case(&daemon, "eve").await;
    until_written(dir.path(), 2).await;
    adam.until_viewing(&["adam", "eve"]).await;

    let open = fs::read_dir(format!("/proc/{}/fd", daemon.pid())).unwrap();
    let files = limit(&daemon, Resource::Nofile, open.count() as u64);
    let mut waiting = Vec::new();
    for server in [daemon.public, daemon.admin] {
        // Some descriptors may become free at this moment.
        for _ in 0..8 {
            waiting.push((server, TcpStream::connect(server).await.unwrap()));
        }
    }
    daemon.until_logged("cannot accept a connection").await;
    eve.close_case("X").await;
    adam.until_viewing(&["adam"]).await;

    restore(&daemon, Resource::Nofile, files);
    for (server, stream) in waiting {
        let path = if server == daemon.public {
            http::HANDSHAKE
        } else {
            "/readyz"
        };
        answers(stream, path).await;
    }
    daemon.statsd.until_line("accept.failed:").await;
}

#[tokio::test]
async fn a_statsd_that_starts_late_receives_the_gauges_at_the_next_change() {
    // No other program uses this address, so its ports are closed until a test opens one.
    let host = Ipv4Addr::new(127, 83, 84, 68);
    let daemon = settings()
        .env("STATSD_HOST", host)
        .env("STATSD_PORT", 8125)
        .start()
        .await;
    let mut adam = on_case(&daemon, "adam").await;
    let _eve = on_case(&daemon, "eve").await;
    adam.until_viewing(&["adam", "eve"]).await;
    let mut statsd = StatsdServer::bind((host, 8125)).await;
    let _joe = on_case(&daemon, "joe").await;
    statsd.until_line("people_connected:3|g").await;
    ends_without_a_problem(daemon).await;
}

/// Only a socket with the option `SO_BROADCAST` can send to a broadcast address. The test sets it while the daemon has the socket.
#[tokio::test]
async fn an_unreachable_statsd_is_one_warning_and_receives_everything_later() {
    let listeners = two_listeners();
    let [public, admin] = listeners.each_ref().map(|l| l.local_addr().unwrap());
    let mut statsd = StatsdServer::bind("127.255.255.255:0").await;
    let sender = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let dir = in_memory();
    let log = dir.path().join("log");
    let mut daemon = activated_with_statsd(listeners, &sender, &log)
        .env("SITE_HOSTNAME", "chs.example")
        .env("CLA_LOG__FORMAT", "json")
        .env("STATSD_HOST", "127.255.255.255")
        .env("STATSD_PORT", statsd.address().port().to_string())
        .spawn()
        .unwrap();
    http::until_ready(admin).await;
    let mut adam = Browser::identified(public, Version::Four, "adam").await;
    for _ in 0..3 {
        adam.emit("identify", json!(null)).await;
    }
    adam.open_case("X").await;
    adam.until_viewing(&["adam"]).await;
    let logged = timeout(WAIT, async {
        while !fs::read_to_string(&log).unwrap().contains("cannot send") {
            tokio::task::yield_now().await;
        }
    });
    logged.await.unwrap();

    SockRef::from(&sender).set_broadcast(true).unwrap();
    statsd.until_line("people_connected:1|g").await;
    statsd.until_line("frame_rejected.malformed:3|c").await;
    let pid = nix::unistd::Pid::from_raw(daemon.id().unwrap().try_into().unwrap());
    kill(pid, SIGTERM).unwrap();
    assert!(daemon.wait().await.unwrap().success());
    let log = fs::read_to_string(&log).unwrap();
    assert_eq!(log.matches(r#""level":"WARN""#).count(), 1, "{log}");
    assert!(log.contains("is reachable again"), "{log}");
}

/// Sets a soft limit of the daemon and returns the limit before.
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

/// Sends a request over an open connection and asserts that the answer is 200.
async fn answers(mut stream: TcpStream, path: &str) {
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    let read = timeout(WAIT, stream.read_to_string(&mut answer)).await;
    read.unwrap().unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

async fn on_case(daemon: &Daemon, name: &str) -> Browser {
    daemon.browser_on_case(Version::Four, name, "X").await
}

async fn ends_without_a_problem(mut daemon: Daemon) {
    daemon.stop().await;
    let problems = daemon.problems().await;
    assert!(problems.is_empty(), "{problems:?}");
}
