//! What dashboards are sent.

use std::collections::BTreeMap;

use serde_json::json;
use tokio::time::timeout;

use crate::{
    daemon::{Daemon, PATIENCE, settings},
    wire::Version,
};

#[tokio::test]
async fn gauges_follow_people_and_versions() {
    let mut daemon = settings().start().await;
    let mut adam = daemon.browser(Version::Three).await;
    let identity = json!({"username": "adam", "usertype": "operator", "appVersion": "2.0.1-rc_3"});
    adam.say("identify", identity).await;
    until(
        &mut daemon,
        &["people_connected:1|g", "fe_version.2.0.1-rc_3:1|g"],
    )
    .await;

    let mut eve = daemon.browser(Version::Four).await;
    let forged = json!({"username": "eve", "appVersion": "1:9|g#x y"});
    eve.say("identify", forged).await;
    until(
        &mut daemon,
        &["people_connected:2|g", "fe_version.1_9_g_x_y:1|g"],
    )
    .await;
    eve.say("identify", json!("joe")).await;
    until(
        &mut daemon,
        &[
            "people_connected:2|g",
            "fe_version.1_9_g_x_y:0|g",
            "fe_version.unknown:1|g",
        ],
    )
    .await;

    eve.close().await;
    until(
        &mut daemon,
        &["people_connected:1|g", "fe_version.unknown:0|g"],
    )
    .await;
    daemon.signal(nix::sys::signal::SIGTERM);
    until(
        &mut daemon,
        &["people_connected:0|g", "fe_version.2.0.1-rc_3:0|g"],
    )
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
        browser.say("identify", identity).await;
        // Whose version comes first is known by the answer to what was said after it.
        browser.say("startViewingCase", json!("X")).await;
        browser.until_viewing(&["adam"]).await;
        browsers.push(browser);
    }
    until(
        &mut daemon,
        &[
            "fe_version.0:1|g",
            "fe_version.1:1|g",
            "fe_version.other:3|g",
        ],
    )
    .await;
}

#[tokio::test]
async fn a_version_that_is_no_longer_used_makes_room_for_another() {
    let mut daemon = settings().env("CLA_LIMITS__VERSIONS", 2).start().await;
    let mut hasty = daemon.browser(Version::Four).await;
    for version in 0..5 {
        let name = format!("v{version}");
        let identity = json!({"username": &name, "appVersion": &name});
        hasty.say("identify", identity).await;
        until(&mut daemon, &[&format!("fe_version.{name}:1|g")]).await;
    }
    let mut adam = daemon.browser(Version::Four).await;
    let identity = json!({"username": "adam", "appVersion": "2.0"});
    adam.say("identify", identity).await;
    until(&mut daemon, &["fe_version.2.0:1|g", "fe_version.v4:1|g"]).await;
    let used_before = daemon.gauges.iter().filter(|(name, value)| {
        name.starts_with("fe_version.v") && *name != "fe_version.v4" && *value != "0|g"
    });
    assert_eq!(used_before.count(), 0, "{:?}", daemon.gauges);
    daemon
        .until_shown("cla_socketserver_fe_version{version=\"2.0\"} 1")
        .await;
}

#[tokio::test]
async fn what_is_wrong_with_frames_is_counted() {
    let mut daemon = settings().start().await;
    let mut browser = daemon.browser(Version::Four).await;
    browser.say("identify", json!(null)).await;
    browser.say("no such event", json!(null)).await;
    browser.identify("adam").await;
    until(
        &mut daemon,
        &[
            "frame_rejected.malformed:1|c",
            "frame_rejected.unknown_event:1|c",
        ],
    )
    .await;
}

#[tokio::test]
async fn what_becomes_of_lost_connections_is_counted() {
    let mut daemon = settings().env("CLA_PRESENCE__GRACE_MS", 2000).start().await;
    let mut adam = daemon.browser(Version::Four).await;
    adam.identify("adam").await;
    adam.say("startViewingCase", json!("X")).await;
    adam.until_viewing(&["adam"]).await;
    for _ in 0..2 {
        let mut eve = daemon.browser(Version::Four).await;
        eve.identify("eve").await;
        eve.say("startViewingCase", json!("X")).await;
        eve.until_viewing(&["adam", "eve"]).await;
        drop(eve);
        daemon
            .until_people(|people| people["eve"].to_string().contains("lost"))
            .await;
    }
    adam.until_viewing(&["adam"]).await;
    until(
        &mut daemon,
        &[
            "presence.lost:2|c",
            "presence.resumed:1|c",
            "presence.flicker_suppressed:1|c",
            "presence.lapsed:1|c",
            "presence.staleness:2000|ms",
        ],
    )
    .await;
}

#[tokio::test]
async fn nobody_notices_that_statsd_is_not_there() {
    for (host, port) in [("no-such-host.invalid", "8125"), ("127.0.0.1", "9")] {
        let mut daemon = settings()
            .env("STATSD_HOST", host)
            .env("STATSD_PORT", port)
            .start()
            .await;
        let mut adam = daemon.browser(Version::Four).await;
        adam.identify("adam").await;
        adam.say("startViewingCase", json!("X")).await;
        adam.until_viewing(&["adam"]).await;
        daemon.signal(nix::sys::signal::SIGTERM);
        assert!(daemon.exit().await.success());
        let warnings = daemon.whole_log().await.iter();
        let warnings = warnings.filter(|line| line["level"] == "WARN").count();
        assert_eq!(
            warnings,
            usize::from(host.ends_with("invalid")),
            "said once"
        );
    }
}

/// Reads datagrams until the latest value of each gauge, and the total of each counter, is as expected; each is one line.
async fn until(daemon: &mut Daemon, lines: &[&str]) {
    let Daemon { statsd, gauges, .. } = daemon;
    let expected = |latest: &BTreeMap<String, String>| {
        lines.iter().all(|line| {
            let (name, value) = line.split_once(':').unwrap();
            let latest = latest.get(name);
            latest.is_some_and(|latest| latest == value || is_about(latest, value))
        })
    };
    let reading = timeout(PATIENCE, async {
        let mut buffer = [0; 1500];
        while !expected(gauges) {
            let length = statsd.recv(&mut buffer).await.unwrap();
            let line = std::str::from_utf8(&buffer[..length]).unwrap();
            let (name, value) = line.split_once(':').unwrap();
            let so_far = gauges.get(name).map_or("0|c", String::as_str);
            gauges.insert(name.to_owned(), total(so_far, value));
        }
    })
    .await;
    assert!(reading.is_ok(), "expected {lines:?}, got {gauges:?}");
}

/// Counts add up, whatever else was sent before is over.
fn total(so_far: &str, value: &str) -> String {
    let count = |value: &str| value.strip_suffix("|c")?.parse::<u64>().ok();
    match (count(so_far), count(value)) {
        (Some(so_far), Some(count)) => format!("{}|c", so_far + count),
        _ => value.to_owned(),
    }
}

/// A time that was measured is a little longer than the time that must have passed.
fn is_about(measured: &str, least: &str) -> bool {
    let millis = |value: &str| value.strip_suffix("|ms")?.parse::<u64>().ok();
    match (millis(measured), millis(least)) {
        (Some(measured), Some(least)) => (least..least + 5000).contains(&measured),
        _ => false,
    }
}
