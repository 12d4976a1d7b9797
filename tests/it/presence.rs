//! The lists and messages that browsers receive, over real sockets.

use std::time::Instant;

use serde_json::json;

use crate::support::{
    browser::Browser,
    daemon::settings,
    poller::Poller,
    protocol::{VERSIONS, Version, event_frame},
};

#[tokio::test]
async fn viewers_of_a_case_see_each_other_come_and_go() {
    for version in VERSIONS {
        let daemon = settings().start().await;
        let mut adam = Browser::identified(daemon.public, version, "adam").await;
        let mut eve = Browser::identified(daemon.public, version, "eve").await;

        adam.open_case("X").await;
        adam.until_viewing(&["adam"]).await;
        eve.open_case("X").await;
        eve.until_viewing(&["adam", "eve"]).await;
        adam.until_viewing(&["adam", "eve"]).await;
        eve.close_case("another case").await;
        adam.until_viewing(&["adam"]).await;
        eve.open_case("X").await;
        adam.until_viewing(&["adam", "eve"]).await;
        eve.open_case("Y").await;
        adam.until_viewing(&["adam"]).await;
        eve.until_viewing(&["eve"]).await;
        eve.open_case("X").await;
        adam.until_viewing(&["adam", "eve"]).await;
        eve.emit("identify", json!("joe")).await;
        adam.until_viewing(&["adam", "joe"]).await;
        eve.close().await;
        adam.until_viewing(&["adam"]).await;
    }
}

#[tokio::test]
async fn a_browser_that_left_a_case_receives_no_more_lists_of_it() {
    let daemon = settings().start().await;
    let mut adam = Browser::identified(daemon.public, Version::Three, "adam").await;
    let mut eve = Browser::identified(daemon.public, Version::Four, "eve").await;
    adam.open_case("X").await;
    adam.until_viewing(&["adam"]).await;
    adam.open_case("Y").await;
    adam.until_viewing(&["adam"]).await;
    eve.open_case("X").await;
    eve.until_viewing(&["eve"]).await;
    eve.open_case("Y").await;
    // The next event is about Y.
    let next = adam.event().await;
    assert_eq!(next, ("peopleViewing".to_owned(), json!(["adam", "eve"])));
}

#[tokio::test]
async fn names_of_cases_user_types_and_sockets_do_not_mix() {
    let daemon = settings().start().await;
    let mut adam = Browser::identified(daemon.public, Version::Four, "adam").await;
    let mut eve = Browser::connect(daemon.public, Version::Four).await;
    eve.emit(
        "identify",
        json!({"username": "eve", "usertype": adam.id, "appVersion": "1"}),
    )
    .await;
    for case in ["operator", adam.id.as_str()] {
        eve.open_case(case).await;
        eve.until_viewing(&["eve"]).await;
    }
    daemon
        .post(
            "/admin/notifications/",
            &json!({"notifications": "for operators", "usertype": "operator"}),
        )
        .await;
    daemon
        .post(
            "/admin/notifications/",
            &json!({"notifications": "for a socket id", "usertype": adam.id}),
        )
        .await;
    assert_eq!(
        adam.event().await,
        ("notification".to_owned(), json!("for operators"))
    );
    assert_eq!(
        eve.event().await,
        ("notification".to_owned(), json!("for a socket id"))
    );
    daemon.notify(json!("last")).await;
    assert_eq!(
        adam.event().await,
        ("notification".to_owned(), json!("last"))
    );
}

#[tokio::test]
async fn a_burst_on_a_case_with_long_lists_is_merged_and_ends_with_the_last_state() {
    let daemon = settings()
        .without_rate_limits()
        .env("CLA_PUBLIC__MERGE_INTERVAL_MS", 1)
        .start()
        .await;
    // Names of 128 bytes: a list for all viewers is more than two milliseconds of work.
    let names: Vec<_> = (0..50).map(|number| format!("{number:0128}")).collect();
    let mut viewers = Vec::new();
    for name in &names {
        let mut viewer = Browser::identified(daemon.public, Version::Four, name).await;
        viewer.open_case("X").await;
        viewers.push(viewer);
    }
    let mut adam = viewers.remove(0);
    let all: Vec<_> = names.iter().map(String::as_str).collect();
    adam.until_viewing(&all).await;
    let begun = Instant::now();
    let mut eve = Browser::identified(daemon.public, Version::Four, "eve").await;
    for _ in 0..100 {
        eve.open_case("X").await;
        eve.close_case("X").await;
    }
    eve.open_case("X").await;
    let mut ruth = Browser::identified(daemon.public, Version::Four, "ruth").await;
    ruth.open_case("X").await;
    let mut lists = 1;
    while adam.event().await.1.as_array().unwrap().len() < names.len() + 2 {
        lists += 1;
    }
    let allowed = begun.elapsed().as_millis() / 2 + 2;
    assert!(
        lists <= allowed.min(150),
        "{lists} lists where {allowed} were allowed"
    );
}

