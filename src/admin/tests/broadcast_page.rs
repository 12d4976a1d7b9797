//! The page `/admin/broadcast/`: people, messages, buttons, ticks.

use http::StatusCode;

use super::super::system_messages::label;
use super::{BEN1, BROADCAST, FORM, Hub, Rig, browsing, get, person, post};
use crate::presence::SystemMessage;

#[tokio::test]
async fn the_page_lists_every_connection_grouped_by_user() {
    for path in [BROADCAST, "/admin/broadcast"] {
        let answer = Rig::peopled().get(path).await;
        assert_eq!(answer.status, StatusCode::OK, "{path}");
        let page = answer.html();
        let title = "Send a message to users - CLA presence";
        assert_eq!(answer.title(), title, "{path}");
        assert!(page.contains("2 people, 3 connections."), "{page}");
        assert_eq!(page.matches("<tbody>").count(), 2, "{path}");
        let is_in_order = page.find("value=\"ben\"") < page.find("value=\"adam\"");
        assert!(is_in_order, "{path}: {page}");
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
    let answer = Rig::new().get(BROADCAST).await;
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
async fn one_person_and_one_connection_are_counted_in_the_singular() {
    let mut rig = Rig::new();
    rig.people = vec![person("ben", [(BEN1, None)])];
    assert!(
        rig.get(BROADCAST)
            .await
            .html()
            .contains("1 person, 1 connection.")
    );
}

#[tokio::test]
async fn without_people_the_page_says_that_nobody_has_identified() {
    let answer = Rig::new().get(BROADCAST).await;
    let page = answer.html();
    assert!(page.contains("0 people, 0 connections."), "{page}");
    assert!(page.contains("Nobody has identified yet"), "{page}");
    assert!(!page.contains("<table"));
}

#[tokio::test]
async fn text_from_browsers_is_never_markup_on_the_page() {
    let evil = r#""><script>alert('x')</script>"#;
    let mut rig = Rig::new();
    rig.people = vec![person(evil, [(r#""><script>alert("#, Some(evil))])];
    let (_, connection) = &mut rig.people[0].connections[0];
    let identity = &mut connection.identity;
    identity.user_type = evil.try_into().unwrap();
    identity.app_version = evil.try_into().unwrap();
    let answer = rig.get(BROADCAST).await;
    assert!(!answer.html().contains("<script>"), "{}", answer.body);
    assert!(!answer.html().contains("\"><script"), "{}", answer.body);
    assert!(
        answer.html().matches("&#60;script&#62;").count() >= 5,
        "{}",
        answer.body
    );
}

#[tokio::test]
async fn a_rejected_form_keeps_its_ticks_and_a_sent_one_has_none() {
    let body = "selectedClients=true&username=adam&socketID=BEN1aaaaaaaaaaaa";
    let answer = Rig::peopled().post(BROADCAST, FORM, body).await;
    let page = answer.html();
    assert!(page.contains(r#"value="adam" checked>"#), "{page}");
    assert!(
        page.contains(r#"value="BEN1aaaaaaaaaaaa" checked>"#),
        "{page}"
    );
    assert_eq!(page.matches(" checked>").count(), 2);
    let answer = Rig::peopled()
        .post(BROADCAST, FORM, &format!("msg=1&{body}"))
        .await;
    assert!(!answer.html().contains(" checked>"));
}

#[tokio::test]
async fn without_a_hub_the_page_says_that_nobody_can_be_reached() {
    for request in [
        get(BROADCAST),
        post(BROADCAST, FORM, "msg=1&allClients=true"),
    ] {
        let rig = Rig {
            hub: Hub::Stopped,
            ..Rig::new()
        };
        let method = request.method().clone();
        let answer = rig.ask(browsing(request)).await;
        assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE, "{method}");
        let expected = "Nobody can be reached at the moment: the hub has stopped.";
        assert!(
            answer.html().contains(expected),
            "{method}: {}",
            answer.body
        );
    }
}
