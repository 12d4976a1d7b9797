//! Events of one connection take effect in the order in which they were sent.

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::support::{
    browser::Browser,
    daemon::{Settings, settings},
    poller::Poller,
    protocol::{VERSIONS, event_frame},
};

/// The number of rounds. In a round each connection sends two frames at once.
const ROUNDS: usize = 150;
/// The number of connections that send at the same time.
const CONNECTIONS: usize = 20;

#[tokio::test(flavor = "multi_thread")]
async fn two_frames_in_one_packet_leave_the_state_of_the_last() {
    for version in VERSIONS {
        let daemon = settings()
            .without_rate_limits()
            .env("CLA_LOG__LEVEL", "info")
            // These sessions send no heartbeat.
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
                assert_eq!(
                    answer.status, 200,
                    "{version:?} in round {round}: {answer:?}"
                );
            }
            // Otherwise lists would pile up.
            join_all(sessions.iter().map(Poller::poll)).await;
            let people = daemon.people().await;
            for (user, person) in people.as_object().unwrap() {
                for connection in person["connections"].as_object().unwrap().values() {
                    assert_eq!(
                        connection["caseViewed"], last,
                        "{user} in round {round}, {version:?}"
                    );
                }
            }
            let count = people.as_object().unwrap().len();
            assert_eq!(count, CONNECTIONS, "{version:?} in round {round}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_frames_in_one_write_leave_the_state_of_the_last() {
    let daemon = settings()
        .without_rate_limits()
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
        // The last case of each connection is its own, so the people map shows which event came last.
        let meeting = event_frame("startViewingCase", json!(format!("meeting {round}")));
        let left = event_frame("stopViewingCase", json!("whatever"));
        let alone = browsers
            .iter_mut()
            .enumerate()
            .map(async |(number, browser)| {
                let own = event_frame("startViewingCase", json!(format!("{number} in {round}")));
                browser.send_together(&[&meeting, &left, &own]).await;
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

/// A tab that is closed while it connects must not stay listed.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_leaves_while_it_arrives_leaves_no_place() {
    let daemon = without_grace().start().await;
    let server = daemon.public;
    let identify = event_frame("identify", json!("hasty"));
    let start = event_frame("startViewingCase", json!("X"));
    for _ in 0..10 {
        let clients = (0..40).map(|number| {
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
        for client in join_all(clients).await {
            client.unwrap();
        }
    }
    daemon.until_nobody().await;
}

/// A close packet can overtake a body that is still being decoded.
#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_decoded_after_the_end_of_its_session_has_no_effect() {
    let daemon = without_grace().start().await;
    let many = vec![event_frame("identify", json!("hasty")); 200];
    let many: Vec<_> = many.iter().map(String::as_str).collect();
    for round in 0..100 {
        let session = Poller::joined(daemon.public, VERSIONS[round % 2]).await;
        join_all([session.post(&many), session.post(&["1"])]).await;
    }
    daemon.until_nobody().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn events_after_the_answer_to_connect_are_never_lost() {
    let daemon = settings().env("CLA_LOG__LEVEL", "info").start().await;
    let server = daemon.public;
    let clients = (0..200).map(|number| {
        tokio::spawn(async move {
            let name = format!("user{number}");
            let mut browser = Browser::identified(server, VERSIONS[number % 2], &name).await;
            browser.open_case("X").await;
            while browser.event().await.1.as_array().unwrap().len() < 200 {}
        })
    });
    for client in join_all(clients).await {
        client.expect("every list should have every user");
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

/// A daemon without grace: a lost connection leaves at once, so a name that stays listed is a mistake.
fn without_grace() -> Settings {
    settings()
        .env("CLA_LOG__LEVEL", "info")
        .env("CLA_PRESENCE__GRACE_MS", 0)
}
