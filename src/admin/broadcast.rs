//! The form that tells browsers something.
//!
//! Lives here: reading the form, sending, and what the sender is then told. Not here: the page's looks (`templates`).
//! Invariant: whatever is unclear sends nothing.

use std::collections::BTreeSet;

use axum::{Router, extract::State, response::Response, routing::get};
use http::{HeaderMap, StatusCode};
use serde::{Deserialize, Serialize};

use super::{
    at,
    audit::Administrator,
    body::Posted,
    error::HttpError,
    pages::{BroadcastPage, Outcome},
    reply::{self, Format},
};
use crate::{
    presence::{Audience, ConnectionId, Message, SystemMessage, Username},
    realtime::{Delivery, HubHandle},
};

/// Where the form lives.
pub(super) const PATH: &str = "/admin/broadcast/";

/// The form and its receiver.
pub(super) fn routes(hub: HubHandle) -> Router {
    at("/admin/broadcast", get(show).post(send).with_state(hub))
}

/// The fields as they are sent.
#[derive(Deserialize)]
struct Fields {
    #[serde(rename = "msg")]
    message: Option<String>,
    #[serde(default, rename = "socketID")]
    connections: Texts,
    #[serde(default, rename = "username")]
    users: Texts,
    #[serde(default, rename = "selectedClients")]
    chosen: Button,
    #[serde(default, rename = "allClients")]
    everyone: Button,
}

/// What a set of checkboxes sends: nothing, one value, or several.
#[derive(Default, Deserialize)]
#[serde(untagged, expecting = "a text or a list of texts")]
enum Texts {
    #[default]
    None,
    One(String),
    Many(Vec<String>),
}

/// A submit button; a form can only send text, a program may send a truth value.
#[derive(Default, Deserialize)]
#[serde(untagged, expecting = "true or false")]
enum Button {
    #[default]
    Absent,
    Flag(bool),
    Text(String),
}

/// The boxes that were ticked and can be understood.
#[derive(Clone, Debug, Default)]
pub(super) struct Ticked {
    pub(super) users: BTreeSet<Username>,
    pub(super) connections: BTreeSet<ConnectionId>,
}

/// Why it is not clear what to send, or to whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unclear {
    #[error("msg is missing or is not a message that browsers know, so nothing was sent")]
    Message,
    #[error("neither selectedClients nor allClients is true, so nothing was sent")]
    NoButton,
    #[error("both selectedClients and allClients are true, so nothing was sent")]
    BothButtons,
    #[error(
        "selectedClients is true but there is no username and no socketID, so nothing was sent"
    )]
    NobodyChosen,
}

impl Unclear {
    /// 403 for the message is what scripts know from the Node.js server.
    pub(super) fn status(self) -> StatusCode {
        match self {
            Self::Message => StatusCode::FORBIDDEN,
            Self::NoButton | Self::BothButtons | Self::NobodyChosen => StatusCode::BAD_REQUEST,
        }
    }
}

/// What a program is told after a broadcast.
#[derive(Serialize)]
struct Receipt {
    success: bool,
    reached: usize,
    /// Lost connections that get it when they come back.
    kept: usize,
}

async fn show(State(hub): State<HubHandle>) -> Result<Response, HttpError> {
    page(&hub, Ticked::default(), Outcome::Nothing).await
}

async fn send(
    State(hub): State<HubHandle>,
    administrator: Administrator,
    headers: HeaderMap,
    posted: Posted,
) -> Result<Response, HttpError> {
    let format = posted.answered_in(&headers);
    let fields: Fields = posted.decode()?;
    match (fields.order(), format) {
        (Ok((message, to)), _) => {
            let everyone = to == Audience::Everyone;
            let message = Message::System(message);
            let delivery = hub.post(to.clone(), message.clone()).await?;
            administrator.sent(&message, &to, delivery);
            confirm(&hub, delivery, everyone, format).await
        }
        (Err(unclear), Format::Html) => {
            page(&hub, fields.ticked(), Outcome::Unclear(unclear)).await
        }
        (Err(unclear), Format::Json) => Err(unclear.into()),
    }
}

async fn confirm(
    hub: &HubHandle,
    delivery: Delivery,
    everyone: bool,
    format: Format,
) -> Result<Response, HttpError> {
    let Delivery { reached, kept } = delivery;
    match format {
        Format::Json => {
            let receipt = Receipt {
                success: true,
                reached,
                kept,
            };
            Ok(reply::json(StatusCode::OK, &receipt))
        }
        Format::Html => {
            let outcome = match (reached + kept, everyone) {
                (0, true) => Outcome::NobodyThere,
                (0, false) => Outcome::AllGone,
                _ => Outcome::Sent(delivery),
            };
            page(hub, Ticked::default(), outcome).await
        }
    }
}

/// The form with the people who are there now.
pub(super) async fn page(
    hub: &HubHandle,
    ticked: Ticked,
    outcome: Outcome,
) -> Result<Response, HttpError> {
    reply::with_people(hub, |people| {
        let page = BroadcastPage::new(people, ticked, outcome);
        reply::html(page.status(), &page)
    })
    .await
}

impl Fields {
    /// What to send and to whom, if that is beyond doubt.
    fn order(&self) -> Result<(SystemMessage, Audience), Unclear> {
        let message = SystemMessage::ALL
            .into_iter()
            .find(|message| Some(message.id()) == self.message.as_deref())
            .ok_or(Unclear::Message)?;
        let to = match (self.chosen.pressed(), self.everyone.pressed()) {
            (true, true) => return Err(Unclear::BothButtons),
            (false, false) => return Err(Unclear::NoButton),
            (false, true) => Audience::Everyone,
            (true, false) if self.users.is_empty() && self.connections.is_empty() => {
                return Err(Unclear::NobodyChosen);
            }
            (true, false) => self.ticked().into(),
        };
        Ok((message, to))
    }

    /// Names that cannot be anybody's are nobody's, like those of people who have left.
    fn ticked(&self) -> Ticked {
        Ticked {
            users: self
                .users
                .iter()
                .filter_map(|name| name.try_into().ok())
                .collect(),
            connections: self
                .connections
                .iter()
                .filter_map(|id| id.try_into().ok())
                .collect(),
        }
    }
}

impl Texts {
    fn iter(&self) -> impl Iterator<Item = &str> {
        let texts = match self {
            Self::None => &[],
            Self::One(text) => std::slice::from_ref(text),
            Self::Many(texts) => texts.as_slice(),
        };
        texts
            .iter()
            .map(String::as_str)
            .filter(|text| !text.is_empty())
    }

    fn is_empty(&self) -> bool {
        self.iter().next().is_none()
    }
}

impl Button {
    fn pressed(&self) -> bool {
        match self {
            Self::Absent => false,
            Self::Flag(pressed) => *pressed,
            Self::Text(text) => text == "true",
        }
    }
}

impl From<Ticked> for Audience {
    fn from(ticked: Ticked) -> Self {
        Self::Chosen {
            users: ticked.users,
            connections: ticked.connections,
        }
    }
}
