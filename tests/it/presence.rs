//! Who is told what, over real sockets.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::{
    daemon::settings,
    http,
    wire::{Browser, Poller, VERSIONS, Version, event_frame},
};

#[tokio::test]
async fn viewers_of_a_case_see_each_other_come_and_go() {
    for version in VERSIONS {
        let daemon = settings().start().await;
        let mut adam = Browser::identified(daemon.public, version, "adam").await;
        let mut eve = Browser::identified(daemon.public, version, "eve").await;

        adam.say("startViewingCase", json!("X")).await;
        adam.until_viewing(&["adam"]).await;
        eve.say("startViewingCase", json!("X")).await;
        eve.until_viewing(&["adam", "eve"]).await;
        adam.until_viewing(&["adam", "eve"]).await;
        eve.say("stopViewingCase", json!("another case")).await;
        adam.until_viewing(&["adam"]).await;
        eve.say("startViewingCase", json!("X")).await;
        adam.until_viewing(&["adam", "eve"]).await;
        eve.say("startViewingCase", json!("Y")).await;
        adam.until_viewing(&["adam"]).await;
        eve.until_viewing(&["eve"]).await;
        eve.say("startViewingCase", json!("X")).await;
        adam.until_viewing(&["adam", "eve"]).await;
        eve.say("identify", json!("joe")).await;
        adam.until_viewing(&["adam", "joe"]).await;
        eve.close().await;
        adam.until_viewing(&["adam"]).await;
    }
}

#[tokio::test]
async fn whoever_left_a_case_hears_no_more_of_it() {
    let daemon = settings().start().await;
    let mut adam = Browser::identified(daemon.public, Version::Three, "adam").await;
    let mut eve = Browser::identified(daemon.public, Version::Four, "eve").await;
    adam.say("startViewingCase", json!("X")).await;
    adam.until_viewing(&["adam"]).await;
    adam.say("startViewingCase", json!("Y")).await;
    adam.until_viewing(&["adam"]).await;
    eve.say("startViewingCase", json!("X")).await;
    eve.until_viewing(&["eve"]).await;
    eve.say("startViewingCase", json!("Y")).await;
    // The very next thing that adam hears is about Y.
    let heard = adam.hears().await;
    assert_eq!(heard, ("peopleViewing".to_owned(), json!(["adam", "eve"])));
}

#[tokio::test]
async fn names_of_cases_user_types_and_sockets_do_not_mix() {
    let daemon = settings().start().await;
    let mut adam = Browser::identified(daemon.public, Version::Four, "adam").await;
    let mut eve = Browser::connect(daemon.public, Version::Four).await;
    eve.say(
        "identify",
        json!({"username": "eve", "usertype": adam.id, "appVersion": "1"}),
    )
    .await;
    for case in ["operator", adam.id.as_str()] {
        eve.say("startViewingCase", json!(case)).await;
        eve.until_viewing(&["eve"]).await;
    }
    notify(
        daemon.admin,
        &json!({"notifications": "for operators", "usertype": "operator"}),
    )
    .await;
    notify(
        daemon.admin,
        &json!({"notifications": "for a socket id", "usertype": adam.id}),
    )
    .await;
    assert_eq!(
        adam.hears().await,
        ("notification".to_owned(), json!("for operators"))
    );
    assert_eq!(
        eve.hears().await,
        ("notification".to_owned(), json!("for a socket id"))
    );
    notify(daemon.admin, &json!({"notifications": "last"})).await;
    assert_eq!(
        adam.hears().await,
        ("notification".to_owned(), json!("last"))
    );
}

