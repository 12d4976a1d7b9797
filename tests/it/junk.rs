//! What strangers send, while a bystander goes on being served.

use futures_util::future::join_all;
use serde_json::json;
use tokio::{net::TcpStream, time::timeout};
use tokio_tungstenite::tungstenite::Message;

use crate::{
    daemon::{Daemon, PATIENCE, settings},
    http,
    wire::{Browser, Poller, VERSIONS, Version, event_frame},
};

#[tokio::test]
async fn a_malformed_event_is_dropped_and_the_connection_stays() {
    let frames = malformed_events();
    for version in VERSIONS {
        let mut bystander = Bystander::new().await;
        for frame in &frames {
            let start = &frame[..frame.len().min(60)];
            let mut stranger = bystander.daemon.browser(version).await;
            stranger.send(frame).await;
            // Would be answered under another name if the frame had identified somebody.
            stranger.say("startViewingCase", json!("probe")).await;
            stranger.identify("stranger").await;
            stranger.say("startViewingCase", json!(start)).await;
            let named = |heard: &str| heard.starts_with("44/");
            let mut heard = stranger.frame().await;
            while named(&heard) {
                heard = stranger.frame().await;
            }
            assert!(
                heard.ends_with(r#"["peopleViewing",["stranger"]]"#),
                "{start}: {heard}"
            );
            bystander.is_served().await;
        }
    }
}

#[tokio::test]
async fn attachments_that_nobody_wants_cost_no_connection() {
    let daemon = settings().start().await;
    for version in VERSIONS {
        for count in [1, 2, 100] {
            let mut browser = Browser::identified(daemon.public, version, "adam").await;
            let placeholder = |number| format!(r#"{{"_placeholder":true,"num":{number}}}"#);
            let placeholders: Vec<_> = (0..count).map(placeholder).collect();
            let announced = placeholders.join(",");
            let event = format!(r#"45{count}-/socket.io,["startViewingCase",{announced}]"#);
            browser.send(&event).await;
            for _ in 0..count {
                let attachment = match version {
                    // Which says that it is a message.
                    Version::Three => vec![4, 0, 0xff],
                    Version::Four => vec![0, 0xff],
                };
                let sent = browser.send_message(Message::binary(attachment)).await;
                sent.unwrap();
            }
            browser
                .say("startViewingCase", json!(count.to_string()))
                .await;
            browser.until_viewing(&["adam"]).await;
        }
    }
    daemon.counted("frame_rejected", "binary", 6).await;
}

#[tokio::test]
async fn names_that_mean_something_to_javascript_are_names() {
    let daemon = settings().start().await;
    let mut viewers = Vec::new();
    let names = [
        "__proto__",
        "constructor",
        "toString",
        "hasOwnProperty",
        "<script>",
    ];
    for name in names {
        let mut viewer = Browser::identified(daemon.public, Version::Three, name).await;
        viewer.say("startViewingCase", json!("__proto__")).await;
        viewers.push(viewer);
    }
    for viewer in &mut viewers {
        viewer.until_viewing(&names).await;
    }
    let people = daemon.people().await;
    assert_eq!(people["__proto__"]["username"], "__proto__");
}

#[tokio::test]
async fn a_broken_packet_closes_its_own_connection_only() {
    let huge = format!(r#"42/socket.io,["identify",{}]"#, "[".repeat(100_000));
    let packets = [
        Message::text("42/socket.io,[\"identify\","),
        Message::text("42/socket.io,[]"),
        Message::text("42/socket.io,[7]"),
        Message::text("42/socket.io,{}"),
        Message::text("4"),
        Message::text("49"),
        Message::text("9"),
        Message::text(""),
        Message::text(
            "451-/socket.io,[\"identify\",{\"_placeholder\":true,\"num\":0}]".to_owned() + "x",
        ),
        Message::text("459999-/socket.io,[\"identify\"]"),
        Message::text(huge),
        Message::binary(vec![0; 100]),
        Message::binary(vec![4; 70_000]),
    ];
    for version in VERSIONS {
        let mut bystander = Bystander::new().await;
        for packet in &packets {
            let mut stranger = bystander.daemon.browser(version).await;
            stranger.identify("stranger").await;
            // The server may be faster to close than we are to send.
            let _ = stranger.send_message(packet.clone()).await;
            if !matches!(packet, Message::Text(text) if text.starts_with("451-")) {
                stranger.until_closed().await;
            }
            bystander.is_served().await;
        }
    }
}

#[tokio::test]
async fn events_outside_the_namespace_do_nothing() {
    let mut bystander = Bystander::new().await;
    let mut impatient = Browser::open(bystander.daemon.public, Version::Four).await;
    impatient.send("40/socket.io,").await;
    impatient
        .send(&event_frame("identify", json!("impatient")))
        .await;
    bystander.is_served().await;
    let mut silent = Browser::open(bystander.daemon.public, Version::Three).await;
    silent.send(r#"42["identify","silent"]"#).await;
    silent.send(r#"42["startViewingCase","X"]"#).await;
    let mut lost = Browser::open(bystander.daemon.public, Version::Four).await;
    lost.send(r#"42["identify","lost"]"#).await;
    lost.until_closed().await;
    bystander.is_served().await;
    let people = bystander.daemon.people().await;
    assert!(
        people.get("silent").is_none() && people.get("lost").is_none(),
        "{people}"
    );
}

#[tokio::test]
async fn requests_that_make_no_sense_are_refused() {
    let mut bystander = Bystander::new().await;
    let to = bystander.daemon.public;
    for (request, status) in [
        (
            "GET /socket.io/?EIO=4&transport=polling&sid=nonsense HTTP/1.1",
            400,
        ),
        (
            "GET /socket.io/?EIO=4&transport=polling&sid=AAAAAAAAAAAAAAAA HTTP/1.1",
            400,
        ),
        ("GET /socket.io/?EIO=4&transport=websocket HTTP/1.1", 400),
        ("GET /socket.io/?EIO=%00&transport=%ff HTTP/1.1", 400),
        ("POST /socket.io/?EIO=4&transport=polling HTTP/1.1", 400),
        ("DELETE /socket.io/?EIO=4&transport=polling HTTP/1.1", 400),
        ("GET /socket.io/../admin HTTP/1.1", 400),
        ("BREW /pot HTTP/1.1", 404),
        ("nonsense", 400),
    ] {
        let head = format!("{request}\r\nHost: x\r\nConnection: close\r\n\r\n");
        let answer = http::raw(to, head.as_bytes()).await;
        assert_eq!(answer.status, status, "{request}: {answer:?}");
        bystander.is_served().await;
    }
    let session = Poller::open(to, Version::Four).await;
    let large = "x".repeat(70_000);
    assert_ne!(session.post(&[&large]).await.status, 200);
    bystander.is_served().await;
}

#[tokio::test]
async fn two_polls_at_once_end_a_session_and_its_presence() {
    let mut bystander = Bystander::new().await;
    let session = bystander.joined_by("twice", Version::Four).await;
    session.until("peopleViewing").await;
    join_all([session.poll(), session.poll()]).await;
    bystander.browser.until_viewing(&["bystander"]).await;
}

#[tokio::test]
async fn viewers_of_one_case_who_vanish_at_once_leave_nobody_behind() {
    let mut bystander = Bystander::new().await;
    let mut browsers = Vec::new();
    for number in 0..20 {
        let name = format!("user{number}");
        let server = bystander.daemon.public;
        let mut browser = Browser::identified(server, VERSIONS[number % 2], &name).await;
        browser.say("startViewingCase", json!("bystander")).await;
        browsers.push(browser);
    }
    while bystander.browser.hears().await.1.as_array().unwrap().len() < 21 {}
    drop(browsers);
    bystander.browser.until_viewing(&["bystander"]).await;
    let people = bystander.daemon.people().await;
    assert_eq!(people.as_object().unwrap().len(), 1, "{people}");
}

#[tokio::test]
async fn a_flood_hurts_nobody_else() {
    let mut bystander = Bystander::with(settings().hasty().env("CLA_LOG__LEVEL", "info")).await;
    let mut flooder = bystander.daemon.browser(Version::Four).await;
    let frame = event_frame("identify", json!("flooder"));
    let flood = tokio::spawn(async move {
        for _ in 0..20_000 {
            if flooder
                .send_message(Message::text(frame.clone()))
                .await
                .is_err()
            {
                break;
            }
        }
    });
    for _ in 0..20 {
        bystander.is_served().await;
    }
    flood.await.unwrap();
    bystander.is_served().await;
}

#[tokio::test]
async fn a_connection_that_has_too_much_waiting_is_closed_and_may_come_back() {
    let daemon = settings()
        .hasty()
        .env("CLA_LIMITS__FRAMES_IN_FLIGHT", 4)
        .env("CLA_LOG__LEVEL", "info")
        .start()
        .await;
    for version in VERSIONS {
        let session = Poller::joined(daemon.public, version).await;
        let frame = event_frame("identify", json!("flooder"));
        let burst = vec![frame.as_str(); 400];
        let closed = timeout(PATIENCE, async {
            while session.post(&burst).await.status == 200 {}
        });
        assert!(closed.await.is_ok(), "{version:?}: it may flood for ever");
        let mut again = Browser::identified(daemon.public, version, "flooder").await;
        again.say("startViewingCase", json!("X")).await;
        again.until_viewing(&["flooder"]).await;
        again.close().await;
    }
    let mut flooder = daemon.browser(Version::Four).await;
    let frame = event_frame("identify", json!("flooder"));
    let closed = timeout(PATIENCE, async {
        while flooder
            .send_message(Message::text(frame.clone()))
            .await
            .is_ok()
        {}
    });
    assert!(closed.await.is_ok(), "it may flood for ever");
    daemon
        .counted("connection_closed", "frames_in_flight", 3)
        .await;
}

#[tokio::test]
async fn a_websocket_that_stops_reading_does_not_stay_on_the_screen() {
    let mut bystander = Bystander::with(
        settings()
            .env("CLA_LIMITS__TCP_USER_TIMEOUT_MS", 500)
            .env("CLA_LIMITS__ADMIN_BODY_BYTES", 1_048_576)
            .env("CLA_LOG__LEVEL", "info"),
    )
    .await;
    let server = bystander.daemon.public;
    let mut sleeper = Browser::identified(server, Version::Four, "sleeper").await;
    sleeper.say("startViewingCase", json!("bystander")).await;
    bystander
        .browser
        .until_viewing(&["bystander", "sleeper"])
        .await;
    let body = json!({"notifications": "x".repeat(900_000)}).to_string();
    let json = [("Content-Type", "application/json")];
    let mut gone = false;
    // More than the network holds on the way, but less than the daemon would queue before it gives up.
    for _ in 0..13 {
        let admin = bystander.daemon.admin;
        let answer = http::request(admin, "POST", "/admin/notifications/", &json, &body).await;
        assert_eq!(answer.json()["success"], true);
        // The bystander does read, and may hear already that the sleeper is gone.
        let mut heard = bystander.browser.hears().await;
        while heard.0 != "notification" {
            gone |= heard.1 == json!(["bystander"]);
            heard = bystander.browser.hears().await;
        }
    }
    if !gone {
        bystander.browser.until_viewing(&["bystander"]).await;
    }
    bystander.is_served().await;
}

#[tokio::test]
async fn a_session_that_does_not_poll_is_closed_when_it_has_missed_a_message() {
    for version in VERSIONS {
        let mut bystander =
            Bystander::with(settings().hasty().env("CLA_PUBLIC__MERGE_INTERVAL_MS", 0)).await;
        let _session = bystander.joined_by("sleeper", version).await;
        let gone = timeout(PATIENCE, async {
            loop {
                bystander
                    .browser
                    .say("startViewingCase", json!("bystander"))
                    .await;
                if bystander.browser.hears().await.1 == json!(["bystander"]) {
                    return;
                }
            }
        });
        assert!(gone.await.is_ok(), "{version:?}: a stale list stays");
        bystander
            .daemon
            .counted("connection_closed", "slow_reader", 1)
            .await;
    }
}

#[tokio::test]
async fn no_number_of_connections_shuts_out_staff() {
    let daemon = settings()
        .files(100, 300)
        .env("CLA_LIMITS__HEADER_TIMEOUT_MS", 60_000)
        .start()
        .await;
    let mut silent = Vec::new();
    for _ in 0..400 {
        silent.push(TcpStream::connect(daemon.public).await.unwrap());
    }
    assert_eq!(daemon.get("/healthz").await.status, 200);
    assert_eq!(daemon.get("/readyz").await.status, 200);
    drop(silent);
    Browser::identified(daemon.public, Version::Three, "adam").await;
    let warned = |line: &serde_json::Value| {
        let message = line["message"].as_str().unwrap_or_default();
        line["level"] == "WARN" && message.contains("300 open files leave room for 150")
    };
    assert!(daemon.logged.iter().any(warned), "{:?}", daemon.logged);
}

fn malformed_events() -> Vec<String> {
    let deep = format!("{}{}", "[".repeat(6_000), "]".repeat(6_000));
    let deep_identity = format!(r#"{{"username":"x","more":{deep}}}"#);
    let long = "x".repeat(10_000);
    let payloads = [
        ("identify", "null"),
        ("identify", "true"),
        ("identify", "{}"),
        ("identify", "[]"),
        ("identify", r#"{"username":null}"#),
        ("identify", r#"{"username":{"toString":"function"}}"#),
        ("identify", r#"{"username":"\u200b\u3164"}"#),
        ("identify", r#""a\u0000b""#),
        ("identify", r#""\u001b[2J""#),
        ("identify", r#""""#),
        ("identify", &format!("{long:?}")),
        ("identify", &deep),
        ("startViewingCase", "null"),
        ("startViewingCase", "{}"),
        ("startViewingCase", &format!("{long:?}")),
        ("startViewingCase", &deep),
        ("stopViewingCase", "7"),
        ("error", "{}"),
        ("disconnect", "{}"),
        ("__proto__", "{}"),
        ("peopleViewing", r#"["forged"]"#),
    ];
    let mut frames: Vec<_> = payloads
        .iter()
        .map(|(event, payload)| format!(r#"42/socket.io,["{event}",{payload}]"#))
        .collect();
    frames.extend(
        [
            r#"42/socket.io,["identify"]"#,
            r#"42/socket.io,["startViewingCase"]"#,
            r#"42/socket.io,17["no such event","with","an ack id"]"#,
            r#"42/nowhere,["identify","x"]"#,
            r#"43/socket.io,5["an answer nobody asked for"]"#,
            "40/nowhere,",
        ]
        .map(str::to_owned),
    );
    frames.push(deep_identity.replacen("", r#"42/socket.io,["startViewingCase","#, 1) + "]");
    frames
}

/// Somebody who minds their own business.
struct Bystander {
    daemon: Daemon,
    browser: Browser,
    round: usize,
}

impl Bystander {
    async fn new() -> Self {
        Self::with(settings()).await
    }

    async fn with(settings: crate::daemon::Settings) -> Self {
        // What becomes of a lost connection is seen at once, not when its place lapses.
        let daemon = settings.env("CLA_PRESENCE__GRACE_MS", 0).start().await;
        let mut browser = Browser::identified(daemon.public, Version::Three, "bystander").await;
        browser.say("startViewingCase", json!("bystander")).await;
        browser.until_viewing(&["bystander"]).await;
        Self {
            daemon,
            browser,
            round: 0,
        }
    }

    /// Somebody who polls comes to the bystander's case.
    async fn joined_by(&mut self, name: &str, version: Version) -> Poller {
        let session = Poller::joined(self.daemon.public, version).await;
        let frames = [
            event_frame("identify", json!(name)),
            event_frame("startViewingCase", json!("bystander")),
        ];
        session.post(&frames.each_ref().map(String::as_str)).await;
        self.browser.until_viewing(&["bystander", name]).await;
        session
    }

    async fn is_served(&mut self) {
        // A new name in each round, or a late answer to an earlier one would do.
        self.round += 1;
        let name = format!("bystander {}", self.round);
        self.browser.identify(&name).await;
        let case = json!(self.round.to_string());
        self.browser.say("startViewingCase", case).await;
        self.browser.until_viewing(&[&name]).await;
    }
}
