//! Frames and what they mean.
//!
//! Lives here: the names and shapes on the wire, in both directions. Not here: sockets, deciding.
//! Invariant: no input can cause a panic, unbounded recursion, or an allocation of more than about ten times its length.

use std::{
    borrow::Cow,
    fmt::{self, Write},
};

use axum::body::Bytes as Frame;
use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, Visitor},
};
use serde_json::value::RawValue;
use tungstenite::protocol::frame::{
    Frame as WebSocketFrame,
    coding::{Data, OpCode},
};

use super::handshake::Handshake;
use crate::presence::{CaseRef, ConnectionId, Event, Identity, InvalidText, Message, Username};

/// Why a frame was dropped.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DecodeError {
    #[error("unknown event")]
    UnknownEvent,
    #[error("binary attachment")]
    Binary,
    #[error("payload missing")]
    NoPayload,
    #[error("not the JSON we expect")]
    Json(#[from] serde_json::Error),
    #[error("text out of bounds: {0}")]
    Text(#[from] InvalidText),
}

/// An event for browsers, encoded once for all receivers.
#[derive(Debug)]
pub(crate) struct Outgoing {
    pub(crate) event: &'static str,
    /// The payload.
    pub(crate) json: String,
}

/// The beginning of an event in our namespace, up to its name.
const EVENT: &str = "42/socket.io,[\"";

impl Outgoing {
    /// The payload for the library, which adds the envelope.
    pub(crate) fn payload(&self) -> serde_json::Result<Box<RawValue>> {
        RawValue::from_string(self.json.clone())
    }

    /// The event as a websocket frame.
    pub(crate) fn frame(&self) -> Frame {
        let text = format!("{EVENT}{}\",{}]", self.event, self.json);
        let frame = WebSocketFrame::message(text, OpCode::Data(Data::Text), true);
        let mut bytes = Vec::with_capacity(frame.len());
        // Writing to a vector cannot fail.
        let _ = frame.format(&mut bytes);
        bytes.into()
    }
}

/// The payload of `identify`: an object, or just the name. A member that cannot be used counts as absent, so that nobody is
/// missing from a colleague's screen because of an odd version.
#[derive(Default)]
struct Identify<'json> {
    username: Option<Cow<'json, str>>,
    usertype: Option<Cow<'json, str>>,
    app_version: Option<Cow<'json, str>>,
}

/// The members of the object in `identify`.
#[derive(Deserialize)]
#[serde(field_identifier)]
enum Member {
    #[serde(rename = "username")]
    Username,
    #[serde(rename = "usertype")]
    UserType,
    #[serde(rename = "appVersion")]
    AppVersion,
    #[serde(other)]
    Unknown,
}

/// Reads the JSON array of one Socket.IO event, `["name", payload, …]`, of a connection that began with `handshake`.
pub(crate) fn decode(
    conn: ConnectionId,
    handshake: &Handshake,
    text: &str,
) -> Result<Event, DecodeError> {
    let parts: Vec<&RawValue> = serde_json::from_str(text)?;
    let name = parts.first().ok_or(DecodeError::UnknownEvent)?;
    let name: Cow<'_, str> = serde_json::from_str(name.get())?;
    let payload = || parts.get(1).ok_or(DecodeError::NoPayload);
    match name.as_ref() {
        "identify" => Ok(Event::Identified {
            conn,
            identity: identity(payload()?)?,
            browser: handshake.browser.clone(),
            page: handshake.page.clone(),
        }),
        "startViewingCase" => Ok(Event::CaseOpened {
            conn,
            case: case(payload()?)?,
        }),
        "stopViewingCase" => Ok(Event::CaseClosed {
            conn,
            case: case(payload()?)?,
        }),
        _ => Err(DecodeError::UnknownEvent),
    }
}

