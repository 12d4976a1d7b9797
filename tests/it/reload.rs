//! SIGHUP: the daemon applies a changed configuration, and no connection ends because of it.

mod keys;

use std::path::Path;

use futures_util::{StreamExt, stream};
use nix::sys::signal::{SIGHUP, SIGTERM};
use rustix::pty::{OpenptFlags, ioctl_tiocgptpeer, openpt, unlockpt};

use crate::support::{
    browser::Browser,
    daemon::{Daemon, binary, settings},
    http,
    protocol::{VERSIONS, Version},
    systemd::NotifySocket,
};

use keys::observe;

#[tokio::test]
async fn a_file_with_mistakes_changes_nothing_and_every_mistake_is_logged() {
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
    bystander.open_case("X").await;
    bystander.until_viewing(&["bystander"]).await;
}

#[tokio::test]
async fn keys_that_need_a_restart_are_named_in_one_warning_and_stay() {
    let mut daemon = settings().file("").start().await;
    let changed = "public.ping_interval_ms = 1\nlog.format = 'text'\nlimits.message_bytes = 1024\nlimits.cases = 7";
    // The second reload changes nothing, and a restart is still needed.
    for changes in ["limits.cases", "nothing changed"] {
        let line = daemon.reload(changed).await;
        assert!(
            line["message"].as_str().unwrap().contains(changes),
            "{line}"
        );
        let line = daemon.until_logged("needs a restart").await;
        assert_eq!(line["level"], "WARN", "{line}");
        assert_eq!(
            line["message"], "needs a restart: public.ping_interval_ms, limits.message_bytes",
            "the reload says {changes}; a variable overrules log.format of the file"
        );
    }
    let answer = http::handshake(daemon.public, &[]).await;
    assert!(
        answer.body.contains(r#""pingInterval":25000"#),
        "{answer:?}"
    );
}

/// With five thousand connections: `SOCKETSERVER_PEOPLE=5000 cargo test --test it hundreds_of_connections`.
#[tokio::test]
async fn hundreds_of_connections_stay_open_over_ten_reloads_two_of_which_are_refused() {
    let count = std::env::var("SOCKETSERVER_PEOPLE").map_or(300, |count| count.parse().unwrap());
    let mut daemon = settings()
        .file("limits.sessions_per_address = 9000")
        .start()
        .await;
    let server = daemon.public;
    let people = (0..count).map(|number| async move {
        let version = VERSIONS[number % 2];
        Browser::identified(server, version, &format!("person {number}")).await
    });
    // One hundred at a time. All at once, the last handshakes would time out.
    let people = stream::iter(people).buffered(100);
    let mut people: Vec<_> = people.collect().await;
    for round in 0..10 {
        let (text, level) = match round {
            3 | 7 => ("nonsense", "ERROR"),
            // Lower limits than the number of connections.
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
        assert_eq!(line["level"], level, "round {round}: {line}");
    }
    for (number, person) in people.iter_mut().enumerate() {
        person.open_case(&format!("case {number}")).await;
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
async fn a_stop_uses_the_reloaded_configuration_and_ignores_a_hangup() {
    let socket = NotifySocket::bind();
    let mut daemon = settings()
        .file("")
        .env("NOTIFY_SOCKET", socket.path())
        .start()
        .await;
    socket.until("READY=1").await;
    daemon
        .reload("drain.spread_ms = 7000\nlimits.shutdown_grace_ms = 4000")
        .await;
    socket.until("RELOADING=1").await;
    socket.until("READY=1\nSTATUS=configuration reloaded").await;
    daemon.signal(SIGTERM);
    socket
        .until("STOPPING=1\nEXTEND_TIMEOUT_USEC=11000000")
        .await;
    // The daemon is stopping, or has ended already.
    let _ = nix::sys::signal::kill(daemon.pid(), SIGHUP);
    assert_eq!(daemon.exit().await.code(), Some(0));
}

#[tokio::test]
async fn the_reload_command_refuses_a_wrong_file_before_it_signals_the_daemon() {
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

    // The daemon uses the environment with which it was started, not that of the command.
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
async fn a_hangup_stops_the_daemon_when_its_terminal_was_closed() {
    // Without CLOEXEC, daemons of other tests would inherit the terminal and keep it open.
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