#[tokio::test]
async fn a_burst_on_one_case_is_merged_and_ends_with_the_last_state() {
    let interval = Duration::from_millis(300);
    let daemon = settings()
        .env("CLA_PUBLIC__MERGE_INTERVAL_MS", interval.as_millis())
        .start()
        .await;
    let mut adam = Browser::identified(daemon.public, Version::Four, "adam").await;
    let mut eve = Browser::identified(daemon.public, Version::Four, "eve").await;
    let mut ruth = Browser::identified(daemon.public, Version::Four, "ruth").await;
    let begun = Instant::now();
    adam.say("startViewingCase", json!("X")).await;
    assert_eq!(adam.hears().await.1, json!(["adam"]));
    for _ in 0..50 {
        eve.say("startViewingCase", json!("X")).await;
        eve.say("stopViewingCase", json!("X")).await;
    }
    eve.say("startViewingCase", json!("X")).await;
    ruth.say("startViewingCase", json!("X")).await;
    let mut lists = 1;
    while adam.hears().await.1 != json!(["adam", "eve", "ruth"]) {
        lists += 1;
    }
    let allowed = begun.elapsed().as_millis() / interval.as_millis() + 2;
    assert!(
        lists <= allowed,
        "{lists} lists where {allowed} were allowed"
    );
}

