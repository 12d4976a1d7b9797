//! Lost connections over real sockets: a viewer who returns within the grace is never missing from a list.

mod polling;

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::support::{
    browser::{Browser, Headers},
    daemon::{Daemon, Settings, settings},
    protocol::{VERSIONS, Version},
};

#[tokio::test]
async fn a_viewer_who_is_lost_and_returns_is_never_missing() {
    for version in VERSIONS {
        for loss in [Loss::Cut, Loss::GaveUp] {
            let daemon = settings().start().await;
            let mut adam = daemon.browser_on_case(version, "adam", "X").await;
            let eve = daemon.browser_on_case(version, "eve", "X").await;
            adam.until_viewing(&["adam", "eve"]).await;
            loss.happen_to(eve).await;
            daemon.until_lost("eve").await;

            let mut eve = Browser::returning(daemon.public, version, "eve", &[]).await;
            let list = ("peopleViewing".to_owned(), json!(["adam", "eve"]));
            assert_eq!(eve.event().await, list, "{version:?}, {loss:?}");
            adam.has_no_earlier_event(&daemon).await;
            eve.has_no_earlier_event(&daemon).await;
        }
    }
}

#[tokio::test]
async fn a_clean_close_leaves_at_once() {
    for version in VERSIONS {
        for close in [CleanClose::Page, CleanClose::Namespace] {
            let daemon = settings().start().await;
            let mut adam = daemon.browser_on_case(version, "adam", "X").await;
            let mut eve = daemon.browser_on_case(version, "eve", "X").await;
            adam.until_viewing(&["adam", "eve"]).await;
            match close {
                CleanClose::Page => eve.close().await,
                CleanClose::Namespace => eve.send("41/socket.io,").await,
            }
            adam.until_viewing(&["adam"]).await;
        }
    }
}

#[tokio::test]
async fn a_lost_viewer_who_does_not_return_is_gone_after_the_grace() {
    let daemon = settings().env("CLA_PRESENCE__GRACE_MS", 300).start().await;
    let mut adam = daemon.browser_on_case(Version::Four, "adam", "X").await;
    let eve = daemon.browser_on_case(Version::Four, "eve", "X").await;
    adam.until_viewing(&["adam", "eve"]).await;
    drop(eve);
    adam.until_viewing(&["adam"]).await;
}

/// A dead connection is listed no longer than ping interval, ping time-out and grace together.
#[tokio::test]
async fn a_dead_connection_is_noticed_within_the_bound() {
    for version in VERSIONS {
        let daemon = short_heartbeat()
            .env("CLA_PRESENCE__GRACE_MS", 500)
            .start()
            .await;
        let mut adam = daemon.browser_on_case(Version::Four, "adam", "X").await;
        let eve = daemon.browser_on_case(version, "eve", "X").await;
        adam.until_viewing(&["adam", "eve"]).await;
        // The socket stays open, and the client answers no ping.
        adam.until_viewing(&["adam"]).await;
        drop(eve);
    }
}

#[tokio::test]
async fn a_page_resumes_the_place_that_its_referrer_names() {
    let daemon = settings().start().await;
    let mut adam = daemon.browser_on_case(Version::Four, "adam", "X").await;
    let mut tabs = Vec::new();
    for case in ["AB-1234-5678", "CD-1234-5678"] {
        let mut eve = Browser::returning(daemon.public, Version::Three, "eve", &[]).await;
        eve.open_case(case).await;
        eve.until_viewing(&["eve"]).await;
        tabs.push(eve);
    }
    tabs.clear();
    daemon.until_lost("eve").await;
    for (page, taken) in [
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
        let mut eve =
            Browser::returning(daemon.public, Version::Three, "eve", &[("Referer", page)]).await;
        match taken {
            Some(case) => {
                eve.until_viewing(&["eve"]).await;
                adam.open_case(case).await;
                adam.until_viewing(&["adam", "eve"]).await;
            }
            None => eve.has_no_earlier_event(&daemon).await,
        }
        tabs.push(eve);
    }
}

#[tokio::test]
async fn without_a_referrer_a_place_is_resumed_only_if_it_is_the_only_one() {
    let daemon = settings().start().await;
    let mut tabs = Vec::new();
    for case in ["X", "Y"] {
        let mut eve = Browser::returning(daemon.public, Version::Four, "eve", &[]).await;
        eve.open_case(case).await;
        eve.until_viewing(&["eve"]).await;
        tabs.push(eve);
    }
    tabs.clear();
    daemon.until_lost("eve").await;
    let mut eve = Browser::returning(daemon.public, Version::Four, "eve", &[]).await;
    eve.has_no_earlier_event(&daemon).await;
}

#[tokio::test]
async fn a_browser_is_recognised_by_the_address_that_nginx_sends() {
    let elsewhere: Headers = &[("X-Real-IP", "192.0.2.7")];
    let here: Headers = &[("X-Real-IP", "192.0.2.8")];
    // From a proxy that is not trusted, every browser has the address of the proxy.
    for (proxies, is_same_browser) in [("127.0.0.1", false), ("10.0.0.0/8", true)] {
        let daemon = settings()
            .env("CLA_PUBLIC__TRUSTED_PROXIES", proxies)
            .start()
            .await;
        let adam = daemon
            .browser_on_case_with(Version::Four, "adam", "X", elsewhere)
            .await;
        drop(adam);
        daemon.until_lost("adam").await;
        let mut adam = Browser::returning(daemon.public, Version::Four, "adam", here).await;
        if is_same_browser {
            adam.until_viewing(&["adam"]).await;
        }
        adam.has_no_earlier_event(&daemon).await;
    }
}