/// Encodes a message as an event for browsers.
///
/// The JSON is pure ASCII, because clients 1.x and 2.x disagree about the encoding of other characters on polling.
pub(crate) fn encode(message: &Message) -> serde_json::Result<Outgoing> {
    let (event, json) = match message {
        Message::PeopleViewing(users) => {
            let names: Vec<_> = users.iter().map(Username::as_str).collect();
            ("peopleViewing", serde_json::to_string(&names)?)
        }
        Message::System(message) => ("systemMessage", serde_json::to_string(message.id())?),
        Message::Notification(json) => ("notification", json.to_string()),
    };
    let json = ascii(json);
    Ok(Outgoing { event, json })
}

/// Undoes the second UTF-8 encoding that clients 1.x apply to what they send by polling.
///
/// Text that was encoded twice consists of characters up to U+00FF that, taken as bytes, are UTF-8 again. Text that was encoded
/// once does not look like that, unless a name is mojibake.
pub(crate) fn decode_twice_encoded(text: &str) -> Cow<'_, str> {
    if text.is_ascii() {
        return text.into();
    }
    let bytes: Result<Vec<u8>, _> = text.chars().map(u8::try_from).collect();
    let decoded = bytes.ok().and_then(|bytes| String::from_utf8(bytes).ok());
    decoded.map_or(text.into(), Cow::Owned)
}

fn identity(payload: &RawValue) -> Result<Identity, DecodeError> {
    let said = match text(payload) {
        Some(username) => Identify {
            username: Some(username),
            ..Identify::default()
        },
        None => serde_json::from_str(payload.get())?,
    };
    Ok(Identity {
        username: said.username.unwrap_or_default().as_ref().try_into()?,
        user_type: known(said.usertype.as_deref()),
        app_version: known(said.app_version.as_deref()),
    })
}

impl<'de> Deserialize<'de> for Identify<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Members)
    }
}

/// Reads that object in one go. If a member is there twice, the last one that can be used counts.
struct Members;

impl<'de> Visitor<'de> for Members {
    type Value = Identify<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name, or an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self::Value, A::Error> {
        let mut said = Identify::default();
        while let Some(member) = members.next_key()? {
            let slot = match member {
                Member::Username => &mut said.username,
                Member::UserType => &mut said.usertype,
                Member::AppVersion => &mut said.app_version,
                Member::Unknown => {
                    members.next_value::<IgnoredAny>()?;
                    continue;
                }
            };
            if let Some(text) = text(members.next_value()?) {
                *slot = Some(text);
            }
        }
        Ok(said)
    }
}

/// The text of a string, or of a number as it was written. No other value has a text.
fn text(json: &RawValue) -> Option<Cow<'_, str>> {
    let json = json.get();
    match json.as_bytes().first()? {
        b'"' => serde_json::from_str::<Text<'_>>(json)
            .ok()
            .map(|text| text.0),
        b'-' | b'0'..=b'9' => Some(json.into()),
        _ => None,
    }
}

/// A string, borrowed from the JSON if nothing in it is escaped.
#[derive(Deserialize)]
struct Text<'json>(#[serde(borrow)] Cow<'json, str>);

/// Parses a text that may be absent. A text that is absent, empty, too long or has a control character is `unknown`.
fn known<'text, T>(text: Option<&'text str>) -> T
where
    T: Default + TryFrom<&'text str>,
{
    text.and_then(|text| T::try_from(text).ok())
        .unwrap_or_default()
}

fn case(payload: &RawValue) -> Result<CaseRef, DecodeError> {
    let reference: Cow<'_, str> = serde_json::from_str(payload.get())?;
    Ok(CaseRef::try_from(reference.as_ref())?)
}

/// Rewrites JSON text so that every character outside ASCII is an escape. Such characters occur in strings only.
fn ascii(json: String) -> String {
    if json.is_ascii() {
        return json;
    }
    let mut escaped = String::with_capacity(json.len() * 2);
    for character in json.chars() {
        if character.is_ascii() {
            escaped.push(character);
        } else {
            for unit in character.encode_utf16(&mut [0; 2]) {
                // Writing to a string cannot fail.
                let _ = write!(escaped, "\\u{unit:04x}");
            }
        }
    }
    escaped
}

#[cfg(test)]
mod tests;
