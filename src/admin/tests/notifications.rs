//! What the back-end posts.

use http::StatusCode;
use serde_json::json;

use super::{Answer, BODY_LIMIT, FORM, Hub, JSON, Rig, browsing, post, user_type};
use crate::presence::{Audience, Message};

const PATH: &str = "/admin/notifications/";

#[tokio::test]
async fn a_notification_reaches_operators_and_the_back_end_hears_success() {
    for path in [PATH, "/admin/notifications"] {
        let answer = Rig::peopled()
            .post(path, JSON, r#"{"notifications":[]}"#)
            .await;
        assert_eq!(answer.status, StatusCode::OK);
        assert_eq!(
            answer.json(),
            json!({"success": true, "activeTab": "notifications", "reached": 3, "kept": 0})
        );
        assert_sent(&answer, "operator", "[]");
    }
}

#[tokio::test]
async fn json_notifications_are_passed_on_byte_for_byte() {
    let deepest = format!("{}{}", "[".repeat(128), "]".repeat(128));
    for text in [
        r#"{"a": 1.0,  "b":"é"}"#,
        "[{\"id\":1,\n\t\"notification\":\"\\u00e9 \\\" } ] \\\\\"} ]",
        "1e400",
        "12345678901234567890.000",
        r#"{"a":1,"a":2}"#,
        r#""text""#,
        "false",
        r#""\ud800""#,
        r#""[[[[\"[[[[""#,
        &deepest,
    ] {
        let body = format!(r#"{{ "notifications" : {text} , "other": [null] }}"#);
        assert_sent(&Rig::new().post(PATH, JSON, &body).await, "operator", text);
    }
}

#[tokio::test]
async fn form_notifications_are_passed_on_as_a_json_string() {
    let body = "notifications=%3Cb%3E+%22caf%C3%A9%22&usertype=provider";
    let answer = Rig::new().post(PATH, FORM, body).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_sent(&answer, "provider", r#""<b> \"café\"""#);
}

#[tokio::test]
async fn a_user_type_that_is_not_named_is_operator() {
    for (media_type, body, expected) in [
        (JSON, r#"{"notifications":1}"#, "operator"),
        (JSON, r#"{"notifications":1,"usertype":""}"#, "operator"),
        (JSON, r#"{"notifications":1,"usertype":null}"#, "operator"),
        (
            JSON,
            r#"{"notifications":1,"usertype":"provider"}"#,
            "provider",
        ),
        (FORM, "notifications=1", "operator"),
        (FORM, "notifications=1&usertype=", "operator"),
        (FORM, "notifications=1&usertype=provider", "provider"),
    ] {
        let answer = Rig::new().post(PATH, media_type, body).await;
        let (to, _) = answer.sent.first().expect(body);
        assert_eq!(*to, Audience::UserType(user_type(expected)), "{body}");
    }
}

#[tokio::test]
async fn parameters_and_the_case_of_a_content_type_do_not_matter() {
    for media_type in [
        "application/json; charset=utf-8",
        "Application/JSON;charset=UTF-8",
    ] {
        let answer = Rig::new()
            .post(PATH, media_type, r#"{"notifications":1}"#)
            .await;
        assert_eq!(answer.status, StatusCode::OK);
    }
    let answer = Rig::new()
        .post(PATH, &format!("{FORM}; charset=UTF-8"), "notifications=1")
        .await;
    assert_eq!(answer.status, StatusCode::OK);
}

#[tokio::test]
async fn a_post_that_lacks_something_is_refused_in_json_and_sends_nothing() {
    let long_type = format!(r#"{{"notifications":1,"usertype":"{}"}}"#, "x".repeat(65));
    for (media_type, body, part) in [
        (JSON, "{}", "notifications is missing"),
        (
            JSON,
            r#"{"notifications":null}"#,
            "notifications is missing",
        ),
        (JSON, r#"{"Notifications":1}"#, "notifications is missing"),
        (FORM, "", "notifications is missing"),
        (FORM, "usertype=operator", "notifications is missing"),
        (FORM, "notifications=1&notifications=2", "form"),
        (
            JSON,
            r#"{"notifications":1,"usertype":7}"#,
            "expected a string",
        ),
        (
            JSON,
            r#"{"notifications":1,"usertype":"a\u0007"}"#,
            "control character",
        ),
        (JSON, &long_type, "too long"),
    ] {
        let request = browsing(post(PATH, media_type, body));
        assert_refused(&Rig::peopled().ask(request).await, 400, part);
    }
}

#[tokio::test]
async fn broken_json_is_told_where_it_breaks() {
    let very_deep = format!(r#"{{"notifications":{}}}"#, "[".repeat(4000));
    for (body, part) in [
        ("{\"notifications\":[}", "line 1 column 19"),
        (r#"{"notifications":1} x"#, "line 1 column 21"),
        ("", "line 1 column 0"),
        ("7", "line 1 column 1"),
        (
            r#"{"notifications":1,"notifications":2}"#,
            "duplicate field",
        ),
        (r#"[1,"operator"]"#, "not a JSON object"),
        ("  [[1]]", "not a JSON object"),
        (&very_deep, "line 1 column"),
    ] {
        assert_refused(&Rig::peopled().post(PATH, JSON, body).await, 400, part);
    }
}

#[tokio::test]
async fn too_deep_too_large_or_of_another_type_is_refused() {
    let too_deep = format!(
        r#"{{"notifications":{}{}}}"#,
        "[".repeat(129),
        "]".repeat(129)
    );
    let too_large = format!(r#"{{"notifications":"{}"}}"#, "x".repeat(BODY_LIMIT));
    let small = r#"{"notifications":1}"#;
    for (media_type, body, status, part) in [
        (JSON, too_deep.as_str(), 400, "more than 128 deep"),
        (JSON, &too_large, 413, "larger than allowed"),
        ("text/plain", small, 415, "application/json"),
        (
            "multipart/form-data; boundary=x",
            "--x--",
            415,
            "application/json",
        ),
        ("application/jsonp", small, 415, "application/json"),
    ] {
        let answer = Rig::peopled().post(PATH, media_type, body).await;
        assert_refused(&answer, status, part);
    }
}

#[tokio::test]
async fn a_body_without_a_type_is_refused_and_no_body_at_all_is_an_empty_form() {
    for (body, status) in [(r#"{"notifications":1}"#, 415), ("", 400)] {
        let mut request = post(PATH, JSON, body);
        request.headers_mut().remove(http::header::CONTENT_TYPE);
        assert_refused(&Rig::new().ask(request).await, status, "");
    }
}

#[tokio::test]
async fn a_body_that_is_not_utf_8_is_refused() {
    let mut request = post(PATH, JSON, "");
    *request.body_mut() = b"{\"notifications\":\"\xff\"}".to_vec().into();
    assert_refused(&Rig::new().ask(request).await, 400, "not UTF-8");
}

#[tokio::test]
async fn success_is_not_said_when_the_hub_has_stopped() {
    let rig = Rig {
        hub: Hub::Stopped,
        ..Rig::new()
    };
    let answer = rig.post(PATH, JSON, r#"{"notifications":1}"#).await;
    assert_refused(&answer, 503, "hub has stopped");
}

fn assert_sent(answer: &Answer, to: &str, json: &str) {
    let to = Audience::UserType(user_type(to));
    let expected = vec![(to, Message::Notification(json.into()))];
    assert_eq!(answer.sent, expected, "{}", answer.body);
}

fn assert_refused(answer: &Answer, status: u16, part: &str) {
    let json = answer.json();
    let error = json["error"].as_str().unwrap();
    assert_eq!(answer.status.as_u16(), status, "{error}");
    assert_eq!(json["success"], false);
    assert!(error.contains(part), "{part:?} in {error:?}");
    assert!(answer.sent.is_empty());
}
