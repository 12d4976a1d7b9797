//! The JSON of one event from an attacker: a decoded event keeps its bounds and has the values of the frame.
#![no_main]

use std::{collections::BTreeMap, fmt};

use cla_socketserver::{
    fuzzing::{decode, decode_twice_encoded, encode},
    presence::{Event, Message, Username},
};
use libfuzzer_sys::fuzz_target;
use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::{Value, json, value::RawValue};

fuzz_target!(|data: &[u8]| {
    let text = String::from_utf8_lossy(data);
    let decoded = decode(&text);
    assert_eq!(
        decode(&text),
        decoded,
        "decoding twice gives different results"
    );
    if let Ok(event) = decoded {
        matches_the_frame(&event, &text);
        decodes_again(&event);
    }
    survives_the_second_encoding(&text);
    if let Ok(json) = serde_json::from_str::<&RawValue>(&text) {
        is_sent_as_posted(json.get());
    }
});

/// Compares an event with the frame, which it reads with another parser.
fn matches_the_frame(event: &Event, text: &str) {
    // This parser fails at numbers that are too large; the decoder may skip members that it does not need.
    let Ok(frame) = serde_json::from_str::<Value>(text) else {
        return;
    };
    let payload = &frame[1];
    match event {
        Event::Identified { identity, .. } => {
            assert_eq!(frame[0], "identify");
            bounded(identity.username.as_str(), 128);
            let said = said(text, payload);
            let name = said.get("username").expect("a name");
            assert_eq!(legible(name), legible(identity.username.as_str()));
            known(identity.user_type.as_str(), said.get("usertype"));
            known(identity.app_version.as_str(), said.get("appVersion"));
            list_is_ascii_with_both_names(&identity.username);
        }
        Event::CaseOpened { case, .. } => {
            assert_eq!(frame[0], "startViewingCase");
            bounded(case.as_str(), 128);
            assert_eq!(payload.as_str().map(legible), Some(legible(case.as_str())));
        }
        Event::CaseClosed { case, .. } => {
            assert_eq!(frame[0], "stopViewingCase");
            bounded(case.as_str(), 128);
            assert_eq!(payload.as_str().map(legible), Some(legible(case.as_str())));
        }
        Event::Ended { .. } | Event::Dismissed { .. } => {
            panic!("a frame cannot say {event:?}")
        }
    }
}

/// The members of an identify that are text or numbers, as text. Of two equal members the last one counts.
fn said(frame: &str, payload: &Value) -> BTreeMap<String, String> {
    let parts: Vec<&RawValue> = serde_json::from_str(frame).expect("it was JSON");
    let mut said = BTreeMap::new();
    if payload.is_object() {
        let Members(members) = serde_json::from_str(parts[1].get()).expect("an object");
        for (member, value) in members {
            said.extend(text_of(&value).map(|text| (member, text)));
        }
    } else {
        said.extend(text_of(parts[1]).map(|text| ("username".to_owned(), text)));
    }
    said
}

fn text_of(json: &RawValue) -> Option<String> {
    match serde_json::from_str(json.get()).ok()? {
        Value::String(text) => Some(text),
        Value::Number(_) => Some(json.get().to_owned()),
        _ => None,
    }
}

/// The members of an object, including repeated ones.
struct Members(Vec<(String, Box<RawValue>)>);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;

        impl<'de> Visitor<'de> for Reader {
            type Value = Members;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(Reader)
    }
}

/// The letters and digits of a text: the decoder removes only characters that are invisible.
fn legible(text: &str) -> String {
    let shown = |character: &char| character.is_ascii() || character.is_alphanumeric();
    // Unicode classifies these invisible fillers as letters.
    let fillers = ['\u{115f}', '\u{1160}', '\u{3164}', '\u{ffa0}'];
    text.chars()
        .filter(|character| shown(character) && !fillers.contains(character))
        .collect()
}

fn bounded(text: &str, bytes: usize) {
    assert!(text.len() <= bytes, "{} bytes", text.len());
    assert!(!text.trim().is_empty(), "blank: {text:?}");
    assert!(!text.contains(char::is_control), "{text:?}");
}

/// Checks that a value is `unknown` if and only if the frame has no usable one.
fn known(understood: &str, said: Option<&String>) {
    bounded(understood, 64);
    let said = said.map_or("unknown", String::as_str);
    let usable = said.len() <= 64 && !said.contains(char::is_control);
    if !usable || understood != "unknown" {
        let said = if usable { said } else { "unknown" };
        assert_eq!(legible(understood), legible(said));
    } else {
        assert!(["", "unknown"].contains(&legible(said).trim()), "{said:?}");
    }
}

/// Checks that an event, encoded by this test, decodes to the same event.
fn decodes_again(event: &Event) {
    let frame = match event {
        Event::Identified { identity, .. } => json!(["identify", {
            "username": identity.username.as_str(),
            "usertype": identity.user_type.as_str(),
            "appVersion": identity.app_version.as_str(),
        }]),
        Event::CaseOpened { case, .. } => json!(["startViewingCase", case.as_str()]),
        Event::CaseClosed { case, .. } => json!(["stopViewingCase", case.as_str()]),
        Event::Ended { .. } | Event::Dismissed { .. } => return,
    };
    assert_eq!(decode(&frame.to_string()).as_ref(), Ok(event));
}

/// Checks that an encoded list is ASCII and contains the name.
fn list_is_ascii_with_both_names(name: &Username) {
    let names = [name.as_str(), "somebody else"];
    let users = names.map(|name| name.try_into().expect("a name that has been a name"));
    let (event, payload) = encode(&Message::PeopleViewing(users.into())).expect("a list");
    assert_eq!(event, "peopleViewing");
    assert!(payload.is_ascii(), "{payload}");
    assert_eq!(
        serde_json::from_str::<Value>(&payload).ok(),
        Some(json!(names))
    );
}

/// Checks decoding of the double UTF-8 encoding of clients 1.x over polling.
fn survives_the_second_encoding(text: &str) {
    let twice: String = text.bytes().map(char::from).collect();
    assert_eq!(decode_twice_encoded(&twice), text);
}

/// Checks that an encoded notification is ASCII and equal to the posted JSON.
fn is_sent_as_posted(json: &str) {
    let (event, payload) = encode(&Message::Notification(json.into())).expect("JSON is JSON");
    assert_eq!(event, "notification");
    assert!(payload.is_ascii(), "{payload}");
    let read = |text: &str| serde_json::from_str::<Value>(text).ok();
    assert_eq!(read(&payload), read(json));
}
