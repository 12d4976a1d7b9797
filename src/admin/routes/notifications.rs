//! `/admin/notifications/`: notifications that the back-end posts and browsers show.
//!
//! Lives here: reading a notification and handing it to the hub. Not here: its contents, which are between the back-end and the
//! browser app.
//! Invariant: the answer says `success` only once the message is on its way, because the back-end then never posts it again.

use std::collections::BTreeSet;

use axum::{Router, extract::State, response::Response, routing::post};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::super::{
    audit::Administrator,
    body::{Decoded, RequestBody, from_form, from_json},
    error::{HttpError, Refusal},
    paths::at,
    receipt::{Reach, Receipt},
};
use crate::{
    hub::HubHandle,
    presence::{Audience, InvalidText, Message, UserType},
};

/// The path, without a trailing slash.
pub(in super::super) const PATH: &str = "/admin/notifications";

/// The deepest nesting of arrays and objects that is passed on. Some thousand levels make a client's parser overflow its stack.
const MAX_DEPTH: usize = 128;

/// The user type of a notification that names none.
const DEFAULT_USER_TYPE: &str = "operator";

/// The user types of the browser app. Others are served all the same.
const KNOWN_USER_TYPES: [&str; 2] = ["operator", "provider"];

/// Why a notification was refused.
#[derive(Debug, thiserror::Error)]
enum Refused {
    #[error(
        r#"notifications is missing or null, so nothing was sent; post {{"notifications": [...]}}"#
    )]
    NoNotifications,
    #[error(
        "notifications in a form has to be the text of a JSON array or object, so nothing was sent; better send JSON, with \
         Content-Type: application/json"
    )]
    NotJsonText,
    #[error("notifications is nested more than {MAX_DEPTH} deep, which browsers may fail to read")]
    TooDeep,
    #[error("usertype and userType, two spellings of one member, are different; send one of them")]
    TwoUserTypes,
    #[error(
        "usertype cannot be used, which is at most {} bytes without control characters",
        UserType::MAX_BYTES
    )]
    UserType(#[source] InvalidText),
}

impl Refusal for Refused {}

/// The route.
pub(in super::super) fn routes(hub: HubHandle) -> Router {
    at(PATH, post(send).with_state(hub))
}

/// A body. Its notifications are unparsed JSON, or the text of a form field.
#[derive(Deserialize)]
struct Post<Json> {
    notifications: Option<Json>,
    /// The user type, as browsers spell it when they identify.
    usertype: Option<String>,
    /// The user type, as the people map spells it.
    #[serde(rename = "userType")]
    user_type: Option<String>,
}

/// The answer.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Sent {
    /// The Node.js server had this member.
    active_tab: &'static str,
    #[serde(rename = "usertype")]
    user_type: String,
    #[serde(flatten)]
    reach: Reach,
}

async fn send(
    State(hub): State<HubHandle>,
    administrator: Administrator,
    body: RequestBody,
) -> Result<Response, HttpError> {
    let Order {
        json,
        to: user_type,
        ignored,
    } = read(&body)?;
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

/// A notification and the user type it is for.
struct Order {
    json: String,
    to: UserType,
    ignored: BTreeSet<String>,
}

fn read(body: &RequestBody) -> Result<Order, HttpError> {
    let (json, spellings, ignored) = match body {
        RequestBody::Json(text) => {
            // Unparsed, so that browsers get it byte for byte.
            let Decoded { value, ignored } = from_json::<Post<&RawValue>>(text)?;
            let json = value.notifications.map(|raw| raw.get().to_owned());
            (json, [value.usertype, value.user_type], ignored)
        }
        RequestBody::Form(text) => {
            let Decoded { value, ignored } = from_form::<Post<String>>(text)?;
            let json = value.notifications.as_deref().map(json_text).transpose()?;
            (json, [value.usertype, value.user_type], ignored)
        }
    };
    let json = json.ok_or(Refused::NoNotifications)?;
    if depth(&json) > MAX_DEPTH {
        return Err(Refused::TooDeep.into());
    }
    let to = parse_user_type(spellings)?;
    Ok(Order { json, to, ignored })
}

/// The JSON in a form field. Other text may be what remains of a list: from the list `[{"id": 1}]`, Python's requests makes the
/// field `notifications=id`.
fn json_text(text: &str) -> Result<String, Refused> {
    let json: &RawValue = serde_json::from_str(text).map_err(|_| Refused::NotJsonText)?;
    if json.get().starts_with(['[', '{']) {
        Ok(json.get().to_owned())
    } else {
        Err(Refused::NotJsonText)
    }
}

fn parse_user_type(spellings: [Option<String>; 2]) -> Result<UserType, Refused> {
    let mut named = spellings
        .into_iter()
        .flatten()
        .filter(|text| !text.is_empty());
    let (first, second) = (named.next(), named.next());
    if second.is_some() && second != first {
        return Err(Refused::TwoUserTypes);
    }
    let text = first.as_deref().unwrap_or(DEFAULT_USER_TYPE);
    UserType::try_from(text).map_err(Refused::UserType)
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

/// The depth of nesting of a valid JSON text. A parser would have to build values that are only passed on.
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

/// Skips the rest of a string, including its closing quote.
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
