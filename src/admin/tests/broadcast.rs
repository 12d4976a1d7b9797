//! Posts to `/admin/broadcast/`: the audience, the answer, refusals.

use http::{StatusCode, header};
use serde_json::json;

use super::{
    Answer, BEN1, BROADCAST, FORM, JSON, Rig, accepting, assert_refused, connection, post, user,
};
use crate::{
    hub::Delivery,
    presence::{Audience, Message, SystemMessage},
};

#[tokio::test]
async fn a_message_to_everyone_ignores_the_choice() {
    for body in [
        "msg=1&allClients=true",
        "msg=1&allClients=true&socketID=BEN1aaaaaaaaaaaa&x=y",
    ] {
        let answer = Rig::peopled().post(BROADCAST, FORM, body).await;
        assert_sent(&answer, Audience::Everyone);
        for part in ["Sent to 3 connections.", r#"role="status""#] {
            assert!(answer.html().contains(part), "{body}: {part}");
        }
        let title = "Sent to 3 connections - Send a message to users - CLA presence";
        assert_eq!(answer.title(), title, "{body}");
    }
}

#[tokio::test]
async fn a_message_is_sent_to_the_chosen_users_and_connections_only() {
    let ben = || chosen(&["ben"], &[]);
    let both = || chosen(&["adam", "ben"], &[BEN1]);
    for (body, to) in [
        ("msg=1&selectedClients=true&username=ben", ben()),
        (
            "msg=1&selectedClients=true&socketID=BEN1aaaaaaaaaaaa",
            chosen(&[], &[BEN1]),
        ),
        (
            "username=ben&username=adam&socketID=BEN1aaaaaaaaaaaa&msg=1&selectedClients=true",
            both(),
        ),
        ("msg=1&selectedClients=true&username=ben&username=", ben()),
    ] {
        let answer = Rig::peopled().post("/admin/broadcast", FORM, body).await;
        assert_sent(&answer, to);
        assert_eq!(answer.status, StatusCode::OK, "{body}");
        answer.html();
    }
    for (body, to) in [
        (
            json!({"msg": "1", "selectedClients": true, "username": "ben"}),
            ben(),
        ),
        (
            json!({"msg": "1", "selectedClients": "true", "socketID": null, "username": ["ben"]}),
            ben(),
        ),
        (
            json!({"msg": "1", "selectedClients": true, "allClients": false, "username": ["ben", "adam"], "socketID": BEN1}),
            both(),
        ),
    ] {
        let answer = Rig::peopled()
            .post(BROADCAST, JSON, &body.to_string())
            .await;
        assert_sent(&answer, to);
        let answer = answer.json();
        assert_eq!(
            (&answer["success"], &answer["reached"], &answer["kept"]),
            (&json!(true), &json!(3), &json!(0)),
            "{body}"
        );
    }
}

#[tokio::test]
async fn the_json_answer_has_the_members_that_were_understood_and_ignored() {
    let nobody = "is connected or lost, so nobody gets this";
    for (body, reached, expected) in [
        (
            json!({"msg": "1", "allClients": true}),
            3,
            json!({"msg": "1", "allClients": true}),
        ),
        (
            json!({"msg": "1", "allClients": true, "selectedClients": false, "username": ["ben"], "foo": 1}),
            3,
            json!({"msg": "1", "allClients": true, "ignored": ["foo", "username"]}),
        ),
        (
            json!({"msg": "1", "selectedClients": true, "username": "ben", "socketId": [BEN1]}),
            3,
            json!({"msg": "1", "selectedClients": true, "username": ["ben"], "socketID": [], "ignored": ["socketId"]}),
        ),
        (
            json!({"msg": "1", "selectedClients": true, "username": ["a\u{7}"], "socketID": [BEN1, "short"]}),
            0,
            json!({"msg": "1", "selectedClients": true, "username": [], "socketID": [BEN1], "warnings": [format!("nobody who was chosen {nobody}")]}),
        ),
        (
            json!({"msg": "1", "allClients": true}),
            0,
            json!({"msg": "1", "allClients": true, "warnings": [format!("no browser {nobody}")]}),
        ),
    ] {
        let rig = Rig {
            delivery: Delivery { reached, kept: 0 },
            ..Rig::peopled()
        };
        let answer = rig.post(BROADCAST, JSON, &body.to_string()).await;
        let mut expected = expected;
        expected["success"] = json!(true);
        expected["reached"] = json!(reached);
        expected["kept"] = json!(0);
        assert_eq!(answer.json(), expected, "{body}");
    }
}

