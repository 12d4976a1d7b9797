//! What one connection says takes effect in the order in which it said it.

use futures_util::future::join_all;
use serde_json::json;

use crate::{
    daemon::settings,
    wire::{Browser, Poller, VERSIONS, event_frame},
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
            let session = Poller::joined(daemon.public, version).await;
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
            for answer in join_all(sessions.iter().map(|s| s.post(&frames))).await {
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
    let server = daemon.public;
    let arrivals = (0..200).map(|number| {
        tokio::spawn(async move {
            let name = format!("user{number}");
            let mut browser = Browser::identified(server, VERSIONS[number % 2], &name).await;
            browser.say("startViewingCase", json!("X")).await;
            while browser.hears().await.1.as_array().unwrap().len() < 200 {}
        })
    });
    for arrival in join_all(arrivals).await {
        arrival.expect("everybody should see everybody");
    }
}
