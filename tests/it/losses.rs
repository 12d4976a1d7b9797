//! Connections that are lost, over real sockets: nobody vanishes from a screen who is coming back.

use std::{net::SocketAddr, time::Duration};

use nix::sys::signal::Signal;
use serde_json::{Value, json};
use tokio::time::{Instant, timeout};

use crate::{
    daemon::{Daemon, PATIENCE, Settings, settings},
    http,
    wire::{Browser, Poller, VERSIONS, Version, event_frame},
};

/// Everything that a browser is told from the outside: the page it shows, and what nginx says of it.
type Headers<'a> = &'a [(&'static str, &'a str)];

#[tokio::test]
async fn whoever_is_lost_and_comes_back_is_never_missing() {
    for version in VERSIONS {
        for how in [Way::Cut, Way::GaveUp] {
            let daemon = settings().start().await;
            let mut adam = on_case(&daemon, version, "adam", &[]).await;
            let eve = on_case(&daemon, version, "eve", &[]).await;
            adam.until_viewing(&["adam", "eve"]).await;
            how.lose(eve).await;
            until_lost(&daemon, "eve").await;

            let mut eve = arrives(daemon.public, version, "eve", &[]).await;
            let list = ("peopleViewing".to_owned(), json!(["adam", "eve"]));
            assert_eq!(eve.hears().await, list, "{version:?} {how:?}");
            adam.hears_first("the end", &daemon).await;
            eve.hears_first("the end", &daemon).await;
        }
    }
}

#[tokio::test]
async fn whoever_says_goodbye_is_gone_at_once() {
    for version in VERSIONS {
        for how in [Goodbye::Page, Goodbye::Namespace] {
            let daemon = settings().start().await;
            let mut adam = on_case(&daemon, version, "adam", &[]).await;
            let mut eve = on_case(&daemon, version, "eve", &[]).await;
            adam.until_viewing(&["adam", "eve"]).await;
            match how {
                Goodbye::Page => eve.close().await,
                Goodbye::Namespace => eve.send("41/socket.io,").await,
            }
            adam.until_viewing(&["adam"]).await;
        }
    }
}

#[tokio::test]
async fn whoever_stays_away_is_gone_when_the_grace_is_over() {
    let daemon = settings().env("CLA_PRESENCE__GRACE_MS", 300).start().await;
    let mut adam = on_case(&daemon, Version::Four, "adam", &[]).await;
    let eve = on_case(&daemon, Version::Four, "eve", &[]).await;
    adam.until_viewing(&["adam", "eve"]).await;
    drop(eve);
    adam.until_viewing(&["adam"]).await;
}

/// A ghost stays no longer than interval, time-out and grace together.
#[tokio::test]
async fn a_line_that_goes_dead_is_noticed_within_the_bound() {
    for version in VERSIONS {
        let daemon = impatient().env("CLA_PRESENCE__GRACE_MS", 500).start().await;
        let mut adam = on_case(&daemon, Version::Four, "adam", &[]).await;
        let eve = on_case(&daemon, version, "eve", &[]).await;
        adam.until_viewing(&["adam", "eve"]).await;
        // The socket stays open, and nobody answers on it.
        adam.until_viewing(&["adam"]).await;
        drop(eve);
    }
}

#[tokio::test]
async fn a_page_takes_the_place_that_its_address_names() {
    let daemon = settings().start().await;
    let mut adam = on_case(&daemon, Version::Four, "adam", &[]).await;
    let mut tabs = Vec::new();
    for case in ["AB-1234-5678", "CD-1234-5678"] {
        let mut eve = arrives(daemon.public, Version::Three, "eve", &[]).await;
        eve.say("startViewingCase", json!(case)).await;
        eve.until_viewing(&["eve"]).await;
        tabs.push(eve);
    }
    tabs.clear();
    until_lost(&daemon, "eve").await;
    for (page, viewers) in [
        (
            "http://localhost/call_centre/CD-1234-5678/diagnosis/",
            Some("CD-1234-5678"),
        ),
        ("http://localhost/call_centre/EF-1234-5678/", None),
        (
            "http://localhost/call_centre/AB-1234-5678/",
            Some("AB-1234-5678"),
        ),
    ] {
        let mut eve = arrives(daemon.public, Version::Three, "eve", &[("Referer", page)]).await;
        match viewers {
            Some(case) => {
                eve.until_viewing(&["eve"]).await;
                adam.say("startViewingCase", json!(case)).await;
                adam.until_viewing(&["adam", "eve"]).await;
            }
            None => eve.hears_first("the end", &daemon).await,
        }
        tabs.push(eve);
    }
}