#[tokio::test]
async fn names_outside_ascii_arrive_unchanged() {
    let daemon = settings().start().await;
    let name = "Zoë Ω 😀 名前";
    let mut adam = Browser::identified(daemon.public, Version::Four, "adam").await;
    adam.open_case("é").await;

    for version in VERSIONS {
        let zoe = Poller::joined(daemon.public, version).await;
        // Clients 1.x encode a polling body twice.
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
        adam.open_case("X").await;
        let eve = Poller::on_case_x(daemon.public, version, "eve", &[]).await;
        eve.until("peopleViewing").await;
        adam.until_viewing(&["adam", "eve"]).await;
        // An answered poll ends nothing. The poll that waits when the tab closes ends the session.
        adam.open_case("X").await;
        eve.until("peopleViewing").await;
        adam.until_viewing(&["adam", "eve"]).await;
        drop(eve.held().await);
        adam.until_viewing(&["adam"]).await;
    }
}

/// Clients 2.5 and 4.x send events that were emitted offline before the page sends `identify`.
#[tokio::test]
async fn events_before_identify_wait_for_the_name() {
    let daemon = settings().start().await;
    for version in VERSIONS {
        let mut adam = daemon.browser(version).await;
        adam.open_case("Y").await;
        adam.close_case("Y").await;
        adam.open_case("X").await;
        adam.identify("adam").await;
        let list = ("peopleViewing".to_owned(), json!(["adam"]));
        assert_eq!(adam.event().await, list, "{version:?}");
        let people = daemon.people().await;
        let case = &people["adam"]["connections"][&adam.id]["caseViewed"];
        assert_eq!(case, "X", "{version:?}: {people}");
        adam.close().await;
        daemon.until_nobody().await;
    }
}

/// A page that opened another case while it was offline is not listed on the old case, and receives no list of the old case.
#[tokio::test]
async fn a_page_that_changed_its_case_offline_is_on_the_new_case() {
    let daemon = settings().start().await;
    for version in VERSIONS {
        let mut eve = Browser::identified(daemon.public, Version::Four, "eve").await;
        eve.open_case("X").await;
        eve.until_viewing(&["eve"]).await;
        let mut adam = Browser::identified(daemon.public, version, "adam").await;
        adam.open_case("X").await;
        eve.until_viewing(&["eve", "adam"]).await;
        adam.give_up().await;
        daemon.until_lost("adam").await;
        let mut back = daemon.browser(version).await;
        back.close_case("X").await;
        back.open_case("Y").await;
        back.identify("adam").await;
        let list = |names: &[&str]| ("peopleViewing".to_owned(), json!(names));
        assert_eq!(back.event().await, list(&["adam"]), "{version:?}, on Y");
        assert_eq!(eve.event().await, list(&["eve"]), "{version:?}, on X");
        back.close().await;
        eve.close().await;
        daemon.until_nobody().await;
    }
}

/// Clients 1.x and 2.x add a query to the namespace when the page has set `query`.
#[tokio::test]
async fn a_namespace_with_a_query_is_the_namespace() {
    let daemon = settings().start().await;
    for query in ["?token=x", "?a=1&b=%2C%C3%A9,", "?,"] {
        let connect = format!("40/socket.io{query}");
        let mut adam = Browser::open(daemon.public, Version::Three).await;
        adam.send("2").await;
        adam.send(&connect).await;
        let mut answers = [adam.frame().await, adam.frame().await];
        answers.sort();
        let [pong, joined] = answers;
        assert_eq!(pong, "3", "{query}");
        assert!(joined.starts_with("40/socket.io"), "{query}: {joined}");
        adam.identify("adam").await;
        adam.open_case("40/socket.io?X").await;
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
            "{query}: {people}"
        );
        eve.post(&["41/socket.io,"]).await;
        adam.close().await;
        daemon.until_nobody().await;
    }
}

/// A user with an unusual name or version is listed all the same.
#[tokio::test]
async fn unusual_forms_of_identify_are_listed() {
    let daemon = settings().start().await;
    for (payload, name, version) in [
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
        browser.emit("identify", payload.clone()).await;
        browser.open_case("X").await;
        browser.until_viewing(&[name]).await;
        let people = daemon.people().await;
        let connection = &people[name]["connections"][&browser.id];
        assert_eq!(connection["appVersion"], version, "{payload}: {people}");
        browser.close().await;
        daemon.until_nobody().await;
    }
}
