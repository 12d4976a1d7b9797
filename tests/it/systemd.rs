//! The daemon under systemd: notifications, and sockets that systemd passes.

use std::{net::TcpListener, process::Output};

use nix::sys::signal::SIGTERM;
use tokio::{process::Command, time::timeout};

use crate::support::{
    WAIT,
    browser::Browser,
    daemon::{binary, settings},
    http,
    protocol::Version,
    systemd::{NotifySocket, activated, two_listeners},
};

#[tokio::test]
async fn systemd_is_notified_of_start_people_watchdog_and_stop() {
    let socket = NotifySocket::bind();
    let mut daemon = settings()
        .env("NOTIFY_SOCKET", socket.path())
        .env("WATCHDOG_USEC", 300_000)
        .env("CLA_DRAIN__SPREAD_MS", 40_000)
        .start()
        .await;
    socket.until("READY=1").await;
    socket.until("WATCHDOG=1").await;
    let mut browser = daemon.browser(Version::Four).await;
    browser.identify("adam").await;
    socket.until("STATUS=1 person connected").await;
    socket.until("WATCHDOG=1").await;
    daemon.signal(SIGTERM);
    // Without `EXTEND_TIMEOUT_USEC`, systemd would wait for 20 seconds.
    socket
        .until("STOPPING=1\nEXTEND_TIMEOUT_USEC=50000000")
        .await;
    assert!(daemon.exit().await.success());
}

#[tokio::test]
async fn systemd_may_pass_the_listeners() {
    let listeners = two_listeners();
    let [public, admin] = listeners.each_ref().map(|l| l.local_addr().unwrap());
    let [first, second] = listeners.each_ref().map(|l| l.try_clone().unwrap());
    let mut child = activated("public:admin", first, second).spawn().unwrap();
    http::until_ready(admin).await;
    let mut adam = Browser::identified(public, Version::Three, "adam").await;
    adam.open_case("X").await;
    adam.until_viewing(&["adam"]).await;
    child.kill().await.unwrap();

    let [public, admin] = listeners;
    let error = refusal(activated("public:typo", public, admin)).await;
    assert!(error.contains("FileDescriptorName="), "{error}");
}

#[tokio::test]
async fn a_public_admin_socket_from_systemd_is_refused() {
    let public = TcpListener::bind("127.0.0.1:0").unwrap();
    let admin = TcpListener::bind("0.0.0.0:0").unwrap();
    let error = refusal(activated("public:admin", public, admin)).await;
    assert!(error.contains("ListenStream="), "{error}");
}

#[tokio::test]
async fn a_missing_admin_socket_from_systemd_is_refused() {
    let [public, other] = two_listeners();
    let error = refusal(activated("public:public", public, other)).await;
    assert!(error.contains("\"admin\": systemctl restart"), "{error}");
}

#[tokio::test]
async fn a_socket_from_systemd_that_contradicts_the_configuration_is_refused() {
    let [public, admin] = two_listeners();
    let opened = admin.local_addr().unwrap().to_string();
    let mut daemon = activated("public:admin", public, admin);
    daemon.env("CLA_ADMIN__LISTEN", "10.0.1.5:8005");
    let error = refusal(daemon).await;
    for part in ["CLA_ADMIN__LISTEN", "ListenStream=10.0.1.5:8005", &opened] {
        assert!(error.contains(part), "{part} is not named in: {error}");
    }
}

#[tokio::test]
async fn check_compares_the_configuration_with_the_sockets_of_the_service() {
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
    let error = configuration_error(&check("10.0.1.5:8005").await.unwrap());
    assert!(error.contains("ListenStream=10.0.1.5:8005"), "{error}");
}

/// Starts a daemon that must refuse its configuration, and returns its standard error.
async fn refusal(mut daemon: Command) -> String {
    let ended = timeout(WAIT, daemon.spawn().unwrap().wait_with_output()).await;
    configuration_error(&ended.expect("the daemon should have ended").unwrap())
}

/// Asserts the exit code of a configuration error, and returns the standard error.
fn configuration_error(output: &Output) -> String {
    let error = String::from_utf8(output.stderr.clone()).unwrap();
    assert_eq!(output.status.code(), Some(78), "{error}");
    error
}