#[tokio::test]
async fn without_an_address_a_place_is_taken_only_if_there_is_no_other() {
    let daemon = settings().start().await;
    let mut tabs = Vec::new();
    for case in ["X", "Y"] {
        let mut eve = arrives(daemon.public, Version::Four, "eve", &[]).await;
        eve.say("startViewingCase", json!(case)).await;
        eve.until_viewing(&["eve"]).await;
        tabs.push(eve);
    }
    tabs.clear();
    until_lost(&daemon, "eve").await;
    let mut eve = arrives(daemon.public, Version::Four, "eve", &[]).await;
    eve.hears_first("the end", &daemon).await;
}

#[tokio::test]
async fn a_browser_is_known_by_the_address_that_nginx_gives() {
    let elsewhere: Headers = &[("X-Real-IP", "192.0.2.7")];
    let here: Headers = &[("X-Real-IP", "192.0.2.8")];
    // As a stranger whom nobody has to believe, every browser is at one address.
    for (proxies, back) in [("127.0.0.1", false), ("10.0.0.0/8", true)] {
        let daemon = settings()
            .env("CLA_PUBLIC__TRUSTED_PROXIES", proxies)
            .start()
            .await;
        let adam = on_case(&daemon, Version::Four, "adam", elsewhere).await;
        drop(adam);
        until_lost(&daemon, "adam").await;
        let mut adam = arrives(daemon.public, Version::Four, "adam", here).await;
        if back {
            adam.until_viewing(&["adam"]).await;
        }
        adam.hears_first("the end", &daemon).await;
    }
}

#[tokio::test]
async fn a_page_that_was_cut_off_is_on_its_case_before_anybody_has_noticed() {
    let daemon = settings().start().await;
    let page: Headers = &[("Referer", "http://localhost/call_centre/X/")];
    let mut adam = on_case(&daemon, Version::Four, "adam", &[]).await;
    let _dead = on_case(&daemon, Version::Four, "eve", page).await;
    adam.until_viewing(&["adam", "eve"]).await;
    let mut eve = arrives(daemon.public, Version::Four, "eve", page).await;
    eve.until_viewing(&["adam", "eve"]).await;
    adam.hears_first("the end", &daemon).await;
}

#[tokio::test]
async fn what_is_posted_while_somebody_is_away_reaches_them_once_and_in_order() {
    for version in VERSIONS {
        let daemon = settings().start().await;
        let eve = on_case(&daemon, version, "eve", &[]).await;
        drop(eve);
        until_lost(&daemon, "eve").await;
        for number in 1..=3 {
            let receipt = notify(&daemon, json!(number)).await;
            assert_eq!(
                (&receipt["reached"], &receipt["kept"]),
                (&json!(0), &json!(1))
            );
        }
        let answer = broadcast(&daemon).await;
        assert_eq!(
            (&answer["reached"], &answer["kept"]),
            (&json!(0), &json!(1))
        );

        let mut eve = arrives(daemon.public, version, "eve", &[]).await;
        eve.until_viewing(&["eve"]).await;
        for number in 1..=3 {
            assert_eq!(
                eve.hears().await,
                ("notification".to_owned(), json!(number))
            );
        }
        assert_eq!(eve.hears().await, ("systemMessage".to_owned(), json!("1")));
        eve.hears_first("the end", &daemon).await;
    }
}

#[tokio::test]
async fn what_was_said_to_a_dead_line_is_said_again() {
    let daemon = impatient().start().await;
    let dead = on_case(&daemon, Version::Four, "eve", &[]).await;
    notify(&daemon, json!(1)).await;
    until_lost(&daemon, "eve").await;
    let mut eve = arrives(daemon.public, Version::Four, "eve", &[]).await;
    eve.until_viewing(&["eve"]).await;
    assert_eq!(eve.hears().await, ("notification".to_owned(), json!(1)));
    drop(dead);
}

