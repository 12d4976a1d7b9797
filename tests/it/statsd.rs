//! The gauges and counters that StatsD is sent, as dashboards know them.

use serde_json::json;

use crate::support::{daemon::settings, protocol::Version};

#[tokio::test]
async fn gauges_follow_people_and_versions() {
    let mut daemon = settings().start().await;
    let mut adam = daemon.browser(Version::Three).await;
    let identity = json!({"username": "adam", "usertype": "operator", "appVersion": "2.0.1-rc_3"});
    adam.emit("identify", identity).await;
    daemon
        .statsd
        .until(&["people_connected:1|g", "fe_version.2.0.1-rc_3:1|g"])
        .await;

    let mut eve = daemon.browser(Version::Four).await;
    let forged = json!({"username": "eve", "appVersion": "1:9|g#x y"});
    eve.emit("identify", forged).await;
    daemon
        .statsd
        .until(&["people_connected:2|g", "fe_version.1_9_g_x_y:1|g"])
        .await;
    eve.emit("identify", json!("joe")).await;
    daemon
        .statsd
        .until(&[
            "people_connected:2|g",
            "fe_version.1_9_g_x_y:0|g",
            "fe_version.unknown:1|g",
        ])
        .await;

    eve.close().await;
    daemon
        .statsd
        .until(&["people_connected:1|g", "fe_version.unknown:0|g"])
        .await;
    daemon.signal(nix::sys::signal::SIGTERM);
    daemon
        .statsd
        .until(&["people_connected:0|g", "fe_version.2.0.1-rc_3:0|g"])
        .await;
    assert!(daemon.exit().await.success());
}

#[tokio::test]
async fn versions_beyond_the_bound_are_one_gauge() {
    let mut daemon = settings().env("CLA_LIMITS__VERSIONS", 2).start().await;
    let mut browsers = Vec::new();
    for version in 0..5 {
        let mut browser = daemon.browser(Version::Four).await;
        let identity = json!({"username": "adam", "appVersion": version.to_string()});
        browser.emit("identify", identity).await;
        // The answer to a later event shows that this version was counted before the next one.
        browser.open_case("X").await;
        browser.until_viewing(&["adam"]).await;
        browsers.push(browser);
    }
    daemon
        .statsd
        .until(&[
            "fe_version.0:1|g",
            "fe_version.1:1|g",
            "fe_version.other:3|g",
        ])
        .await;
}

#[tokio::test]
async fn a_version_that_is_no_longer_used_makes_room_for_another() {
    let mut daemon = settings().env("CLA_LIMITS__VERSIONS", 2).start().await;
    let mut browser = daemon.browser(Version::Four).await;
    for version in 0..5 {
        let name = format!("v{version}");
        let identity = json!({"username": &name, "appVersion": &name});
        browser.emit("identify", identity).await;
        daemon
            .statsd
            .until(&[&format!("fe_version.{name}:1|g")])
            .await;
    }
    let mut adam = daemon.browser(Version::Four).await;
    let identity = json!({"username": "adam", "appVersion": "2.0"});
    adam.emit("identify", identity).await;
    daemon
        .statsd
        .until(&["fe_version.2.0:1|g", "fe_version.v4:1|g"])
        .await;
    let used_before = daemon.statsd.latest.iter().filter(|(name, value)| {
        name.starts_with("fe_version.v") && *name != "fe_version.v4" && *value != "0|g"
    });
    assert_eq!(used_before.count(), 0, "{:?}", daemon.statsd.latest);
    daemon
        .until_shown("cla_socketserver_fe_version{version=\"2.0\"} 1")
        .await;
}

#[tokio::test]
async fn rejected_frames_are_counted_by_their_reason() {
    let mut daemon = settings().start().await;
    let mut browser = daemon.browser(Version::Four).await;
    browser.emit("identify", json!(null)).await;
    browser.emit("no such event", json!(null)).await;
    browser.identify("adam").await;
    daemon
        .statsd
        .until(&[
            "frame_rejected.malformed:1|c",
            "frame_rejected.unknown_event:1|c",
        ])
        .await;
}

#[tokio::test]
async fn outcomes_of_lost_connections_are_counted() {
    let mut daemon = settings().env("CLA_PRESENCE__GRACE_MS", 2000).start().await;
    let mut adam = daemon.browser_on_case(Version::Four, "adam", "X").await;
    for _ in 0..2 {
        let eve = daemon.browser_on_case(Version::Four, "eve", "X").await;
        drop(eve);
        daemon.until_lost("eve").await;
    }
    adam.until_viewing(&["adam"]).await;
    daemon
        .statsd
        .until(&[
            "presence.lost:2|c",
            "presence.resumed:1|c",
            "presence.flicker_suppressed:1|c",
            "presence.lapsed:1|c",
            "presence.staleness:2000|ms",
        ])
        .await;
}

#[tokio::test]
async fn presence_works_without_statsd() {
    // A name that is not found is one warning; a closed port is none.
    for (host, port, expected) in [("no-such-host.invalid", "8125", 1), ("127.0.0.1", "9", 0)] {
        let mut daemon = settings()
            .env("STATSD_HOST", host)
            .env("STATSD_PORT", port)
            .start()
            .await;
        daemon.browser_on_case(Version::Four, "adam", "X").await;
        daemon.stop().await;
        let problems = daemon.problems().await;
        assert_eq!(problems.len(), expected, "{host}:{port}: {problems:?}");
    }
}