#[tokio::test]
async fn a_page_that_reconnects_before_its_loss_is_noticed_is_on_its_case() {
    let daemon = settings().start().await;
    let page: Headers = &[("Referer", "http://localhost/call_centre/X/")];
    let mut adam = daemon.browser_on_case(Version::Four, "adam", "X").await;
    let _dead = daemon
        .browser_on_case_with(Version::Four, "eve", "X", page)
        .await;
    adam.until_viewing(&["adam", "eve"]).await;
    let mut eve = Browser::returning(daemon.public, Version::Four, "eve", page).await;
    eve.until_viewing(&["adam", "eve"]).await;
    adam.has_no_earlier_event(&daemon).await;
}

#[tokio::test]
async fn messages_posted_while_a_user_is_away_arrive_once_and_in_order() {
    for version in VERSIONS {
        let daemon = settings().start().await;
        let eve = daemon.browser_on_case(version, "eve", "X").await;
        drop(eve);
        daemon.until_lost("eve").await;
        for number in 1..=3 {
            let receipt = daemon.notify(json!(number)).await;
            assert_eq!(told(&receipt), (0, 1), "{receipt}");
        }
        let everyone = json!({"msg": "1", "allClients": true});
        let receipt = daemon.post("/admin/broadcast/", &everyone).await;
        assert_eq!(told(&receipt), (0, 1), "{receipt}");

        let mut eve = Browser::returning(daemon.public, version, "eve", &[]).await;
        eve.until_viewing(&["eve"]).await;
        for number in 1..=3 {
            let expected = ("notification".to_owned(), json!(number));
            assert_eq!(eve.event().await, expected, "{version:?}");
        }
        let expected = ("systemMessage".to_owned(), json!("1"));
        assert_eq!(eve.event().await, expected, "{version:?}");
        eve.has_no_earlier_event(&daemon).await;
    }
}

#[tokio::test]
async fn messages_sent_over_a_dead_connection_are_sent_again() {
    let daemon = short_heartbeat().start().await;
    let dead = daemon.browser_on_case(Version::Four, "eve", "X").await;
    daemon.notify(json!(1)).await;
    daemon.until_lost("eve").await;
    let mut eve = Browser::returning(daemon.public, Version::Four, "eve", &[]).await;
    eve.until_viewing(&["eve"]).await;
    assert_eq!(eve.event().await, ("notification".to_owned(), json!(1)));
    drop(dead);
}

#[tokio::test]
async fn a_lost_place_can_be_ended_by_hand_and_a_connected_one_cannot() {
    let daemon = settings().start().await;
    let mut adam = daemon.browser_on_case(Version::Four, "adam", "X").await;
    let eve = daemon.browser_on_case(Version::Four, "eve", "X").await;
    adam.until_viewing(&["adam", "eve"]).await;
    let id = eve.id.clone();
    assert!(!end_place(&daemon, &id).await);
    drop(eve);
    daemon.until_lost("eve").await;
    let page = daemon.get("/admin/broadcast/").await.body;
    assert!(
        page.contains(&format!(r#"name="place" value="{id}""#)),
        "{page}"
    );
    assert!(end_place(&daemon, &id).await);
    adam.until_viewing(&["adam"]).await;
    assert!(!end_place(&daemon, &id).await);
}

#[tokio::test]
async fn a_daemon_that_was_suspended_keeps_its_connections() {
    let daemon = settings().start().await;
    let mut adam = daemon.browser_on_case(Version::Four, "adam", "X").await;
    let mut eve = daemon.browser_on_case(Version::Four, "eve", "X").await;
    adam.until_viewing(&["adam", "eve"]).await;
    daemon.signal(Signal::SIGSTOP);
    // Frames that arrive meanwhile wait in the socket.
    eve.close_case("X").await;
    daemon.signal(Signal::SIGCONT);
    adam.until_viewing(&["adam"]).await;
}

/// The ways in which a connection can be lost.
#[derive(Clone, Copy, Debug)]
enum Loss {
    /// The TCP connection ends without a close frame.
    Cut,
    /// The client closes after a missed heartbeat.
    GaveUp,
}

/// The ways to close a connection cleanly.
#[derive(Clone, Copy, Debug)]
enum CleanClose {
    /// The page is closed, left or reloaded.
    Page,
    /// The client leaves the namespace.
    Namespace,
}

impl Loss {
    async fn happen_to(self, browser: Browser) {
        match self {
            Self::Cut => drop(browser),
            Self::GaveUp => browser.give_up().await,
        }
    }
}

impl Browser {
    /// Asserts that the daemon has sent nothing more: the next event is a notification that is posted now.
    async fn has_no_earlier_event(&mut self, daemon: &Daemon) {
        daemon
            .until_people(|people| people.to_string().contains(&self.id))
            .await;
        daemon.notify(json!("the end")).await;
        let next = self.event().await;
        assert_eq!(next, ("notification".to_owned(), json!("the end")));
    }
}

/// A daemon whose heartbeat ends a silent connection after two seconds.
fn short_heartbeat() -> Settings {
    settings()
        .env("CLA_PUBLIC__PING_INTERVAL_MS", 500)
        .env("CLA_PUBLIC__PING_TIMEOUT_MS", 1500)
}

/// Asks for the end of a lost place and returns whether there was one.
async fn end_place(daemon: &Daemon, id: &str) -> bool {
    let answer = daemon
        .post("/admin/places/end/", &json!({ "place": id }))
        .await;
    answer["ended"].as_bool().unwrap()
}

/// The numbers of connections that a message reached, and of lost connections that it is kept for.
fn told(receipt: &Value) -> (u64, u64) {
    let number = |member: &str| receipt[member].as_u64().unwrap();
    (number("reached"), number("kept"))
}
