//! Notifications that the back-end posts and browsers show.
//!
//! Lives here: taking one and handing it to the hub. Not here: what it says, which is between the back-end and browsers.
//! Invariant: "success" is said only once the message is on its way, because the back-end then never sends it again.

use axum::{Router, extract::State, response::Response, routing::post};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{
    at,
    audit::Administrator,
    body::{Posted, from_form, from_json},
    error::HttpError,
    reply,
};
use crate::{
    presence::{Audience, Message, UserType},
    realtime::{Delivery, HubHandle},
};

/// Where they are posted.
pub(super) const PATH: &str = "/admin/notifications";

/// Deepest nesting of arrays and objects passed on. Some thousand levels make a client's parser overflow its stack.
pub(super) const MAX_DEPTH: usize = 128;

/// Who is meant when nobody is named.
const DEFAULT_USER_TYPE: &str = "operator";

/// [`PATH`].
pub(super) fn routes(hub: HubHandle) -> Router {
    at(PATH, post(send).with_state(hub))
}

#[derive(Deserialize)]
struct JsonPost<'a> {
    /// Unparsed, so that browsers get it byte for byte.
    #[serde(borrow)]
    notifications: Option<&'a RawValue>,
    usertype: Option<String>,
}

#[derive(Deserialize)]
struct FormPost {
    notifications: Option<String>,
    usertype: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Receipt {
    success: bool,
    /// Part of the answer since the Node.js server.
    active_tab: &'static str,
    reached: usize,
    /// Lost connections that get it when they come back.
    kept: usize,
}

async fn send(
    State(hub): State<HubHandle>,
    administrator: Administrator,
    posted: Posted,
) -> Result<Response, HttpError> {
    let (json, user_type) = read(&posted)?;
    let to = Audience::UserType(user_type);
    let message = Message::Notification(json.into());
    let delivery = hub.post(to.clone(), message.clone()).await?;
    administrator.sent(&message, &to, delivery);
    let Delivery { reached, kept } = delivery;
    let receipt = Receipt {
        success: true,
        active_tab: "notifications",
        reached,
        kept,
    };
    Ok(reply::json(StatusCode::OK, &receipt))
}

/// The notifications as JSON text, and for whom they are.
fn read(posted: &Posted) -> Result<(String, UserType), HttpError> {
    let (json, user_type) = match posted {
        Posted::Json(text) => {
            let post: JsonPost = from_json(text)?;
            let json = post.notifications.map(|raw| raw.get().to_owned());
            (json, post.usertype)
        }
        Posted::Form(text) => {
            let post: FormPost = from_form(text)?;
            let text = post.notifications.map(serde_json::Value::String);
            (text.map(|text| text.to_string()), post.usertype)
        }
    };
    let json = json.ok_or(HttpError::NoNotifications)?;
    if depth(&json) > MAX_DEPTH {
        return Err(HttpError::TooDeep);
    }
    Ok((json, parse_user_type(user_type.as_deref())?))
}

fn parse_user_type(text: Option<&str>) -> Result<UserType, HttpError> {
    let text = text.filter(|text| !text.is_empty());
    UserType::try_from(text.unwrap_or(DEFAULT_USER_TYPE)).map_err(HttpError::UserType)
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
