//! What one connection says takes effect in the order in which it said it.

use serde_json::json;

use crate::{
    daemon::settings,
    wire::{Browser, Poller, VERSIONS, Version, event_frame},
};

/// Rounds for each version; each is two frames in one packet on each of several connections at once.
const ROUNDS: usize = 150;
const CONNECTIONS: usize = 20;

#[tokio::test(flavor = "multi_thread")]
async fn two_frames_in_one_packet_leave_the_state_of_the_last() {
    for version in VERSIONS {
        let daemon = settings().env("CLA_LOG__LEVEL", "info").start().await;
        let mut sessions = Vec::new();
        for number in 0..CONNECTIONS {
            let session = Poller::open(daemon.public, version).await;
            session.post(&["40/socket.io,"]).await;
            session.until("40/socket.io").await;
            session
                .post(&[&event_frame("identify", json!(format!("user{number}")))])
                .await;
            sessions.push(session);
        }
        for round in 0..ROUNDS {
            let last = if round % 2 == 0 { "X" } else { "Y" };
            let first = if round % 2 == 0 { "Y" } else { "X" };
            let frames = [first, last].map(|case| event_frame("startViewingCase", json!(case)));
            let frames = frames.each_ref().map(String::as_str);
            for answer in
                futures_util::future::join_all(sessions.iter().map(|s| s.post(&frames))).await
            {
                assert_eq!(answer.status, 200);
            }
            let people = daemon.people().await;
            for (user, person) in people.as_object().unwrap() {
                for connection in person["connections"].as_object().unwrap().values() {
                    assert_eq!(connection["caseViewed"], last, "{user} in round {round}");
                }
            }
            assert_eq!(people.as_object().unwrap().len(), CONNECTIONS);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_follows_the_answer_to_connect_is_never_lost() {
    let daemon = settings().env("CLA_LOG__LEVEL", "info").start().await;
    let mut browsers = Vec::new();
    for number in 0..300 {
        let version = if number % 2 == 0 {
            Version::Three
        } else {
            Version::Four
        };
        let mut browser = Browser::connect(daemon.public, version).await;
        browser.identify(&format!("user{number}")).await;
        browser.say("startViewingCase", json!("X")).await;
        browsers.push(browser);
    }
    let everybody: Vec<_> = (0..300).map(|number| format!("user{number}")).collect();
    let everybody: Vec<_> = everybody.iter().map(String::as_str).collect();
    for browser in &mut browsers {
        browser.until_viewing(&everybody).await;
    }
}