#[tokio::test]
async fn names_outside_ascii_arrive_as_they_were_meant() {
    let daemon = settings().start().await;
    let name = "Zoë Ω 😀 名前";
    let mut adam = Browser::identified(daemon.public, Version::Four, "adam").await;
    adam.say("startViewingCase", json!("é")).await;

    for version in VERSIONS {
        let zoe = Poller::joined(daemon.public, version).await;
        // Clients 1.x encode twice what they send by polling.
        let twice = |text: String| match version {
            Version::Three => text.bytes().map(char::from).collect(),
            Version::Four => text,
        };
        zoe.post(&[&twice(event_frame("identify", json!(name)))])
            .await;
        zoe.post(&[&twice(event_frame("startViewingCase", json!("é")))])
            .await;
        adam.until_viewing(&["adam", name]).await;
        let list = zoe.until("peopleViewing").await;
        assert!(list.is_ascii(), "{list}");
        assert!(
            list.contains(r#""Zo\u00eb \u03a9 \ud83d\ude00 \u540d\u524d""#),
            "{list}"
        );
        zoe.post(&["41/socket.io,"]).await;
        adam.until_viewing(&["adam"]).await;
    }
}

#[tokio::test]
async fn a_closed_tab_that_polled_leaves_at_once() {
    for version in VERSIONS {
        let daemon = settings().start().await;
        let mut adam = Browser::identified(daemon.public, Version::Four, "adam").await;
        adam.say("startViewingCase", json!("X")).await;
        let eve = Poller::joined(daemon.public, version).await;
        eve.post(&[&event_frame("identify", json!("eve"))]).await;
        eve.post(&[&event_frame("startViewingCase", json!("X"))])
            .await;
        eve.until("peopleViewing").await;
        adam.until_viewing(&["adam", "eve"]).await;
        // A poll that is answered ends nothing; the one that is waiting when the tab closes does.
        adam.say("startViewingCase", json!("X")).await;
        eve.until("peopleViewing").await;
        adam.until_viewing(&["adam", "eve"]).await;
        drop(eve.held().await);
        adam.until_viewing(&["adam"]).await;
    }
}

/// Clients 2.5 and 4.x send what was emitted while they were offline before the page says who it is.
#[tokio::test]
async fn what_is_said_before_identify_waits_for_the_name() {
    let daemon = settings().start().await;
    for version in VERSIONS {
        let mut adam = daemon.browser(version).await;
        adam.say("startViewingCase", json!("Y")).await;
        adam.say("stopViewingCase", json!("Y")).await;
        adam.say("startViewingCase", json!("X")).await;
        adam.identify("adam").await;
        assert_eq!(
            adam.hears().await,
            ("peopleViewing".to_owned(), json!(["adam"]))
        );
        let people = daemon.people().await;
        let case = &people["adam"]["connections"][&adam.id]["caseViewed"];
        assert_eq!(case, "X", "{people}");
        adam.close().await;
        daemon.until_people(|people| *people == json!({})).await;
    }
}

/// Whoever went to another case while cut off is never shown on the first one again, nor shown its list.
#[tokio::test]
async fn who_changed_cases_while_cut_off_is_on_the_new_one() {
    let daemon = settings().start().await;
    for version in VERSIONS {
        let mut eve = Browser::identified(daemon.public, Version::Four, "eve").await;
        eve.say("startViewingCase", json!("X")).await;
        eve.until_viewing(&["eve"]).await;
        let mut adam = Browser::identified(daemon.public, version, "adam").await;
        adam.say("startViewingCase", json!("X")).await;
        eve.until_viewing(&["eve", "adam"]).await;
        adam.give_up().await;
        daemon
            .until_people(|people| people.to_string().contains("lost"))
            .await;
        let mut back = daemon.browser(version).await;
        back.say("stopViewingCase", json!("X")).await;
        back.say("startViewingCase", json!("Y")).await;
        back.identify("adam").await;
        let list = |names: &[&str]| ("peopleViewing".to_owned(), json!(names));
        assert_eq!(back.hears().await, list(&["adam"]));
        assert_eq!(eve.hears().await, list(&["eve"]));
        back.close().await;
        eve.close().await;
        daemon.until_people(|people| *people == json!({})).await;
    }
}

/// Clients 1.x and 2.x ask for it so when the page has set a `query`.
#[tokio::test]
async fn a_namespace_with_a_query_is_the_namespace() {
    let daemon = settings().start().await;
    for query in ["?token=x", "?a=1&b=%2C%C3%A9,", "?,"] {
        let connect = format!("40/socket.io{query}");
        let mut adam = Browser::open(daemon.public, Version::Three).await;
        adam.send("2").await;
        adam.send(&connect).await;
        // Engine.IO 3 answers the ping first.
        assert_eq!(adam.frame().await, "3");
        assert!(adam.frame().await.starts_with("40/socket.io"));
        adam.identify("adam").await;
        adam.say("startViewingCase", json!("40/socket.io?X")).await;
        adam.until_viewing(&["adam"]).await;

        let eve = Poller::open(daemon.public, Version::Three).await;
        eve.post(&["2", &connect]).await;
        eve.until("40/socket.io").await;
        let said = [
            event_frame("identify", json!("eve")),
            event_frame("startViewingCase", json!("40/socket.io?X")),
        ];
        eve.post(&said.each_ref().map(String::as_str)).await;
        adam.until_viewing(&["adam", "eve"]).await;
        let people = daemon.people().await.to_string();
        assert!(
            people.contains(r#""caseViewed":"40/socket.io?X""#),
            "{people}"
        );
        eve.post(&["41/socket.io,"]).await;
        adam.close().await;
        daemon.until_people(|people| *people == json!({})).await;
    }
}

/// For want of a version nobody is missing.
#[tokio::test]
async fn whoever_says_a_name_somehow_is_listed() {
    let daemon = settings().start().await;
    for (said, name, version) in [
        (json!({"username": "adam", "appVersion": 7}), "adam", "7"),
        (
            json!({"username": "adam", "appVersion": 1.5}),
            "adam",
            "1.5",
        ),
        (
            json!({"username": "adam", "appVersion": null, "usertype": {}}),
            "adam",
            "unknown",
        ),
        (
            json!({"username": "adam", "appVersion": ["1"]}),
            "adam",
            "unknown",
        ),
        (json!({"username": 7, "appVersion": "1"}), "7", "1"),
        (json!(7), "7", "unknown"),
        (json!("ad\u{202e}am\u{200b}"), "adam", "unknown"),
    ] {
        let mut browser = daemon.browser(Version::Three).await;
        browser.say("identify", said).await;
        browser.say("startViewingCase", json!("X")).await;
        browser.until_viewing(&[name]).await;
        let people = daemon.people().await;
        let connection = &people[name]["connections"][&browser.id];
        assert_eq!(connection["appVersion"], version, "{people}");
        browser.close().await;
        daemon.until_people(|people| *people == json!({})).await;
    }
}

#[tokio::test]
async fn the_legacy_probes_stay_green() {
    let daemon = settings().start().await;
    let origin = [("Origin", "localhost:")];
    let path = "/socket.io/?eio=3&transport=polling";
    let answer = http::request(daemon.public, "GET", path, &origin, "").await;
    assert_eq!(answer.status, 200);
    let (framing, open) = answer.body.split_at(5);
    assert!(
        open.starts_with('{'),
        "byte 5 is where the smoke test reads JSON: {framing}{open}"
    );
    let open: serde_json::Value = serde_json::from_str(open).unwrap();
    let sid = open["sid"].as_str().unwrap();
    let uri = format!(
        "ws://{}/socket.io/?eio=3&transport=websocket&sid={sid}",
        daemon.public
    );
    // What it sends then is one of the failures in `upgrade`.
    tokio_tungstenite::connect_async(uri).await.unwrap();
}

#[tokio::test]
async fn only_pages_of_the_site_may_connect() {
    let daemon = settings()
        .env("SITE_HOSTNAME", "cases.example.uk, b.example")
        .start()
        .await;
    for (origin, status) in [
        ("https://cases.example.uk", 200),
        ("https://B.example:444", 200),
        ("http://localhost:3000", 200),
        ("https://evil.example", 403),
        ("null", 403),
    ] {
        for path in [
            "/socket.io/?EIO=4&transport=polling",
            "/socket.io/?EIO=3&transport=polling",
        ] {
            let answer = http::request(daemon.public, "GET", path, &[("Origin", origin)], "").await;
            assert_eq!(answer.status, status, "{origin}");
            let allowed = (status == 200).then_some(origin);
            assert_eq!(answer.header("access-control-allow-origin"), allowed);
            let credentials = (status == 200).then_some("true");
            assert_eq!(
                answer.header("access-control-allow-credentials"),
                credentials
            );
        }
        let headers = [
            ("Origin", origin),
            ("Access-Control-Request-Method", "POST"),
        ];
        let preflight = http::request(daemon.public, "OPTIONS", "/socket.io/", &headers, "").await;
        assert_eq!(preflight.status, status, "preflight from {origin}");
    }
}

#[tokio::test]
async fn the_public_listener_serves_nothing_but_socket_io() {
    let daemon = settings().start().await;
    for path in [
        "/",
        "/admin",
        "/admin/",
        "/admin/broadcast/",
        "/healthz",
        "/readyz",
        "/demo/",
    ] {
        let answer = http::request(daemon.public, "GET", path, &[], "").await;
        assert_eq!(answer.status, 404, "{path}");
    }
    for path in [
        "/admin/notifications/",
        "/socket.iox/",
        "/x/socket.io/",
        "*",
    ] {
        let headers = [("Content-Type", "application/json")];
        let body = r#"{"notifications":[]}"#;
        let answer = http::request(daemon.public, "POST", path, &headers, body).await;
        assert_eq!(answer.status, 404, "{path}");
        assert_eq!(answer.header("Content-Type"), Some("application/json"));
        // `cla_backend` looks for this member before it counts a try as failed.
        assert_eq!(answer.json()["success"], false);
        let error = answer.json()["error"].to_string();
        assert!(error.contains("/socket.io/") && error.contains("admin.listen"));
        assert!(!error.contains(&daemon.admin.port().to_string()), "{error}");
    }
    for path in ["/socket.io/", "/socket.io/?EIO=4&transport=carrier-pigeon"] {
        let answer = http::request(daemon.public, "GET", path, &[], "").await;
        assert_eq!(answer.status, 400, "{path}");
    }
}

async fn notify(admin: std::net::SocketAddr, body: &serde_json::Value) {
    let headers = [("Content-Type", "application/json")];
    let body = body.to_string();
    let answer = http::request(admin, "POST", "/admin/notifications/", &headers, &body).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.json()["success"], true);
}
