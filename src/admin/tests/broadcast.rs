//! The form.

use http::{StatusCode, header};
use serde_json::json;

use super::super::system_messages::label;
use super::{
    Answer, FORM, Hub, JSON, Rig, accepting, browsing, connection, get, person, post, user,
};
use crate::{
    hub::Delivery,
    presence::{Audience, Message, SystemMessage},
};

const PATH: &str = "/admin/broadcast/";
const BEN1: &str = "BEN1aaaaaaaaaaaa";

#[tokio::test]
async fn the_page_lists_every_connection_grouped_by_user() {
    for path in [PATH, "/admin/broadcast"] {
        let answer = Rig::peopled().get(path).await;
        assert_eq!(answer.status, StatusCode::OK);
        let page = answer.html();
        assert_eq!(answer.title(), "Send a message to users - CLA presence");
        assert!(page.contains("2 people, 3 connections."), "{page}");
        assert_eq!(page.matches("<tbody>").count(), 2);
        assert!(page.find("value=\"ben\"") < page.find("value=\"adam\""));
        for (name, value) in [
            ("username", "ben"),
            ("username", "adam"),
            ("socketID", BEN1),
            ("socketID", "BEN2aaaaaaaaaaaa"),
            ("socketID", "ADAMaaaaaaaaaaaa"),
        ] {
            let field = format!(r#"name="{name}" value="{value}">"#);
            assert_eq!(page.matches(&field).count(), 1, "{field} in {page}");
        }
    }
}

#[tokio::test]
async fn the_page_offers_every_message_and_both_buttons() {
    let answer = Rig::new().get(PATH).await;
    let page = answer.html();
    for message in SystemMessage::ALL {
        let option = format!(
            r#"<option value="{}">{}</option>"#,
            message.id(),
            label(message)
        );
        assert!(page.contains(&option), "{option} in {page}");
    }
    for name in ["selectedClients", "allClients"] {
        assert!(
            page.contains(&format!(r#"name="{name}" value="true">"#)),
            "{page}"
        );
    }
}

#[tokio::test]
async fn one_of_each_is_counted_in_the_singular() {
    let mut rig = Rig::new();
    rig.people = vec![person("ben", [(BEN1, None)])];
    assert!(
        rig.get(PATH)
            .await
            .html()
            .contains("1 person, 1 connection.")
    );
}

#[tokio::test]
async fn without_people_the_page_says_so() {
    let answer = Rig::new().get(PATH).await;
    let page = answer.html();
    assert!(page.contains("0 people, 0 connections."), "{page}");
    assert!(page.contains("Nobody has identified yet"), "{page}");
    assert!(!page.contains("<table"));
}

#[tokio::test]
async fn what_browsers_say_is_text_on_the_page_and_never_markup() {
    let evil = r#""><script>alert('x')</script>"#;
    let mut rig = Rig::new();
    rig.people = vec![person(evil, [(r#""><script>alert("#, Some(evil))])];
    let (_, connection) = &mut rig.people[0].connections[0];
    let identity = &mut connection.identity;
    identity.user_type = evil.try_into().unwrap();
    identity.app_version = evil.try_into().unwrap();
    let answer = rig.get(PATH).await;
    assert!(!answer.html().contains("<script>"), "{}", answer.body);
    assert!(!answer.html().contains("\"><script"), "{}", answer.body);
    assert!(
        answer.html().matches("&#60;script&#62;").count() >= 5,
        "{}",
        answer.body
    );
}

#[tokio::test]
async fn everyone_means_everyone() {
    for body in [
        "msg=1&allClients=true",
        "msg=1&allClients=true&socketID=BEN1aaaaaaaaaaaa&x=y",
    ] {
        let answer = Rig::peopled().post(PATH, FORM, body).await;
        assert_sent(&answer, Audience::Everyone);
        assert!(answer.html().contains("Sent to 3 connections."));
        assert!(answer.html().contains(r#"role="status""#));
        assert_eq!(
            answer.title(),
            "Sent to 3 connections - Send a message to users - CLA presence"
        );
    }
}

#[tokio::test]
async fn those_who_are_chosen_are_told_and_nobody_else() {
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
        assert_eq!(answer.status, StatusCode::OK);
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
        let answer = Rig::peopled().post(PATH, JSON, &body.to_string()).await;
        assert_sent(&answer, to);
        let answer = answer.json();
        assert_eq!(
            (&answer["success"], &answer["reached"], &answer["kept"]),
            (&json!(true), &json!(3), &json!(0))
        );
    }
}

#[tokio::test]
async fn a_program_hears_what_was_understood_and_what_was_ignored() {
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
        let answer = rig.post(PATH, JSON, &body.to_string()).await;
        let mut expected = expected;
        expected["success"] = json!(true);
        expected["reached"] = json!(reached);
        expected["kept"] = json!(0);
        assert_eq!(answer.json(), expected, "{body}");
    }
}

#[tokio::test]
async fn names_that_cannot_be_anybodys_are_left_out() {
    let long = "x".repeat(129);
    let body = format!(
        "msg=1&selectedClients=true&username=ben&username={long}&username=a%00b&socketID=short&socketID={BEN1}"
    );
    let answer = Rig::peopled().post(PATH, FORM, &body).await;
    assert_sent(&answer, chosen(&["ben"], &[BEN1]));
    let mut nobody = Rig::peopled();
    nobody.delivery = Delivery::default();
    let answer = nobody
        .post(PATH, FORM, "msg=1&selectedClients=true&socketID=short")
        .await;
    assert_sent(&answer, chosen(&[], &[]));
    assert_eq!(answer.status, StatusCode::OK);
}

#[tokio::test]
async fn how_many_were_reached_is_said_in_good_english() {
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
        let answer = rig.post(PATH, FORM, &format!("msg=1&{button}")).await;
        assert!(
            answer.html().contains(words),
            "{words:?} in {}",
            answer.body
        );
        assert_eq!(
            answer.title().starts_with("Nobody was reached"),
            reached + kept == 0
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
        let answer = Rig::peopled().post(PATH, FORM, body).await;
        assert_unclear(&answer, 403, "Choose a message from the list");
    }
    for body in [
        json!({"allClients": true}),
        json!({"msg": null}),
        json!({"msg": "__proto__"}),
    ] {
        let answer = Rig::peopled().post(PATH, JSON, &body.to_string()).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN);
        assert!(
            answer.body.contains("msg is missing or is not a message"),
            "{}",
            answer.body
        );
        assert!(answer.sent.is_empty());
    }
}

#[tokio::test]
async fn whatever_leaves_open_whom_to_tell_sends_nothing() {
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
        let answer = Rig::peopled().post(PATH, FORM, body).await;
        assert_unclear(&answer, 400, words);
    }
    for body in [
        json!({"msg": "1"}),
        json!({"msg": "1", "allClients": true, "selectedClients": true, "username": "ben"}),
        json!({"msg": "1", "selectedClients": true, "username": []}),
    ] {
        let answer = Rig::peopled().post(PATH, JSON, &body.to_string()).await;
        assert_eq!(
            (answer.status.as_u16(), &answer.json()["success"]),
            (400, &json!(false))
        );
        assert!(answer.sent.is_empty());
    }
}

#[tokio::test]
async fn ticks_survive_a_form_that_was_sent_in_vain_and_are_gone_after_success() {
    let body = "selectedClients=true&username=adam&socketID=BEN1aaaaaaaaaaaa";
    let answer = Rig::peopled().post(PATH, FORM, body).await;
    let page = answer.html();
    assert!(page.contains(r#"value="adam" checked>"#), "{page}");
    assert!(
        page.contains(r#"value="BEN1aaaaaaaaaaaa" checked>"#),
        "{page}"
    );
    assert_eq!(page.matches(" checked>").count(), 2);
    let answer = Rig::peopled()
        .post(PATH, FORM, &format!("msg=1&{body}"))
        .await;
    assert!(!answer.html().contains(" checked>"));
}

#[tokio::test]
async fn the_answer_is_in_the_format_that_the_caller_reads() {
    let form = || post(PATH, FORM, "msg=1&allClients=true");
    let json = || post(PATH, JSON, r#"{"msg":"1","allClients":true}"#);
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
        let answer = Rig::peopled().ask(request).await;
        assert_eq!(answer.header(header::CONTENT_TYPE), media_type);
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
        let answer = Rig::peopled().post(PATH, media_type, body).await;
        assert_eq!(
            answer.status,
            StatusCode::BAD_REQUEST,
            "{body}: {}",
            answer.body
        );
        assert_eq!(answer.json()["success"], false);
        assert!(answer.sent.is_empty());
    }
}

#[tokio::test]
async fn without_a_hub_the_page_says_so() {
    for request in [get(PATH), post(PATH, FORM, "msg=1&allClients=true")] {
        let rig = Rig {
            hub: Hub::Stopped,
            ..Rig::new()
        };
        let answer = rig.ask(browsing(request)).await;
        assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
        assert!(
            answer
                .html()
                .contains("Nobody can be reached at the moment: the hub has stopped.")
        );
    }
}

fn chosen(users: &[&str], connections: &[&str]) -> Audience {
    Audience::Chosen {
        users: users.iter().map(|name| user(name)).collect(),
        connections: connections.iter().map(|id| connection(id)).collect(),
    }
}

fn assert_sent(answer: &Answer, to: Audience) {
    let expected = vec![(to, Message::System(SystemMessage::OutOfDate))];
    assert_eq!(answer.sent, expected, "{}", answer.body);
}

fn assert_unclear(answer: &Answer, status: u16, remedy: &str) {
    assert_eq!(answer.status.as_u16(), status);
    assert!(answer.title().starts_with("Error: "), "{}", answer.title());
    let page = answer.html();
    assert!(page.contains(r#"role="alert""#), "{page}");
    assert!(page.contains("There is a problem"), "{page}");
    assert!(page.contains(remedy), "{remedy:?} in {page}");
    assert!(answer.sent.is_empty());
}
