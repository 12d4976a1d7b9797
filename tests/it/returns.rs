//! Pages that come back to their case and say nothing but `identify`, over real sockets.

use std::{fs, net::SocketAddr, time::Duration};

use nix::sys::signal::Signal::{SIGCONT, SIGSTOP};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::support::{
    browser::Browser,
    daemon::{Daemon, Settings, settings},
    places::{file, in_memory, keeping_in},
    protocol::{VERSIONS, Version},
};

const CASE: &str = "AB-1234-5678";

/// The time within which a page is back on its case after it has identified.
const BACK: Duration = Duration::from_secs(5);

/// Longer than a page is waited for.
const SILENCE: Duration = Duration::from_secs(2);

#[tokio::test]
async fn a_silent_page_is_on_its_case_again_on_a_new_machine() {
    for version in VERSIONS {
        let daemon = settings().start().await;
        let began = Instant::now();
        let mut eve = page(daemon.public, version, "eve", &on("call_centre", CASE)).await;
        eve.until_viewing(&["eve"]).await;
        let took = began.elapsed();
        assert!(took > Duration::from_millis(1400), "after {took:?}");
        assert!(took < BACK, "{version:?}: after {took:?}");
        let people = daemon.people().await;
        let connection = &people["eve"]["connections"][&eve.id];
        assert_eq!(connection["caseViewed"], CASE, "{version:?}");
        assert_eq!(connection["entry"], "after_start", "{version:?}");
        let counted = r#"cla_socketserver_entry_total{way="after_start"} 1"#;
        daemon.until_shown(counted).await;
        let html = daemon.get("/admin/broadcast/").await.body;
        assert!(html.contains("put back after a start"), "{html}");
    }
}

#[tokio::test]
async fn a_page_that_says_its_case_in_time_is_on_the_case_that_it_says() {
    let daemon = settings().start().await;
    let mut eve = page(daemon.public, Version::Three, "eve", &on("provider", CASE)).await;
    sleep(Duration::from_secs(1)).await;
    eve.open_case("CD-1234-5678").await;
    eve.until_viewing(&["eve"]).await;
    sleep(SILENCE).await;
    assert_eq!(cases(&daemon.people().await), ["CD-1234-5678"]);
}

#[tokio::test]
async fn a_thousand_pages_without_a_case_are_on_none_on_a_new_machine() {
    let long = "x".repeat(600);
    let longest = "x".repeat(8000);
    let pages = [
        "http://localhost/".to_owned(),
        "http://localhost".to_owned(),
        "http://localhost/call_centre/".to_owned(),
        format!("http://localhost/call_centre/?case={CASE}"),
        format!("http://localhost/call_centre/#/{CASE}/"),
        format!("http://localhost/historic/{CASE}/"),
        format!("http://localhost/x/call_centre/{CASE}/"),
        format!("http://localhost/call_centre/{CASE}0/"),
        format!("http://localhost/call_centre/{}/", CASE.to_lowercase()),
        format!("http://localhost/call_centre/{}/", CASE.replace('-', "%2D")),
        format!("http://localhost/call_centre%2F{CASE}/"),
        format!("http://localhost/call_centre/{CASE}%00/"),
        format!("http://localhost/call_centre/{CASE}/{long}"),
        format!("http://localhost/call_centre/{CASE}/{longest}"),
        format!("http://localhost/call_centre/{long}/{CASE}/"),
        format!("https://evil.example/call_centre/{CASE}/"),
        format!("https://localhost.evil.example/call_centre/{CASE}/"),
        format!("https://localhost@evil.example/call_centre/{CASE}/"),
        format!("/call_centre/{CASE}/"),
        "no address".to_owned(),
    ];
    nobody_is_put_back(&unlimited().start().await, &pages, None).await;
}