#[tokio::test]
async fn a_lost_place_can_be_ended_by_hand_and_one_that_is_there_cannot() {
    let daemon = settings().start().await;
    let mut adam = on_case(&daemon, Version::Four, "adam", &[]).await;
    let eve = on_case(&daemon, Version::Four, "eve", &[]).await;
    adam.until_viewing(&["adam", "eve"]).await;
    let id = eve.id.clone();
    assert_eq!(end_place(&daemon, &id).await["ended"], false);
    drop(eve);
    until_lost(&daemon, "eve").await;
    let page = daemon.get("/admin/broadcast/").await.body;
    assert!(
        page.contains(&format!(r#"name="place" value="{id}""#)),
        "{page}"
    );
    assert_eq!(end_place(&daemon, &id).await["ended"], true);
    adam.until_viewing(&["adam"]).await;
    assert_eq!(end_place(&daemon, &id).await["ended"], false);
}

#[tokio::test]
async fn a_session_that_polls_keeps_its_place_when_it_falls_silent() {
    for version in VERSIONS {
        let daemon = impatient().start().await;
        let eve = polls(&daemon, version, "eve").await;
        until_lost(&daemon, "eve").await;
        let mut back = arrives(daemon.public, version, "eve", &[("User-Agent", "eve")]).await;
        back.until_viewing(&["eve"]).await;
        drop(eve);
    }
}

#[tokio::test]
async fn a_session_that_polls_keeps_its_place_when_its_client_gives_up() {
    for version in VERSIONS {
        let daemon = settings().start().await;
        polls(&daemon, version, "eve").await.post(&["1"]).await;
        until_lost(&daemon, "eve").await;
    }
}

/// One closed tab leaves at once, as `presence.rs` shows.
#[tokio::test]
async fn polls_of_several_browsers_that_break_off_at_once_are_lost() {
    for version in VERSIONS {
        let daemon = settings().start().await;
        let mut people = Vec::new();
        for name in ["adam", "eve"] {
            people.push(polls(&daemon, version, name).await);
        }
        let mut held = Vec::new();
        for session in &people {
            held.push(session.held().await);
        }
        drop(held);
        until_lost(&daemon, "adam").await;
        until_lost(&daemon, "eve").await;
        let mut back = arrives(daemon.public, version, "adam", &[("User-Agent", "adam")]).await;
        back.until_viewing(&["adam", "eve"]).await;
    }
}

#[tokio::test]
async fn a_closed_tab_is_gone_at_once_while_an_attacker_breaks_off_polls() {
    for (attacker, from) in [
        ("another address", "203.0.113.1"),
        ("the same", "127.0.0.1"),
    ] {
        let daemon = settings().start().await;
        let mut adam = on_case(&daemon, Version::Four, "adam", &[]).await;
        let sid: Headers = &[("User-Agent", "sid"), ("X-Real-IP", from)];
        for _ in 0..3 {
            let session = polls_from(&daemon, Version::Four, "sid", sid).await;
            adam.until_viewing(&["adam", "sid"]).await;
            drop(session.held().await);
            adam.until_viewing(&["adam"]).await;
        }
        for _ in 0..5 {
            let eve = polls(&daemon, Version::Four, "eve").await;
            adam.until_viewing(&["adam", "eve"]).await;
            let session = polls_from(&daemon, Version::Four, "sid", sid).await;
            adam.until_viewing(&["adam", "eve", "sid"]).await;
            let (first, second) = (session.held().await, eve.held().await);
            let closed = Instant::now();
            drop(first);
            drop(second);
            adam.until_viewing(&["adam"]).await;
            let took = closed.elapsed();
            assert!(took < Duration::from_secs(5), "{took:?} beside {attacker}");
        }
    }
}

/// As nginx sees it that stops: browsers at several addresses, and nobody who is not hit.
#[tokio::test]
async fn two_browsers_at_different_addresses_that_break_off_at_once_are_cut_off() {
    let daemon = settings().start().await;
    let mut people = Vec::new();
    for (name, address) in [("adam", "192.0.2.1"), ("eve", "198.51.100.1")] {
        let headers: Headers = &[("User-Agent", name), ("X-Real-IP", address)];
        people.push(polls_from(&daemon, Version::Four, name, headers).await);
    }
    let held = [people[0].held().await, people[1].held().await];
    drop(held);
    // A tab that was closed would not be counted.
    daemon
        .until_shown("cla_socketserver_presence_total{event=\"lost\"} 2")
        .await;
    let headers: Headers = &[("User-Agent", "adam"), ("X-Real-IP", "192.0.2.1")];
    let mut back = arrives(daemon.public, Version::Four, "adam", headers).await;
    back.until_viewing(&["adam", "eve"]).await;
}

#[tokio::test]
async fn a_slow_reader_keeps_its_place() {
    let daemon = settings()
        .env("CLA_PUBLIC__MERGE_INTERVAL_MS", 0)
        .start()
        .await;
    let mut adam = on_case(&daemon, Version::Four, "adam", &[]).await;
    // It never polls, so that its queue runs over.
    let _eve = polls(&daemon, Version::Four, "eve").await;
    adam.until_viewing(&["adam", "eve"]).await;
    let lost = timeout(PATIENCE, async {
        while !is_lost(&daemon.people().await, "eve") {
            adam.say("startViewingCase", json!("X")).await;
            let (mut event, mut told) = adam.hears().await;
            while event != "peopleViewing" {
                (event, told) = adam.hears().await;
            }
            assert_eq!(told, json!(["adam", "eve"]));
            let receipt = notify(&daemon, json!("1")).await;
            let told = receipt["reached"].as_u64().zip(receipt["kept"].as_u64());
            assert_eq!(told.map(|(reached, kept)| reached + kept), Some(2));
        }
    });
    assert!(lost.await.is_ok());
}

#[tokio::test]
async fn a_daemon_that_was_stopped_for_a_while_finds_its_connections_as_they_are() {
    let daemon = settings().start().await;
    let mut adam = on_case(&daemon, Version::Four, "adam", &[]).await;
    let mut eve = on_case(&daemon, Version::Four, "eve", &[]).await;
    adam.until_viewing(&["adam", "eve"]).await;
    daemon.signal(Signal::SIGSTOP);
    // What comes meanwhile waits in its sockets.
    eve.say("stopViewingCase", json!("X")).await;
    daemon.signal(Signal::SIGCONT);
    adam.until_viewing(&["adam"]).await;
}

/// Ways to be lost.
#[derive(Clone, Copy, Debug)]
enum Way {
    /// The TCP connection ends without a close frame.
    Cut,
    /// The client has missed the heartbeat.
    GaveUp,
}

/// Ways to say goodbye.
#[derive(Clone, Copy, Debug)]
enum Goodbye {
    Page,
    Namespace,
}

impl Way {
    async fn lose(self, browser: Browser) {
        match self {
            Self::Cut => drop(browser),
            Self::GaveUp => browser.give_up().await,
        }
    }
}

impl Browser {
    /// Whatever was sent before would be heard first.
    async fn hears_first(&mut self, word: &str, daemon: &Daemon) {
        daemon
            .until_people(|people| people.to_string().contains(&self.id))
            .await;
        notify(daemon, json!(word)).await;
        let heard = self.hears().await;
        assert_eq!(heard, ("notification".to_owned(), json!(word)));
    }
}

/// A daemon that gives up soon on whoever is silent.
fn impatient() -> Settings {
    settings()
        .env("CLA_PUBLIC__PING_INTERVAL_MS", 500)
        .env("CLA_PUBLIC__PING_TIMEOUT_MS", 1500)
}

/// Connects and identifies, as every browser does every time.
async fn arrives(
    server: SocketAddr,
    version: Version,
    name: &str,
    headers: Headers<'_>,
) -> Browser {
    let mut browser = Browser::open_with(server, version, headers).await;
    browser.join().await;
    browser.identify(name).await;
    browser
}

/// Opens case X, too.
async fn on_case(daemon: &Daemon, version: Version, name: &str, headers: Headers<'_>) -> Browser {
    let mut browser = arrives(daemon.public, version, name, headers).await;
    browser.say("startViewingCase", json!("X")).await;
    loop {
        let (_, names) = browser.hears().await;
        if names.as_array().unwrap().contains(&json!(name)) {
            return browser;
        }
    }
}

async fn polls(daemon: &Daemon, version: Version, name: &str) -> Poller {
    polls_from(daemon, version, name, &[("User-Agent", name)]).await
}

async fn polls_from(daemon: &Daemon, version: Version, name: &str, headers: Headers<'_>) -> Poller {
    let session = Poller::open_with(daemon.public, version, headers).await;
    session.join().await;
    let identity = json!({"username": name, "usertype": "operator", "appVersion": "1.0"});
    session.post(&[&event_frame("identify", identity)]).await;
    session
        .post(&[&event_frame("startViewingCase", json!("X"))])
        .await;
    session
}

async fn until_lost(daemon: &Daemon, name: &str) {
    daemon.until_people(|people| is_lost(people, name)).await;
}

fn is_lost(people: &Value, name: &str) -> bool {
    let connections = people[name]["connections"].as_object();
    connections.is_some_and(|all| {
        all.values()
            .all(|connection| connection["lost"].is_object())
    })
}

async fn notify(daemon: &Daemon, word: Value) -> Value {
    post(
        daemon,
        "/admin/notifications/",
        &json!({ "notifications": word }),
    )
    .await
}

async fn broadcast(daemon: &Daemon) -> Value {
    let everyone = json!({"msg": "1", "allClients": true});
    post(daemon, "/admin/broadcast/", &everyone).await
}

async fn end_place(daemon: &Daemon, id: &str) -> Value {
    post(daemon, "/admin/places/end/", &json!({ "place": id })).await
}

async fn post(daemon: &Daemon, path: &str, body: &Value) -> Value {
    let headers = [("Content-Type", "application/json")];
    let answer = http::request(daemon.admin, "POST", path, &headers, &body.to_string()).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()
}
