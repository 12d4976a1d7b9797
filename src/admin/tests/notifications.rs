//! Posts of the back-end to `/admin/notifications/`.

use http::StatusCode;
use serde_json::json;

use super::{Answer, FORM, Hub, JSON, NOTIFICATIONS, Rig, assert_refused, user_type};
use crate::{
    hub::Delivery,
    presence::{Audience, Message},
};

#[tokio::test]
async fn a_notification_reaches_operators_and_the_answer_is_success() {
    for path in [NOTIFICATIONS, "/admin/notifications"] {
        let answer = Rig::peopled()
            .post(path, JSON, r#"{"notifications":[]}"#)
            .await;
        assert_eq!(answer.status, StatusCode::OK, "{path}");
        assert_eq!(
            answer.json(),
            json!({
                "success": true,
                "activeTab": "notifications",
                "usertype": "operator",
                "reached": 3,
                "kept": 0,
            }),
            "{path}"
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
        assert_sent(
            &Rig::new().post(NOTIFICATIONS, JSON, &body).await,
            "operator",
            text,
        );
    }
}

#[tokio::test]
async fn form_notifications_are_json_text_and_passed_on_byte_for_byte() {
    for (text, expected) in [
        ("%5B%7B%22id%22%3A+1.0%7D%5D", r#"[{"id": 1.0}]"#),
        ("%7B%22a%22%3A%22caf%C3%A9%22%7D", r#"{"a":"café"}"#),
        ("+%5B%5D%0A", "[]"),
    ] {
        let body = format!("notifications={text}&usertype=provider");
        let answer = Rig::new().post(NOTIFICATIONS, FORM, &body).await;
        assert_sent(&answer, "provider", expected);
    }
}

#[tokio::test]
async fn the_answer_has_the_user_type_that_was_understood() {
    for (media_type, body, expected) in [
        (JSON, r#"{"notifications":1}"#, "operator"),
        (JSON, r#"{"notifications":1,"usertype":""}"#, "operator"),
        (JSON, r#"{"notifications":1,"usertype":null}"#, "operator"),
        (JSON, r#"{"notifications":1,"usertype":"a b"}"#, "a b"),
        (JSON, r#"{"notifications":1,"userType":"x"}"#, "x"),
        (
            JSON,
            r#"{"notifications":1,"usertype":"","userType":"x"}"#,
            "x",
        ),
        (
            JSON,
            r#"{"notifications":1,"userType":"x","usertype":"x"}"#,
            "x",
        ),
        (FORM, "notifications=[]", "operator"),
        (FORM, "notifications=[]&usertype=", "operator"),
        (FORM, "notifications=[]&usertype=provider", "provider"),
        (FORM, "userType=provider&notifications=[]", "provider"),
    ] {
        let answer = Rig::peopled().post(NOTIFICATIONS, media_type, body).await;
        let (to, _) = answer.sent.first().expect(body);
        assert_eq!(*to, Audience::UserType(user_type(expected)), "{body}");
        assert_eq!(answer.json()["usertype"], expected, "{body}");
    }
}

#[tokio::test]
async fn unknown_members_are_listed_as_ignored() {
    for (media_type, body, ignored) in [
        (JSON, r#"{"notifications":[]}"#, json!(null)),
        (
            JSON,
            r#"{"user_type":"provider","notifications":[{"id":1}],"foo":{"bar":1}}"#,
            json!(["foo", "user_type"]),
        ),
        (
            JSON,
            r#"{"notifications":[],"":0,"Usertype":null}"#,
            json!(["", "Usertype"]),
        ),
        (
            FORM,
            "notifications=[]&a%22=1&a%22=2&csrf=x",
            json!(["a\"", "csrf"]),
        ),
    ] {
        let answer = Rig::peopled()
            .post(NOTIFICATIONS, media_type, body)
            .await
            .json();
        assert_eq!(answer["success"], true, "{body}");
        assert_eq!(answer["ignored"], ignored, "{body}");
    }
}

#[tokio::test]
async fn a_user_type_of_nobody_is_a_success_with_a_warning() {
    for (user_type, reached, kept, warnings) in [
        ("operator", 1, 0, json!(null)),
        ("operator", 0, 1, json!(null)),
        ("opertor", 1, 0, json!(null)),
        (
            "provider",
            0,
            0,
            json!(["nobody of user type provider is connected or lost, so nobody gets this"]),
        ),
        (
            "Operator",
            0,
            0,
            json!([
                "nobody of user type Operator is connected or lost, so nobody gets this; the browser app knows operator and provider"
            ]),
        ),
    ] {
        let rig = Rig {
            delivery: Delivery { reached, kept },
            ..Rig::peopled()
        };
        let body = json!({"notifications": [], "usertype": user_type});
        let answer = rig
            .post(NOTIFICATIONS, JSON, &body.to_string())
            .await
            .json();
        assert_eq!(answer["success"], true, "{user_type}");
        assert_eq!(answer["warnings"], warnings, "{user_type}");
    }
}

#[tokio::test]
async fn notifications_that_the_browser_app_cannot_show_are_a_success_with_a_warning() {
    let not_an_array =
        json!(["notifications is not a JSON array, and the browser app shows nothing else"]);
    for (media_type, body, warnings) in [
        (JSON, r#"{"notifications": [{"id":1}]}"#, json!(null)),
        (
            JSON,
            r#"{"notifications": "[{\"id\":1}]"}"#,
            not_an_array.clone(),
        ),
        (JSON, r#"{"notifications": {"id":1}}"#, not_an_array.clone()),
        (FORM, "notifications=%7B%7D", not_an_array),
    ] {
        let answer = Rig::peopled()
            .post(NOTIFICATIONS, media_type, body)
            .await
            .json();
        assert_eq!(answer["success"], true, "{body}");
        assert_eq!(answer["warnings"], warnings, "{body}");
    }
}

#[tokio::test]
async fn parameters_and_the_case_of_a_content_type_do_not_matter() {
    for media_type in [
        "application/json; charset=utf-8",
        "Application/JSON;charset=UTF-8",
    ] {
        let answer = Rig::new()
            .post(NOTIFICATIONS, media_type, r#"{"notifications":1}"#)
            .await;
        assert_eq!(answer.status, StatusCode::OK, "{media_type}");
    }
    let answer = Rig::new()
        .post(
            NOTIFICATIONS,
            &format!("{FORM}; charset=UTF-8"),
            "notifications=[]",
        )
        .await;
    assert_eq!(answer.status, StatusCode::OK);
}

#[tokio::test]
async fn without_a_hub_a_notification_is_refused() {
    let rig = Rig {
        hub: Hub::Stopped,
        ..Rig::new()
    };
    let answer = rig
        .post(NOTIFICATIONS, JSON, r#"{"notifications":1}"#)
        .await;
    assert_refused(&answer, 503, "hub has stopped", "a notification");
}

fn assert_sent(answer: &Answer, to: &str, json: &str) {
    let to = Audience::UserType(user_type(to));
    let expected = vec![(to, Message::Notification(json.into()))];
    assert_eq!(answer.sent, expected, "{}", answer.body);
}
