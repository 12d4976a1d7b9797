//! The text of each refusal: the reason, and the remedy.

use super::{
    BODY_LIMIT, BROADCAST, END_PLACE, FORM, JSON, NOTIFICATIONS, Rig, accepting, assert_refused,
    get, post, with,
};
use axum::body::Body;
use http::{HeaderName, Method, Request, header};

#[tokio::test]
async fn a_refused_media_type_names_the_accepted_ones() {
    for (media_type, words) in [
        ("text/plain", "text/plain | application/json | x-www-form"),
        ("text/plain; charset=utf-8", "the body is text/plain,"),
        ("multipart/form-data; boundary=x", "multipart/form-data,"),
        ("application/jsonp", "application/jsonp | application/json"),
        ("", "no Content-Type | application/json | x-www-form"),
    ] {
        for path in [NOTIFICATIONS, BROADCAST, END_PLACE] {
            let mut request = post(path, media_type, "x");
            if media_type.is_empty() {
                request.headers_mut().remove(header::CONTENT_TYPE);
            }
            let answer = Rig::peopled().ask(request).await;
            assert_refused(&answer, 415, words, format_args!("{media_type} to {path}"));
        }
    }
}

#[tokio::test]
async fn a_refused_body_names_the_mistake_and_the_right_form() {
    let large = "x".repeat(BODY_LIMIT + 1);
    let limit = "4096 bytes | limits.admin_body_bytes | CLA_LIMITS__ADMIN_BODY_BYTES";
    let no_object = "not a JSON object";
    let no_form = "looks like JSON | Content-Type: application/json";
    let encoding = "encode it as UTF-8";
    for (media_type, body, status, words) in [
        (JSON, "", 400, "empty"),
        (JSON, " \n", 400, "empty"),
        (JSON, "7", 400, no_object),
        (JSON, "  [[1]]", 400, no_object),
        (JSON, r#""{}""#, 400, no_object),
        (JSON, "notifications=1", 400, no_object),
        (JSON, "{'place': 1}", 400, "line 1 column 2"),
        (JSON, "{} x", 400, "line 1 column 4"),
        (JSON, "{\0\"\0a\0", 400, encoding),
        (JSON, &large, 413, limit),
        (FORM, &large, 413, limit),
        (FORM, r#" {"place":"x"}"#, 400, no_form),
        (FORM, r#"{"notifications":[1]}"#, 400, no_form),
        (FORM, "place=\0", 400, encoding),
    ] {
        for path in [NOTIFICATIONS, BROADCAST, END_PLACE] {
            let answer = Rig::peopled().post(path, media_type, body).await;
            let request = format_args!("{media_type} to {path}: {}", start(body));
            assert_refused(&answer, status, words, request);
        }
    }
}

#[tokio::test]
async fn a_body_in_another_encoding_is_refused_with_the_right_one() {
    for bytes in [
        &b"\xff\xfe{\0}\0"[..],
        b"\xfe\xff\0{\0}",
        b"{\"notifications\":\"caf\xe9\"}",
        b"\x1f\x8b\x08\0\0\0",
    ] {
        let mut request = post(NOTIFICATIONS, JSON, "");
        *request.body_mut() = bytes.to_vec().into();
        let answer = Rig::new().ask(request).await;
        assert_refused(&answer, 400, "encode it as UTF-8", bytes.escape_ascii());
    }
}

#[tokio::test]
async fn refused_notifications_name_the_member_and_an_example() {
    let missing = r#"notifications is missing | {"notifications": [...]"#;
    let text = "a form | JSON array or object | application/json";
    let twice = "notifications is in the form more than once | application/json";
    let arrays = |count| format!("{}{}", "[".repeat(count), "]".repeat(count));
    let deep = format!(r#"{{"notifications":{}}}"#, arrays(129));
    let very_deep = format!(r#"{{"notifications":{}}}"#, "[".repeat(4000));
    for (media_type, body, words) in [
        (JSON, "{}", missing),
        (JSON, r#"{"notifications":null}"#, missing),
        (FORM, "", missing),
        (FORM, "usertype=operator", missing),
        (FORM, "notifications%5B0%5D%5Bid%5D=1", missing),
        (FORM, "notifications=id&notifications=type", twice),
        (FORM, "notifications=id", text),
        (FORM, "notifications=", text),
        (FORM, "notifications=1", text),
        (FORM, "notifications=null", text),
        (FORM, "notifications=%22text%22", text),
        (FORM, "notifications=%5B%7B%27id%27%3A+1%7D%5D", text),
        (FORM, "notifications=%5B1%5D+x", text),
        (JSON, &deep, "more than 128 deep"),
        (JSON, &very_deep, "line 1 column"),
        (
            JSON,
            r#"{"notifications":[1}"#,
            "notifications | line 1 column 20",
        ),
        (
            JSON,
            r#"{"notifications":1,"notifications":2}"#,
            "duplicate field `notifications`",
        ),
    ] {
        for read in ["*/*", "text/html"] {
            let request = accepting(read, post(NOTIFICATIONS, media_type, body));
            let answer = Rig::peopled().ask(request).await;
            assert_refused(&answer, 400, words, start(body));
        }
    }
}

#[tokio::test]
async fn a_refused_user_type_names_its_bounds() {
    let both = "usertype | userType | send one of them";
    let name = "usertype | at most 64 bytes without control characters";
    let twice = "usertype is in the form more than once";
    let long = format!("notifications=[]&userType={}", "x".repeat(65));
    let json = |members| format!(r#"{{"notifications":[],{members}}}"#);
    for (media_type, body, words) in [
        (JSON, json(r#""usertype":"a","userType":"b""#), both),
        (
            JSON,
            json(r#""usertype":7"#),
            "usertype | expected a string",
        ),
        (
            JSON,
            json(r#""userType":[]"#),
            "userType | expected a string",
        ),
        (JSON, json(r#""usertype":"a\u0007""#), name),
        (FORM, "notifications=[]&userType=b&usertype=a".into(), both),
        (FORM, "notifications=[]&usertype=a%07".into(), name),
        (FORM, "notifications=[]&usertype=a&usertype=a".into(), twice),
        (FORM, long, name),
    ] {
        let answer = Rig::peopled().post(NOTIFICATIONS, media_type, &body).await;
        assert_refused(&answer, 400, words, body);
    }
}

#[tokio::test]
async fn a_refused_system_message_names_the_member_and_its_values() {
    for (media_type, body, status, words) in [
        (JSON, "{}", 403, r#"msg is missing | "1""#),
        (
            JSON,
            r#"{"msg":1,"allClients":true}"#,
            400,
            "msg | expected a string",
        ),
        (
            JSON,
            r#"{"msg":"1","allClients":1}"#,
            400,
            "allClients | true or false",
        ),
        (
            JSON,
            r#"{"msg":"1","username":[1]}"#,
            400,
            "username | a text or a list of texts",
        ),
        (JSON, r#"{"msg":"1"}"#, 400, "neither | set one of them"),
        (
            JSON,
            r#"{"msg":"1","selectedClients":true,"allClients":true}"#,
            400,
            "both | set one of them",
        ),
        (
            JSON,
            r#"{"msg":"1","selectedClients":true}"#,
            400,
            "username | socketID",
        ),
        (
            FORM,
            "username=a&username=b&msg=1&msg=1",
            400,
            "msg is in the form more than once",
        ),
        (
            FORM,
            "msg=1&allClients=true&allClients=true",
            400,
            "allClients is in the form more than once",
        ),
    ] {
        let answer = Rig::peopled().post(BROADCAST, media_type, body).await;
        assert_refused(&answer, status, words, body);
    }
}

#[tokio::test]
async fn a_refused_end_of_a_place_names_the_member_and_an_example() {
    for (media_type, body, words) in [
        (
            JSON,
            "{}",
            r#"place is missing | {"place": "<socket id>"} | /admin/peopleMap/"#,
        ),
        (FORM, "", "place is missing"),
        (
            FORM,
            "place=a&place=b",
            "place is in the form more than once",
        ),
        (JSON, r#"{"place":7}"#, "place | expected a string"),
    ] {
        let answer = Rig::peopled().post(END_PLACE, media_type, body).await;
        assert_refused(&answer, 400, words, body);
    }
}

#[tokio::test]
async fn a_refused_request_names_the_right_method_address_or_header() {
    let notifications = "/admin/notifications/ | the public listener";
    for (request, status, words) in [
        (
            with_header(header::CONTENT_ENCODING, "gzip"),
            415,
            "gzip | uncompressed",
        ),
        (
            with_header(header::CONTENT_ENCODING, "identity, br"),
            415,
            "br | uncompressed",
        ),
        (asking(Method::GET, NOTIFICATIONS), 405, "it takes POST"),
        (
            asking(Method::DELETE, BROADCAST),
            405,
            "it takes GET, HEAD, POST",
        ),
        (
            asking(Method::POST, "/admin/peopleMap"),
            405,
            "it takes GET, HEAD",
        ),
        (
            asking(Method::POST, "/admin/notification/"),
            404,
            notifications,
        ),
        (
            asking(Method::POST, "/admin/notifications//"),
            404,
            notifications,
        ),
        (
            asking(Method::POST, "/admin/notifications/1"),
            404,
            notifications,
        ),
        (
            asking(Method::GET, "/admin/peoplemap/"),
            404,
            "/admin/peopleMap/",
        ),
        (asking(Method::GET, "/socket.io/"), 404, notifications),
        (
            with_header(header::HOST, "cla-socketserver"),
            421,
            "cla-socketserver | admin.hostnames",
        ),
        (
            with_header(header::HOST, "http://localhost"),
            400,
            "Host | localhost:8006",
        ),
    ] {
        let row = format!("{} {}", request.method(), request.uri());
        let answer = Rig::peopled().ask(request).await;
        assert_refused(&answer, status, words, row);
    }
}

#[tokio::test]
async fn refusals_have_the_accepted_types_and_encodings_in_their_headers() {
    let compressed = with_header(header::CONTENT_ENCODING, "gzip");
    let answer = Rig::new().ask(compressed).await;
    assert_eq!(answer.header(header::ACCEPT_ENCODING), "identity");
    assert_eq!(answer.header(header::ACCEPT), "");
    let answer = Rig::new().post(END_PLACE, "text/plain", "x").await;
    assert_eq!(answer.header(header::ACCEPT), format!("{JSON}, {FORM}"));
    assert_eq!(answer.header(header::ACCEPT_ENCODING), "");
}

#[tokio::test]
async fn every_address_that_a_404_names_exists() {
    let json = Rig::new().get("/nowhere").await.json();
    let words = json["error"].as_str().unwrap().split([' ', ',', ';']);
    let addresses: Vec<&str> = words.filter(|word| word.starts_with('/')).collect();
    assert!(addresses.len() > 5, "{json}");
    for address in addresses {
        assert_ne!(Rig::new().get(address).await.status, 404, "{address}");
    }
}

#[tokio::test]
async fn optional_headers_and_a_byte_order_mark_are_accepted() {
    for (name, value) in [
        (header::CONTENT_ENCODING, "identity"),
        (header::CONTENT_ENCODING, "Identity"),
        (header::CONTENT_TYPE, "application/json; charset=iso-8859-1"),
        (header::EXPECT, "100-continue"),
    ] {
        let answer = Rig::new().ask(with_header(name, value)).await;
        assert_eq!(answer.status, 200, "{value}");
    }
    let marked = "\u{feff}{\"notifications\":[]}";
    let answer = Rig::new().post(NOTIFICATIONS, JSON, marked).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
}

fn asking(method: Method, path: &str) -> Request<Body> {
    let mut request = get(path);
    *request.method_mut() = method;
    request
}

/// The start of a body, for messages.
fn start(body: &str) -> &str {
    &body[..body.floor_char_boundary(60)]
}

/// A notification with one more header.
fn with_header(name: HeaderName, value: &str) -> Request<Body> {
    let mut request = with(Request::post(NOTIFICATIONS), r#"{"notifications":[]}"#);
    let headers = request.headers_mut();
    headers.insert(header::CONTENT_TYPE, JSON.parse().unwrap());
    headers.insert(name, value.parse().unwrap());
    request
}
