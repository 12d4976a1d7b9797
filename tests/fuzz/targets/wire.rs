//! The JSON of one event, as a stranger may write it: what is understood keeps its bounds and means what it says.
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
    assert_eq!(decode(&text), decoded, "decoding is a matter of chance");
    if let Ok(event) = decoded {
        says_what_the_frame_says(&event, &text);
        is_understood_again(&event);
    }
    survives_the_second_encoding(&text);
    if let Ok(json) = serde_json::from_str::<&RawValue>(&text) {
        leaves_as_it_came(json.get());
    }
});

/// Reads the frame a second time, in another way.
fn says_what_the_frame_says(event: &Event, text: &str) {
    // Where this reader gives up, as at a number that no variable holds, the other may well skip what it does not need.
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
            one_list_tells_of(&identity.username);
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

/// What an identify says that has a text: strings, and numbers as they were written. Of two the last one counts.
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

/// The members of an object, also those that are there twice.
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

/// What remains of a text in any case: what is taken out shows nothing, so it is no letter and no digit.
fn legible(text: &str) -> String {
    let shown = |character: &char| character.is_ascii() || character.is_alphanumeric();
    // Fillers are letters to Unicode.
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

/// What cannot be used is unknown, and nothing else is.
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

/// The same in our own words is the same event.
fn is_understood_again(event: &Event) {
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

fn one_list_tells_of(name: &Username) {
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

/// Clients 1.x encode twice what they send by polling.
fn survives_the_second_encoding(text: &str) {
    let twice: String = text.bytes().map(char::from).collect();
    assert_eq!(decode_twice_encoded(&twice), text);
}

/// A notification means the same in the browser as in the back-end.
fn leaves_as_it_came(json: &str) {
    let (event, payload) = encode(&Message::Notification(json.into())).expect("JSON is JSON");
    assert_eq!(event, "notification");
    assert!(payload.is_ascii(), "{payload}");
    let read = |text: &str| serde_json::from_str::<Value>(text).ok();
    assert_eq!(read(&payload), read(json));
}
