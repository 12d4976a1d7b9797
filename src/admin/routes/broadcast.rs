//! `/admin/broadcast/`: the form that sends a message to browsers.
//!
//! Lives here: reading the form, sending, and answering. Not here: the page (`message_page`).
//! Invariant: an unclear form sends nothing.

use std::collections::BTreeSet;

use axum::{Router, extract::State, response::Response, routing::get};
use http::{HeaderMap, StatusCode};
use serde::{Deserialize, Serialize};

use super::super::{
    audit::Administrator,
    body::{Decoded, RequestBody},
    error::{HttpError, Refusal},
    long_answer::LongAnswers,
    message_page::{Outcome, Remedy, Ticked, message_page},
    paths::at,
    receipt::{Reach, Receipt},
    reply::AnswerFormat,
};
use crate::{
    hub::Delivery,
    presence::{Audience, Message, SystemMessage},
};

/// The path of the form.
pub(in super::super) const PATH: &str = "/admin/broadcast/";

/// The route.
pub(in super::super) fn routes(answers: LongAnswers) -> Router {
    at("/admin/broadcast", get(show).post(send).with_state(answers))
}

/// The fields of the form.
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

/// The values of a set of checkboxes: none, one, or several.
#[derive(Default, Deserialize)]
#[serde(untagged, expecting = "a text or a list of texts")]
enum Texts {
    #[default]
    None,
    One(String),
    Many(Vec<String>),
}

/// A submit button. A form sends text; a program may send a boolean.
#[derive(Default, Deserialize)]
#[serde(untagged, expecting = "true or false")]
enum Button {
    #[default]
    Absent,
    Flag(bool),
    Text(String),
}

/// Why a form is unclear.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
enum Unclear {
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

impl Refusal for Unclear {
    /// Scripts know 403 for an unknown message from the Node.js server.
    fn status(&self) -> StatusCode {
        match self {
            Self::Message => StatusCode::FORBIDDEN,
            Self::NoButton | Self::BothButtons | Self::NobodyChosen => StatusCode::BAD_REQUEST,
        }
    }
}

impl Unclear {
    /// What to do. The page shows the form again.
    fn remedies(self) -> &'static [Remedy] {
        match self {
            Self::Message => &[Remedy {
                anchor: "msg",
                text: "Choose a message from the list",
            }],
            Self::NoButton | Self::BothButtons => &[Remedy {
                anchor: "send",
                text: "Press either “Send to selected” or “Send to everyone”",
            }],
            Self::NobodyChosen => &[
                Remedy {
                    anchor: "people",
                    text: "Tick at least one user or connection before you press “Send to selected”",
                },
                Remedy {
                    anchor: "send",
                    text: "If you mean all of them, press “Send to everyone”",
                },
            ],
        }
    }
}

/// The answer to a program: the request as it was understood, and its outcome.
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

async fn show(State(answers): State<LongAnswers>) -> Result<Response, HttpError> {
    message_page(&answers, Ticked::default(), Outcome::Nothing).await
}

async fn send(
    State(answers): State<LongAnswers>,
    administrator: Administrator,
    headers: HeaderMap,
    body: RequestBody,
) -> Result<Response, HttpError> {
    let format = body.answer_format(&headers);
    let Decoded {
        value: fields,
        mut ignored,
    } = body.decode::<Fields>()?;
    let (message, to) = match (fields.order(), format) {
        (Ok(order), _) => order,
        (Err(unclear), AnswerFormat::Json) => return Err(unclear.into()),
        (Err(unclear), AnswerFormat::Html) => {
            let outcome = Outcome::Unclear {
                status: unclear.status(),
                remedies: unclear.remedies(),
            };
            return message_page(&answers, fields.ticked(), outcome).await;
        }
    };
    let hub = answers.hub();
    let delivery = hub.post(to.clone(), Message::System(message)).await?;
    administrator.sent(&Message::System(message), &to, delivery);
    match format {
        AnswerFormat::Json => {
            ignored.extend(fields.unused(&to));
            Ok(receipt(message, &to, delivery, ignored).answer())
        }
        AnswerFormat::Html => confirm(&answers, &to, delivery).await,
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
    answers: &LongAnswers,
    to: &Audience,
    delivery: Delivery,
) -> Result<Response, HttpError> {
    let Delivery { reached, kept } = delivery;
    let outcome = match (reached + kept, *to == Audience::Everyone) {
        (0, true) => Outcome::NobodyThere,
        (0, false) => Outcome::AllGone,
        _ => Outcome::Sent(delivery),
    };
    message_page(answers, Ticked::default(), outcome).await
}

impl Fields {
    /// The message and its audience, if both are clear.
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

    /// The names of members that have no effect, because the message is for everyone.
    fn unused(&self, to: &Audience) -> impl Iterator<Item = String> {
        let chosen = [("username", &self.users), ("socketID", &self.connections)];
        let chosen = chosen.into_iter().filter(|(_, names)| !names.is_empty());
        let all = *to == Audience::Everyone;
        chosen
            .filter(move |_| all)
            .map(|(member, _)| member.to_owned())
    }

    /// The ticked boxes. A name that cannot exist counts as that of somebody who has left.
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
