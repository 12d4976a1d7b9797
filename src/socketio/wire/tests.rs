//! Frames of the protocol in both directions, and junk.

use proptest::prelude::*;

use super::*;
use crate::presence::SystemMessage;

#[test]
fn every_frame_of_the_protocol_is_understood() {
    let opened = |case: &str| Event::CaseOpened {
        conn: conn(),
        case: case.try_into().unwrap(),
    };
    let closed = Event::CaseClosed {
        conn: conn(),
        case: "X".try_into().unwrap(),
    };
    for (frame, event) in [
        (
            r#"["identify",{"username":"adam","usertype":"provider","appVersion":"1.0"}]"#,
            identified("adam", "provider", "1.0"),
        ),
        (
            r#"["identify","adam"]"#,
            identified("adam", "unknown", "unknown"),
        ),
        (
            r#"["identify",{"username":"__proto__","usertype":null,"appVersion":"","more":[1]}]"#,
            identified("__proto__", "unknown", "unknown"),
        ),
        (
            &format!(
                r#"["identify",{{"username":"adam","usertype":" ","appVersion":"{}"}}]"#,
                "1".repeat(65)
            ),
            identified("adam", "unknown", "unknown"),
        ),
        (
            r#"["startViewingCase","AB-1234-5678"]"#,
            opened("AB-1234-5678"),
        ),
        (
            r#"["startViewingCase","X",{"ignored":true},3]"#,
            opened("X"),
        ),
        (r#"["startViewingCase","\u00e9"]"#, opened("é")),
        (r#"["stopViewingCase","X"]"#, closed),
    ] {
        let decoded = decode(conn(), &handshake(), frame).unwrap();
        assert_eq!(decoded, event, "{}", start(frame));
    }
}

#[test]
fn unusual_forms_of_identify_are_understood() {
    let deep = nested(50_000);
    let deep_member = format!(r#"["identify",{{"username":"adam","x":{deep}}}]"#);
    let deep_version = format!(r#"["identify",{{"username":"adam","appVersion":{deep}}}]"#);
    for (frame, event) in [
        (r#"["identify",7]"#, identified("7", "unknown", "unknown")),
        (
            r#"["identify",-1.50]"#,
            identified("-1.50", "unknown", "unknown"),
        ),
        (
            r#"["identify",{"username":7,"usertype":0,"appVersion":2}]"#,
            identified("7", "0", "2"),
        ),
        (
            r#"["identify",{"username":"adam","usertype":"provider","appVersion":1.5}]"#,
            identified("adam", "provider", "1.5"),
        ),
        (
            r#"["identify",{"username":"adam","usertype":{"a":[1]},"appVersion":["2"]}]"#,
            identified("adam", "unknown", "unknown"),
        ),
        (
            r#"["identify",{"username":"adam","usertype":true,"appVersion":null}]"#,
            identified("adam", "unknown", "unknown"),
        ),
        (
            r#"["identify",{"username":"adam","usertype":"\ud800","appVersion":"a\u0000"}]"#,
            identified("adam", "unknown", "unknown"),
        ),
        (
            r#"["identify",{"username":"eve","appVersion":"1","user\u006eame":"adam","appVersion":[]}]"#,
            identified("adam", "unknown", "1"),
        ),
        (&deep_member, identified("adam", "unknown", "unknown")),
        (&deep_version, identified("adam", "unknown", "unknown")),
    ] {
        let decoded = decode(conn(), &handshake(), frame).unwrap();
        assert_eq!(decoded, event, "{}", start(frame));
    }
}

#[test]
fn every_other_frame_is_rejected_with_a_reason() {
    let deep = format!(r#"["identify",{}]"#, nested(100_000));
    for (frame, reason) in [
        (r#"["error",{}]"#, "unknown event"),
        (r#"["caseViewed","X"]"#, "unknown event"),
        ("[]", "unknown event"),
        (r#"["identify"]"#, "payload missing"),
        (r#"["startViewingCase"]"#, "payload missing"),
        (r#"["identify",null]"#, "not the JSON we expect"),
        (r#"["identify",true]"#, "not the JSON we expect"),
        (r#"["identify","\ud800"]"#, "not the JSON we expect"),
        (r#"["identify",{}]"#, "text out of bounds: empty"),
        (
            r#"["identify",{"username":{"toString":"x"}}]"#,
            "text out of bounds: empty",
        ),
        (
            r#"["identify",{"username":null}]"#,
            "text out of bounds: empty",
        ),
        (
            r#"["identify",{"username":true}]"#,
            "text out of bounds: empty",
        ),
        (r#"["identify",["adam"]]"#, "not the JSON we expect"),
        (r#"["startViewingCase",{"a":1}]"#, "not the JSON we expect"),
        (r#"["stopViewingCase",null]"#, "not the JSON we expect"),
        (r#"{"identify":1}"#, "not the JSON we expect"),
        (r#"[1,"X"]"#, "not the JSON we expect"),
        ("", "not the JSON we expect"),
        (&deep, "not the JSON we expect"),
        (r#"["identify",""]"#, "text out of bounds: empty"),
        (
            r#"["identify","\u200b\u3164"]"#,
            "text out of bounds: empty",
        ),
        (r#"["identify","\u00a0 "]"#, "text out of bounds: empty"),
        (r#"["startViewingCase"," "]"#, "text out of bounds: empty"),
        (
            r#"["identify","a\u0000b"]"#,
            "text out of bounds: holds a control character",
        ),
        (
            &format!(r#"["startViewingCase","{}"]"#, "x".repeat(129)),
            "text out of bounds: too long",
        ),
    ] {
        let error = decode(conn(), &handshake(), frame).unwrap_err();
        assert_eq!(error.to_string(), reason, "{}", start(frame));
    }
}

#[test]
fn frames_are_ascii_json_with_the_same_meaning() {
    let names = ["Zoë", "名前", "😀", "a\"b\\"];
    let users = names.iter().map(|name| (*name).try_into().unwrap());
    let sent = encode(&Message::PeopleViewing(users.collect())).unwrap();
    assert_eq!(sent.event, "peopleViewing");
    assert!(sent.json.is_ascii(), "{}", sent.json);
    assert_eq!(
        serde_json::from_str::<Vec<&str>>(r#"["x"]"#).unwrap(),
        ["x"]
    );
    let read: Vec<String> = serde_json::from_str(&sent.json).unwrap();
    assert_eq!(read, names);

    let sent = encode(&Message::System(SystemMessage::OutOfDate)).unwrap();
    assert_eq!(
        (sent.event, sent.json.as_str()),
        ("systemMessage", r#""1""#)
    );

    let posted = r#"{"a": 1.0,  "b":"é"}"#;
    let sent = encode(&Message::Notification(posted.into())).unwrap();
    assert_eq!(sent.json.as_str(), r#"{"a": 1.0,  "b":"\u00e9"}"#);
}

#[test]
fn names_that_were_encoded_twice_are_decoded_twice() {
    for name in ["adam", "Zoë", "é", "名前 😀", "\u{ff}"] {
        let twice: String = name.bytes().map(char::from).collect();
        assert_eq!(decode_twice_encoded(&twice), name, "{name} encoded twice");
        assert_eq!(decode_twice_encoded(name), name, "{name} encoded once");
    }
}

proptest! {
    #[test]
    fn junk_never_panics(text in "\\PC{0,80}", tail in any::<Vec<u8>>()) {
        let junk = format!(r#"["identify",{text}{}"#, String::from_utf8_lossy(&tail));
        let _ = decode(conn(), &handshake(), &junk);
        let _ = decode(conn(), &handshake(), &text);
        let _ = decode_twice_encoded(&junk);
    }
}

/// The start of a frame, for messages.
fn start(frame: &str) -> &str {
    &frame[..frame.floor_char_boundary(60)]
}

/// JSON arrays inside each other.
fn nested(depth: usize) -> String {
    "[".repeat(depth) + &"]".repeat(depth)
}

fn identified(username: &str, user_type: &str, app_version: &str) -> Event {
    Event::Identified {
        conn: conn(),
        identity: Identity {
            username: username.try_into().unwrap(),
            user_type: user_type.try_into().unwrap(),
            app_version: app_version.try_into().unwrap(),
        },
        browser: handshake().browser,
        page: handshake().page,
    }
}

fn handshake() -> Handshake {
    let headers = http::HeaderMap::from_iter([(
        http::header::REFERER,
        http::HeaderValue::from_static("http://localhost/call_centre/"),
    )]);
    Handshake::new(&headers, [192, 0, 2, 7].into(), &[])
}

fn conn() -> ConnectionId {
    "AAAAAAAAAAAAAAAA".try_into().unwrap()
}
