//! Notifications that the back-end posts and browsers show.
//!
//! Lives here: taking one and handing it to the hub. Not here: what it says, which is between the back-end and browsers.
//! Invariant: "success" is said only once the message is on its way, because the back-end then never sends it again.

use std::collections::BTreeSet;

use axum::{Router, extract::State, response::Response, routing::post};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{
    at,
    audit::Administrator,
    body::{Decoded, Posted, from_form, from_json},
    error::HttpError,
    receipt::{Reach, Receipt},
};
use crate::{
    presence::{Audience, Message, UserType},
    realtime::HubHandle,
};

/// Where they are posted.
pub(super) const PATH: &str = "/admin/notifications";

/// Deepest nesting of arrays and objects passed on. Some thousand levels make a client's parser overflow its stack.
pub(super) const MAX_DEPTH: usize = 128;

/// Who is meant when nobody is named.
const DEFAULT_USER_TYPE: &str = "operator";

/// What browsers of CHS say they are; others are served all the same.
const KNOWN_USER_TYPES: [&str; 2] = ["operator", "provider"];

/// [`PATH`].
pub(super) fn routes(hub: HubHandle) -> Router {
    at(PATH, post(send).with_state(hub))
}

/// A body; its notifications are unparsed JSON, or a text of a form.
#[derive(Deserialize)]
struct Post<Json> {
    notifications: Option<Json>,
    /// As browsers spell it when they identify.
    usertype: Option<String>,
    /// As the people map spells it.
    #[serde(rename = "userType")]
    user_type: Option<String>,
}

/// What is particular to the answer.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Sent {
    /// Part of the answer since the Node.js server.
    active_tab: &'static str,
    #[serde(rename = "usertype")]
    user_type: String,
    #[serde(flatten)]
    reach: Reach,
}

async fn send(
    State(hub): State<HubHandle>,
    administrator: Administrator,
    posted: Posted,
) -> Result<Response, HttpError> {
    let Order {
        json,
        to: user_type,
        ignored,
    } = read(&posted)?;
    let not_shown = not_shown(&json);
    let to = Audience::UserType(user_type.clone());
    let message = Message::Notification(json.into());
    let delivery = hub.post(to.clone(), message.clone()).await?;
    administrator.sent(&message, &to, delivery);
    let reach = Reach::from(delivery);
    let nobody = reach.is_nobody().then(|| nobody_of(&user_type));
    let sent = Sent {
        active_tab: "notifications",
        user_type: user_type.to_string(),
        reach,
    };
    let receipt = Receipt::new(sent, ignored).warn(not_shown).warn(nobody);
    Ok(receipt.answer())
}

/// What to send, and for whom it is.
struct Order {
    json: String,
    to: UserType,
    ignored: BTreeSet<String>,
}

fn read(posted: &Posted) -> Result<Order, HttpError> {
    let (json, spellings, ignored) = match posted {
        Posted::Json(text) => {
            // Unparsed, so that browsers get it byte for byte.
            let Decoded { value, ignored } = from_json::<Post<&RawValue>>(text)?;
            let json = value.notifications.map(|raw| raw.get().to_owned());
            (json, [value.usertype, value.user_type], ignored)
        }
        Posted::Form(text) => {
            let Decoded { value, ignored } = from_form::<Post<String>>(text)?;
            let json = value.notifications.as_deref().map(json_text).transpose()?;
            (json, [value.usertype, value.user_type], ignored)
        }
    };
    let json = json.ok_or(HttpError::NoNotifications)?;
    if depth(&json) > MAX_DEPTH {
        return Err(HttpError::TooDeep);
    }
    let to = parse_user_type(spellings)?;
    Ok(Order { json, to, ignored })
}

/// The JSON in a field of a form. Any other text may be what is left of a list: Python's requests makes the field
/// `notifications=id` of the list `[{"id": 1}]`.
fn json_text(text: &str) -> Result<String, HttpError> {
    let json: &RawValue = serde_json::from_str(text).map_err(|_| HttpError::NotJsonText)?;
    if json.get().starts_with(['[', '{']) {
        Ok(json.get().to_owned())
    } else {
        Err(HttpError::NotJsonText)
    }
}

fn parse_user_type(spellings: [Option<String>; 2]) -> Result<UserType, HttpError> {
    let mut named = spellings
        .into_iter()
        .flatten()
        .filter(|text| !text.is_empty());
    let (first, second) = (named.next(), named.next());
    if second.is_some() && second != first {
        return Err(HttpError::TwoUserTypes);
    }
    let text = first.as_deref().unwrap_or(DEFAULT_USER_TYPE);
    UserType::try_from(text).map_err(HttpError::UserType)
}

fn not_shown(json: &str) -> Option<String> {
    let warning = "notifications is not a JSON array, and the browser app shows nothing else";
    (!json.starts_with('[')).then(|| warning.to_owned())
}

fn nobody_of(user_type: &UserType) -> String {
    let nobody =
        format!("nobody of user type {user_type} is connected or lost, so nobody gets this");
    if KNOWN_USER_TYPES.contains(&user_type.as_str()) {
        nobody
    } else {
        let known = KNOWN_USER_TYPES.join(" and ");
        format!("{nobody}; the browser app knows {known}")
    }
}

/// How deep a valid JSON text nests. Counted by hand: a parser would have to build what we only pass on.
fn depth(json: &str) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0);
    let mut bytes = json.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth = depth.saturating_sub(1),
            b'"' => skip_string(&mut bytes),
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    deepest
}

/// Moves on to just after the end of the string that has begun.
fn skip_string(bytes: &mut impl Iterator<Item = u8>) {
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => return,
            b'\\' => {
                bytes.next();
            }
            _ => {}
        }
    }
}
