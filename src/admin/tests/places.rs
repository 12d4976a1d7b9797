//! Ending a lost place by hand.

use http::StatusCode;
use serde_json::json;

use super::{FORM, JSON, LOST, Rig, browsing, person, post};

const END: &str = "/admin/places/end/";

#[tokio::test(start_paused = true)]
async fn the_page_shows_who_is_lost_and_for_how_long_with_a_button_to_end_it() {
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
    let form = format!(r#"action="{END}" id="end-place""#);
    assert_eq!(html.matches(&form).count(), 1, "{html}");
}

#[tokio::test(start_paused = true)]
async fn a_lost_place_is_ended_and_the_page_says_so() {
    let page = rig()
        .ask(browsing(post(END, FORM, &format!("place={LOST}"))))
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
async fn one_that_has_come_back_is_left_alone_and_the_page_says_so() {
    for id in ["BENaaaaaaaaaaaaa", "no id at all"] {
        let page = rig()
            .ask(browsing(post(END, FORM, &format!("place={id}"))))
            .await;
        assert_eq!(page.status, StatusCode::OK);
        assert!(
            page.title().starts_with("Nothing was ended"),
            "{}",
            page.title()
        );
    }
}

#[tokio::test(start_paused = true)]
async fn programs_are_answered_in_json() {
    for (id, ended) in [(LOST, true), ("BENaaaaaaaaaaaaa", false)] {
        let body = json!({"place": id, "user": "ben"}).to_string();
        let answer = rig().post(END, JSON, &body).await;
        let expected = json!({"success": true, "place": id, "ended": ended, "ignored": ["user"]});
        assert_eq!(answer.json(), expected);
    }
}

fn rig() -> Rig {
    let mut rig = Rig::new();
    rig.people = vec![person("ben", [("BENaaaaaaaaaaaaa", None), (LOST, None)])];
    rig
}
