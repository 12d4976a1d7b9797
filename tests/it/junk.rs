//! Malformed input of unknown clients, while a bystander stays served.

mod floods;

use serde_json::json;
use tokio_tungstenite::tungstenite::Message;

use crate::support::{
    browser::Browser,
    bystander::Bystander,
    daemon::settings,
    http,
    poller::Poller,
    protocol::{VERSIONS, Version, event_frame},
};

#[tokio::test]
async fn a_malformed_event_is_dropped_and_the_connection_stays() {
    let frames = malformed_events();
    for version in VERSIONS {
        let mut bystander = Bystander::new().await;
        for frame in &frames {
            let start = &frame[..frame.len().min(60)];
            let mut client = bystander.daemon.browser(version).await;
            client.send(frame).await;
            // If the frame had identified the client, this would be answered with another name.
            client.open_case("probe").await;
            client.identify("client").await;
            client.open_case(start).await;
            let is_connect_error = |frame: &str| frame.starts_with("44/");
            let mut answer = client.frame().await;
            while is_connect_error(&answer) {
                answer = client.frame().await;
            }
            assert!(
                answer.ends_with(r#"["peopleViewing",["client"]]"#),
                "{version:?}, {start}: {answer}"
            );
            bystander.is_served().await;
        }
    }
}

#[tokio::test]
async fn an_event_with_attachments_is_dropped_and_the_connection_stays() {
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
                    // The first byte says that it is a message.
                    Version::Three => vec![4, 0, 0xff],
                    Version::Four => vec![0, 0xff],
                };
                let sent = browser.send_message(Message::binary(attachment)).await;
                sent.unwrap();
            }
            browser.open_case(&count.to_string()).await;
            browser.until_viewing(&["adam"]).await;
        }
    }
    daemon.until_counted("frame_rejected", "binary", 6).await;
}

#[tokio::test]
async fn names_with_a_meaning_in_javascript_are_ordinary_names() {
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
        viewer.open_case("__proto__").await;
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
            let mut client = bystander.daemon.browser(version).await;
            client.identify("client").await;
            // The daemon may close before everything is sent.
            let _ = client.send_message(packet.clone()).await;
            if !matches!(packet, Message::Text(text) if text.starts_with("451-")) {
                client.until_closed().await;
            }
            bystander.is_served().await;
        }
    }
}

#[tokio::test]
async fn events_outside_the_namespace_do_nothing() {
    let mut bystander = Bystander::new().await;
    let mut not_joined = Browser::open(bystander.daemon.public, Version::Four).await;
    not_joined.send("40/socket.io,").await;
    not_joined
        .send(&event_frame("identify", json!("not_joined")))
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
async fn malformed_requests_are_refused() {
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