#[tokio::test]
async fn impossible_names_and_ids_are_ignored() {
    let long = "x".repeat(129);
    let body = format!(
        "msg=1&selectedClients=true&username=ben&username={long}&username=a%00b&socketID=short&socketID={BEN1}"
    );
    let answer = Rig::peopled().post(BROADCAST, FORM, &body).await;
    assert_sent(&answer, chosen(&["ben"], &[BEN1]));
    let mut nobody = Rig::peopled();
    nobody.delivery = Delivery::default();
    let answer = nobody
        .post(BROADCAST, FORM, "msg=1&selectedClients=true&socketID=short")
        .await;
    assert_sent(&answer, chosen(&[], &[]));
    assert_eq!(answer.status, StatusCode::OK);
}

#[tokio::test]
async fn the_page_counts_reached_and_lost_connections_in_good_english() {
    for (button, reached, kept, words) in [
        ("allClients=true", 1, 0, "Sent to 1 connection.<"),
        ("allClients=true", 2, 0, "Sent to 2 connections.<"),
        (
            "allClients=true",
            0,
            1,
            "Sent to 0 connections. Kept for 1 lost connection:",
        ),
        (
            "allClients=true",
            2,
            3,
            "Sent to 2 connections. Kept for 3 lost connections:",
        ),
        (
            "allClients=true",
            0,
            0,
            "No browser is connected at the moment.",
        ),
        (
            "selectedClients=true&username=ben",
            0,
            0,
            "The connections that you chose have ended.",
        ),
    ] {
        let rig = Rig {
            delivery: Delivery { reached, kept },
            ..Rig::peopled()
        };
        let answer = rig.post(BROADCAST, FORM, &format!("msg=1&{button}")).await;
        assert!(
            answer.html().contains(words),
            "{button}, {reached} reached, {kept} kept: {words:?} in {}",
            answer.body
        );
        assert_eq!(
            answer.title().starts_with("Nobody was reached"),
            reached + kept == 0,
            "{button}, {reached} reached, {kept} kept"
        );
    }
}

#[tokio::test]
async fn a_message_that_browsers_do_not_know_is_forbidden() {
    for body in [
        "allClients=true",
        "msg=&allClients=true",
        "msg=2&allClients=true",
        "msg=1+&allClients=true",
        "",
    ] {
        let answer = Rig::peopled().post(BROADCAST, FORM, body).await;
        assert_page_refuses(&answer, 403, "Choose a message from the list", body);
    }
    for body in [
        json!({"allClients": true}),
        json!({"msg": null}),
        json!({"msg": "__proto__"}),
    ] {
        let answer = Rig::peopled()
            .post(BROADCAST, JSON, &body.to_string())
            .await;
        let words = "msg is missing or is not a message";
        assert_refused(&answer, 403, words, &body);
    }
}

