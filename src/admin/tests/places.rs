//! Ending a lost place by hand.

use http::StatusCode;
use serde_json::json;

use super::{END_PLACE, FORM, JSON, LOST, Rig, browsing, person, post};

#[tokio::test(start_paused = true)]
async fn the_page_shows_the_time_since_a_loss_and_a_button_to_end_the_place() {
    let page = rig().get("/admin/broadcast/").await;
    let html = page.html();
    assert!(html.contains("2 connections, 1 of them lost"), "{html}");
    assert!(
        html.contains("Lost 4 s ago, kept for another 10 s"),
        "{html}"
    );
    let button = format!(r#"form="end-place" name="place" value="{LOST}""#);
    assert_eq!(html.matches(&button).count(), 1, "{html}");
    assert_eq!(html.matches(r#"name="place""#).count(), 1, "{html}");
    let form = format!(r#"action="{END_PLACE}" id="end-place""#);
    assert_eq!(html.matches(&form).count(), 1, "{html}");
}

#[tokio::test(start_paused = true)]
async fn a_lost_place_is_ended_and_the_page_says_so() {
    let page = rig()
        .ask(browsing(post(END_PLACE, FORM, &format!("place={LOST}"))))
        .await;
    assert_eq!(page.status, StatusCode::OK);
    assert!(
        page.title().starts_with("Connection ended"),
        "{}",
        page.title()
    );
    assert!(page.sent.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_connected_place_is_not_ended_and_the_page_says_so() {
    for id in ["BENaaaaaaaaaaaaa", "no id at all"] {
        let page = rig()
            .ask(browsing(post(END_PLACE, FORM, &format!("place={id}"))))
            .await;
        assert_eq!(page.status, StatusCode::OK, "{id}");
        let title = page.title();
        assert!(title.starts_with("Nothing was ended"), "{id}: {title}");
    }
}

#[tokio::test(start_paused = true)]
async fn programs_are_answered_in_json() {
    for (id, ended) in [(LOST, true), ("BENaaaaaaaaaaaaa", false)] {
        let body = json!({"place": id, "user": "ben"}).to_string();
        let answer = rig().post(END_PLACE, JSON, &body).await;
        let expected = json!({"success": true, "place": id, "ended": ended, "ignored": ["user"]});
        assert_eq!(answer.json(), expected, "{id}");
    }
}

fn rig() -> Rig {
    let mut rig = Rig::new();
    rig.people = vec![person("ben", [("BENaaaaaaaaaaaaa", None), (LOST, None)])];
    rig
}
