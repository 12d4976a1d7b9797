//! The JSON of one event, as a stranger may write it: what is understood keeps its bounds and means what it says.
#![no_main]

use cla_socketserver::{
    fuzzing::{decode, decode_twice_encoded, encode},
    presence::{Event, Message, Username},
};
use libfuzzer_sys::fuzz_target;
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
            let full = payload.is_object();
            let name = if full { &payload["username"] } else { payload };
            bounded(identity.username.as_str(), 128);
            assert_eq!(name, identity.username.as_str());
            known(identity.user_type.as_str(), &payload["usertype"]);
            known(identity.app_version.as_str(), &payload["appVersion"]);
            one_list_tells_of(&identity.username);
        }
        Event::CaseOpened { case, .. } => {
            assert_eq!(frame[0], "startViewingCase");
            bounded(case.as_str(), 128);
            assert_eq!(payload, case.as_str());
        }
        Event::CaseClosed { case, .. } => {
            assert_eq!(frame[0], "stopViewingCase");
            bounded(case.as_str(), 128);
            assert_eq!(payload, case.as_str());
        }
        Event::Ended { .. } | Event::Dismissed { .. } | Event::Posted { .. } => {
            panic!("a frame cannot say {event:?}")
        }
    }
}

fn bounded(text: &str, bytes: usize) {
    assert!(text.len() <= bytes, "{} bytes", text.len());
    assert!(!text.trim().is_empty(), "blank: {text:?}");
    assert!(!text.contains(char::is_control), "{text:?}");
}

/// What cannot be used is unknown, and nothing else is.
fn known(understood: &str, said: &Value) {
    bounded(understood, 64);
    let said = said.as_str().unwrap_or("unknown");
    let usable = said.len() <= 64 && !said.trim().is_empty() && !said.contains(char::is_control);
    assert_eq!(understood, if usable { said } else { "unknown" });
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
        Event::Ended { .. } | Event::Dismissed { .. } | Event::Posted { .. } => return,
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
