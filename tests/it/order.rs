//! What one connection says takes effect in the order in which it said it.

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::{
    daemon::{Daemon, Settings, settings},
    wire::{Browser, Poller, VERSIONS, event_frame},
};

/// Rounds for each version; each is two frames in one packet on each of several connections at once.
const ROUNDS: usize = 150;
const CONNECTIONS: usize = 20;

#[tokio::test(flavor = "multi_thread")]
async fn two_frames_in_one_packet_leave_the_state_of_the_last() {
    for version in VERSIONS {
        let daemon = settings()
            .hasty()
            .env("CLA_LOG__LEVEL", "info")
            // Nobody polls, so few lists may wait, however long the test takes.
            .env("CLA_PUBLIC__MERGE_INTERVAL_MS", 10_000)
            // These sessions never send a heartbeat.
            .env("CLA_PUBLIC__PING_TIMEOUT_MS", 3_600_000)
            .start()
            .await;
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
async fn two_frames_in_one_write_leave_the_state_of_the_last() {
    let daemon = settings()
        .hasty()
        .env("CLA_LOG__LEVEL", "info")
        .start()
        .await;
    let mut browsers = Vec::new();
    for number in 0..CONNECTIONS {
        let version = VERSIONS[number % 2];
        let browser = Browser::identified(daemon.public, version, &format!("user{number}")).await;
        browsers.push(browser);
    }
    for round in 0..ROUNDS {
        // Everybody ends where nobody else has been, so the answer shows what came last.
        let meeting = event_frame("startViewingCase", json!(format!("meeting {round}")));
        let gone = event_frame("stopViewingCase", json!("whatever"));
        let alone = browsers
            .iter_mut()
            .enumerate()
            .map(async |(number, browser)| {
                let nook = event_frame("startViewingCase", json!(format!("{number} in {round}")));
                browser.send_together(&[&meeting, &gone, &nook]).await;
            });
        join_all(alone).await;
        let expected: Vec<_> = (0..CONNECTIONS)
            .map(|n| format!("{n} in {round}"))
            .collect();
        daemon
            .until_people(|people| viewed(people) == expected)
            .await;
    }
}

/// Who closes the tab while it is still connecting must not stay on the screens of others.
#[tokio::test(flavor = "multi_thread")]
async fn whoever_leaves_while_still_arriving_leaves_nothing_behind() {
    let daemon = without_grace().start().await;
    let server = daemon.public;
    let identify = event_frame("identify", json!("hasty"));
    let start = event_frame("startViewingCase", json!("X"));
    for _ in 0..10 {
        let visits = (0..40).map(|number| {
            let frames = [identify.clone(), start.clone()];
            tokio::spawn(async move {
                let mut hasty = Browser::open(server, VERSIONS[number % 2]).await;
                hasty.join().await;
                hasty.send_together(&[&frames[0], &frames[1]]).await;
                if number % 3 == 0 {
                    hasty.close().await;
                }
            })
        });
        for visit in join_all(visits).await {
            visit.unwrap();
        }
    }
    nobody_is_left(&daemon).await;
}

/// A close packet overtakes a body that is still being decoded.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_still_being_read_when_a_session_ends_puts_nobody_on_the_screen() {
    let daemon = without_grace().start().await;
    let many = vec![event_frame("identify", json!("hasty")); 200];
    let many: Vec<_> = many.iter().map(String::as_str).collect();
    for round in 0..100 {
        let session = Poller::joined(daemon.public, VERSIONS[round % 2]).await;
        join_all([session.post(&many), session.post(&["1"])]).await;
    }
    nobody_is_left(&daemon).await;
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

/// The case of each connection, by the number in the name of its user.
fn viewed(people: &Value) -> Vec<&str> {
    let people = people.as_object().unwrap();
    let case = |number| {
        let connections = people[&format!("user{number}")]["connections"].as_object();
        let connection = connections.unwrap().values().next().unwrap();
        connection["caseViewed"].as_str().unwrap_or_default()
    };
    (0..CONNECTIONS).map(case).collect()
}

/// A lost connection is gone at once, so whoever stays is a ghost.
fn without_grace() -> Settings {
    settings()
        .env("CLA_LOG__LEVEL", "info")
        .env("CLA_PRESENCE__GRACE_MS", 0)
}

async fn nobody_is_left(daemon: &Daemon) {
    daemon.until_people(|people| *people == json!({})).await;
}