/// Errors, forbidden cases and lists may have the address of a case. Without evidence nobody is put on it.
#[tokio::test]
async fn a_thousand_pages_at_addresses_of_cases_are_on_none_without_evidence() {
    let daemon = unlimited()
        .env("CLA_PRESENCE__RESTART_GRACE_MS", 1)
        .start()
        .await;
    // Another user is on the case.
    let _adam = daemon.browser_on_case(Version::Four, "adam", CASE).await;
    let pages = [
        format!("http://localhost/call_centre/{CASE}/"),
        format!("https://chs.example/call_centre/{CASE}/diagnosis/"),
        format!("https://CHS.example/provider/{CASE}"),
        format!("http://localhost/call_centre/{CASE}/?error=403"),
    ];
    nobody_is_put_back(&daemon, &pages, Some("adam")).await;
}

#[tokio::test]
async fn a_silent_page_is_on_its_case_again_after_an_absence_and_others_are_told_once() {
    for version in VERSIONS {
        let daemon = absent_after(200).start().await;
        let mut adam = daemon.browser_on_case(version, "adam", CASE).await;
        let eve = daemon.browser_on_case(version, "eve", CASE).await;
        adam.until_viewing(&["adam", "eve"]).await;
        eve.give_up().await;
        adam.until_viewing(&["adam"]).await;
        // Another browser, from another address.
        let referrer = on("call_centre", CASE);
        let headers = [
            ("Referer", referrer.as_str()),
            ("User-Agent", "another"),
            ("X-Real-IP", "2001:db8::7"),
        ];
        let mut eve = Browser::returning(daemon.public, version, "eve", &headers).await;
        eve.until_viewing(&["adam", "eve"]).await;
        let list = ("peopleViewing".to_owned(), json!(["adam", "eve"]));
        assert_eq!(adam.event().await, list, "{version:?}");
        adam.has_no_earlier_event(&daemon).await;
        let counted = r#"cla_socketserver_entry_total{way="after_absence"} 1"#;
        daemon.until_shown(counted).await;
    }
}

#[tokio::test]
async fn who_has_left_the_case_is_not_on_it_again() {
    for how in ["closes the page", "stops", "is ended by hand"] {
        let daemon = settings()
            .env("CLA_PRESENCE__RESTART_GRACE_MS", 1)
            .start()
            .await;
        let mut eve = daemon.browser_on_case(Version::Four, "eve", CASE).await;
        match how {
            "closes the page" => eve.close().await,
            "stops" => {
                eve.close_case(CASE).await;
                eve.give_up().await;
                daemon.until_lost("eve").await;
            }
            _ => {
                let id = eve.id.clone();
                eve.give_up().await;
                daemon.until_lost("eve").await;
                let end = json!({ "place": id });
                daemon.post("/admin/places/end/", &end).await;
            }
        }
        let referrer = on("call_centre", CASE);
        let _eve = page(daemon.public, Version::Four, "eve", &referrer).await;
        sleep(SILENCE).await;
        assert_eq!(cases(&daemon.people().await), [""; 0], "who {how}");
    }
}