#[tokio::test]
async fn a_post_without_a_clear_audience_sends_nothing() {
    for (body, words) in [
        (
            "msg=1",
            "Press either “Send to selected” or “Send to everyone”",
        ),
        ("msg=1&username=ben", "Press either"),
        ("msg=1&allClients=false&username=ben", "Press either"),
        (
            "msg=1&allClients=true&selectedClients=true&username=ben",
            "Press either",
        ),
        (
            "msg=1&selectedClients=true",
            "Tick at least one user or connection",
        ),
        (
            "msg=1&selectedClients=true&username=&socketID=",
            "Tick at least one",
        ),
    ] {
        let answer = Rig::peopled().post(BROADCAST, FORM, body).await;
        assert_page_refuses(&answer, 400, words, body);
    }
    for body in [
        json!({"msg": "1"}),
        json!({"msg": "1", "allClients": true, "selectedClients": true, "username": "ben"}),
        json!({"msg": "1", "selectedClients": true, "username": []}),
    ] {
        let answer = Rig::peopled()
            .post(BROADCAST, JSON, &body.to_string())
            .await;
        assert_refused(&answer, 400, "", body);
    }
}

#[tokio::test]
async fn the_answer_is_in_the_format_that_the_caller_reads() {
    let form = || post(BROADCAST, FORM, "msg=1&allClients=true");
    let json = || post(BROADCAST, JSON, r#"{"msg":"1","allClients":true}"#);
    for (request, media_type) in [
        (form(), "text/html; charset=utf-8"),
        (accepting("*/*", form()), "text/html; charset=utf-8"),
        (accepting("application/json", form()), JSON),
        (json(), JSON),
        (accepting("*/*", json()), JSON),
        (
            accepting("Text/HTML;q=0.9, application/json", json()),
            "text/html; charset=utf-8",
        ),
    ] {
        let header = |name| request.headers().get(name).cloned();
        let (sent_as, accepted) = (header(header::CONTENT_TYPE), header(header::ACCEPT));
        let answer = Rig::peopled().ask(request).await;
        let answered = answer.header(header::CONTENT_TYPE);
        assert_eq!(answered, media_type, "{sent_as:?} accepting {accepted:?}");
        assert_sent(&answer, Audience::Everyone);
    }
}

#[tokio::test]
async fn broken_bodies_are_refused_before_anything_is_sent() {
    let deep = format!(
        r#"{{"msg":"1","allClients":true,"username":{}1"#,
        "[".repeat(3000)
    );
    for (media_type, body) in [
        (JSON, "{"),
        (JSON, r#"["1",null,null,true,true]"#),
        (JSON, r#"{"msg":1,"allClients":true}"#),
        (JSON, r#"{"msg":"1","allClients":1}"#),
        (JSON, r#"{"msg":"1","selectedClients":true,"username":[1]}"#),
        (JSON, r#"{"msg":"1","allClients":true,"socketID":{}}"#),
        (JSON, &deep),
        (FORM, "msg=1&msg=1&allClients=true"),
        (FORM, "msg=1&allClients=true&allClients=true"),
    ] {
        let answer = Rig::peopled().post(BROADCAST, media_type, body).await;
        assert_refused(&answer, 400, "", body);
    }
}

fn chosen(users: &[&str], connections: &[&str]) -> Audience {
    Audience::Chosen {
        users: users.iter().map(|name| user(name)).collect(),
        connections: connections.iter().map(|id| connection(id)).collect(),
    }
}

/// Asserts that message 1 was sent to this audience, and nothing else.
fn assert_sent(answer: &Answer, to: Audience) {
    let expected = vec![(to, Message::System(SystemMessage::OutOfDate))];
    assert_eq!(answer.sent, expected, "{}", answer.body);
}

/// Asserts that the answer to a form is a page with an alert and this remedy, and that nothing was sent.
fn assert_page_refuses(answer: &Answer, status: u16, remedy: &str, form: &str) {
    assert_eq!(answer.status.as_u16(), status, "{form}");
    let title = answer.title();
    assert!(title.starts_with("Error: "), "{form}: {title}");
    let page = answer.html();
    for part in [r#"role="alert""#, "There is a problem", remedy] {
        assert!(page.contains(part), "{form}: {part:?} in {page}");
    }
    assert!(answer.sent.is_empty(), "{form}");
}
