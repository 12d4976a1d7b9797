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
    body::{Decoded, Posted},
    error::HttpError,
    pages::{BroadcastPage, Outcome},
    receipt::{Reach, Receipt},
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
    #[error(
        "msg is missing or is not a message that browsers know, so nothing was sent; they know {}",
        known_messages()
    )]
    Message,
    #[error("neither selectedClients nor allClients is true, so nothing was sent; set one of them")]
    NoButton,
    #[error("both selectedClients and allClients are true, so nothing was sent; set one of them")]
    BothButtons,
    #[error(
        "selectedClients is true but there is no username and no socketID, so nothing was sent; name somebody, or set \
         allClients instead"
    )]
    NobodyChosen,
}

fn known_messages() -> String {
    let ids = SystemMessage::ALL.map(|message| format!("\"{}\"", message.id()));
    ids.join(", ")
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

/// What is particular to the answer to a program: the request as it was understood, and what became of it.
#[derive(Serialize)]
struct Sent {
    msg: &'static str,
    #[serde(flatten)]
    to: Addressed,
    #[serde(flatten)]
    reach: Reach,
}

#[derive(Serialize)]
#[serde(untagged, rename_all_fields = "camelCase")]
enum Addressed {
    All {
        all_clients: bool,
    },
    Selected {
        selected_clients: bool,
        username: Vec<String>,
        #[serde(rename = "socketID")]
        socket_id: Vec<String>,
    },
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
    let Decoded {
        value: fields,
        mut ignored,
    } = posted.decode::<Fields>()?;
    match (fields.order(), format) {
        (Ok((message, to)), _) => {
            let delivery = hub.post(to.clone(), Message::System(message)).await?;
            administrator.sent(&Message::System(message), &to, delivery);
            match format {
                Format::Json => {
                    ignored.extend(fields.unused(&to));
                    Ok(receipt(message, &to, delivery, ignored).answer())
                }
                Format::Html => confirm(&hub, &to, delivery).await,
            }
        }
        (Err(unclear), Format::Html) => {
            page(&hub, fields.ticked(), Outcome::Unclear(unclear)).await
        }
        (Err(unclear), Format::Json) => Err(unclear.into()),
    }
}

fn receipt(
    message: SystemMessage,
    to: &Audience,
    delivery: Delivery,
    ignored: BTreeSet<String>,
) -> Receipt<Sent> {
    let (to, nobody) = match to {
        Audience::Chosen { users, connections } => {
            let selected = Addressed::Selected {
                selected_clients: true,
                username: users.iter().map(ToString::to_string).collect(),
                socket_id: connections.iter().map(ToString::to_string).collect(),
            };
            (selected, "nobody who was chosen")
        }
        Audience::Everyone | Audience::UserType(_) => {
            (Addressed::All { all_clients: true }, "no browser")
        }
    };
    let reach = Reach::from(delivery);
    let warning = format!("{nobody} is connected or lost, so nobody gets this");
    let warning = reach.is_nobody().then_some(warning);
    let msg = message.id();
    Receipt::new(Sent { msg, to, reach }, ignored).warn(warning)
}

async fn confirm(
    hub: &HubHandle,
    to: &Audience,
    delivery: Delivery,
) -> Result<Response, HttpError> {
    let Delivery { reached, kept } = delivery;
    let outcome = match (reached + kept, *to == Audience::Everyone) {
        (0, true) => Outcome::NobodyThere,
        (0, false) => Outcome::AllGone,
        _ => Outcome::Sent(delivery),
    };
    page(hub, Ticked::default(), outcome).await
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

    /// The names of members that were given and do not count, because the message is for everyone anyway.
    fn unused(&self, to: &Audience) -> impl Iterator<Item = String> {
        let chosen = [("username", &self.users), ("socketID", &self.connections)];
        let chosen = chosen.into_iter().filter(|(_, names)| !names.is_empty());
        let all = *to == Audience::Everyone;
        chosen
            .filter(move |_| all)
            .map(|(member, _)| member.to_owned())
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