#[tokio::test]
async fn an_absence_is_remembered_over_a_long_stop() {
    let dir = in_memory();
    let keeping = || keeping_in(dir.path()).env("CLA_PRESENCE__RESTART_GRACE_MS", 500);
    let mut daemon = keeping().start().await;
    let _eve = daemon.browser_on_case(Version::Four, "eve", CASE).await;
    daemon.stop().await;
    sleep(Duration::from_millis(700)).await;
    let daemon = keeping().start().await;
    assert_eq!(daemon.people().await, json!({}), "too old to be a place");
    sleep(Duration::from_millis(700)).await;
    let referrer = on("call_centre", CASE);
    let mut eve = page(daemon.public, Version::Four, "eve", &referrer).await;
    eve.until_viewing(&["eve"]).await;
    let people = daemon.people().await;
    let connection = &people["eve"]["connections"][&eve.id];
    assert_eq!(connection["entry"], "after_absence", "{people}");
    let text = fs::read_to_string(file(dir.path())).unwrap();
    assert!(text.contains(r#""absences":[{"id":"#), "{text}");
}

#[tokio::test]
async fn a_page_that_went_on_while_it_was_cut_off_is_on_its_new_case() {
    let daemon = settings()
        .env("CLA_PRESENCE__RESTART_GRACE_MS", 1)
        .env("CLA_PUBLIC__PING_INTERVAL_MS", 1000)
        .env("CLA_PUBLIC__PING_TIMEOUT_MS", 1500)
        .start()
        .await;
    // Its connection stays open, and nothing is read from it any more.
    let old = daemon.browser_on_case(Version::Four, "eve", CASE).await;
    let referrer = on("call_centre", "CD-1234-5678");
    let mut eve = page(daemon.public, Version::Four, "eve", &referrer).await;
    eve.until_viewing(&["eve"]).await;
    let people = daemon.people().await;
    let connections = &people["eve"]["connections"];
    assert_eq!(connections[&eve.id]["entry"], "after_dead_line", "{people}");
    assert!(connections[&old.id]["lost"].is_object(), "{people}");
}

#[tokio::test]
async fn a_daemon_that_did_not_run_hears_those_at_its_door_before_their_places_lapse() {
    let daemon = absent_after(3000).start().await;
    let mut adam = daemon.browser_on_case(Version::Four, "adam", CASE).await;
    let eve = daemon.browser_on_case(Version::Four, "eve", CASE).await;
    adam.until_viewing(&["adam", "eve"]).await;
    eve.give_up().await;
    daemon.until_lost("eve").await;
    daemon.signal(SIGSTOP);
    let public = daemon.public;
    let waiting =
        tokio::spawn(async move { Browser::returning(public, Version::Four, "eve", &[]).await });
    sleep(Duration::from_millis(5500)).await;
    daemon.signal(SIGCONT);
    let mut eve = waiting.await.unwrap();
    eve.until_viewing(&["adam", "eve"]).await;
    adam.has_no_earlier_event(&daemon).await;
}

/// A daemon whose lost places lapse soon, and which does not take every page for one that returns after a start.
fn absent_after(grace_ms: u64) -> Settings {
    settings()
        .env("CLA_PRESENCE__GRACE_MS", grace_ms)
        .env("CLA_PRESENCE__RESTART_GRACE_MS", 1)
}

fn unlimited() -> Settings {
    settings()
        .files(4096, 4096)
        .env("CLA_LIMITS__SESSIONS", 3000)
}

/// A thousand users connect from these pages and say nothing else. None of them comes onto a case.
async fn nobody_is_put_back(daemon: &Daemon, pages: &[String], on_the_case: Option<&str>) {
    let mut browsers = Vec::new();
    for (number, referrer) in (0..1000).zip(pages.iter().cycle()) {
        let name = format!("user{number}");
        browsers.push(page(daemon.public, Version::Four, &name, referrer).await);
    }
    sleep(SILENCE).await;
    let people = daemon.people().await;
    let count = people.as_object().unwrap().len();
    assert_eq!(count, 1000 + usize::from(on_the_case.is_some()));
    let expected: Vec<_> = on_the_case.map(|_| CASE).into_iter().collect();
    assert_eq!(cases(&people), expected);
}

/// A page that connects and identifies.
async fn page(server: SocketAddr, version: Version, name: &str, referrer: &str) -> Browser {
    Browser::returning(server, version, name, &[("Referer", referrer)]).await
}

fn on(part: &str, case: &str) -> String {
    format!("https://chs.example/{part}/{case}/diagnosis/")
}

/// The cases of all connections that are on one.
fn cases(people: &Value) -> Vec<&str> {
    let people = people.as_object().unwrap().values();
    let connections = people.flat_map(|person| person["connections"].as_object().unwrap().values());
    connections
        .filter_map(|connection| connection["caseViewed"].as_str())
        .collect()
}
