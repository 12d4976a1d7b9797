//! The page with everybody who is connected, and the form that sends them a message.
//!
//! Lives here: its data, and the words that depend on numbers. Not here: what happened before it is shown (`routes`).

use std::collections::BTreeSet;

use askama::Template;
use axum::response::Response;
use http::StatusCode;

use super::{error::HttpError, long_answer::LongAnswers, reply, system_messages::label};
use crate::{
    hub::Delivery,
    presence::{ConnectionId, Person, SystemMessage, Username},
};

/// The page: the form, the list of connections, and the outcome of the last attempt.
#[derive(Template)]
#[template(path = "message.html")]
struct MessagePage {
    people: Vec<Person>,
    ticked: Ticked,
    outcome: Outcome,
}

/// The outcome of an attempt to send a message or to end a place.
#[derive(Debug)]
pub(super) enum Outcome {
    /// There was no attempt.
    Nothing,
    /// The message reached a browser, or is kept for one.
    Sent(Delivery),
    /// All chosen connections have ended.
    AllGone,
    /// The message was for everyone, and nobody is connected.
    NobodyThere,
    /// A lost place was ended by hand.
    PlaceEnded,
    /// There was no such lost place any more.
    PlaceGone,
    /// Nothing was sent, because the form was unclear.
    Unclear {
        /// The status of the response.
        status: StatusCode,
        /// What to do.
        remedies: &'static [Remedy],
    },
}

/// A way out of a problem, and the anchor of the control to use.
#[derive(Debug)]
pub(super) struct Remedy {
    pub(super) anchor: &'static str,
    pub(super) text: &'static str,
}

/// The ticked boxes.
#[derive(Clone, Debug, Default)]
pub(super) struct Ticked {
    pub(super) users: BTreeSet<Username>,
    pub(super) connections: BTreeSet<ConnectionId>,
}

/// The page with the people who are connected now.
pub(super) async fn message_page(
    answers: &LongAnswers,
    ticked: Ticked,
    outcome: Outcome,
) -> Result<Response, HttpError> {
    let make = |people| {
        let page = MessagePage {
            people,
            ticked,
            outcome,
        };
        reply::html(page.status(), &page)
    };
    answers.with_people(make).await
}

impl MessagePage {
    fn status(&self) -> StatusCode {
        match self.outcome {
            Outcome::Nothing
            | Outcome::Sent(_)
            | Outcome::AllGone
            | Outcome::NobodyThere
            | Outcome::PlaceEnded
            | Outcome::PlaceGone => StatusCode::OK,
            Outcome::Unclear { status, .. } => status,
        }
    }

    fn has_user(&self, username: &Username) -> bool {
        self.ticked.users.contains(username)
    }

    fn has_connection(&self, id: &ConnectionId) -> bool {
        self.ticked.connections.contains(id)
    }

    fn connections(&self) -> usize {
        self.people.iter().map(|p| p.connections.len()).sum()
    }

    fn lost(&self) -> usize {
        let connections = self.people.iter().flat_map(|p| &p.connections);
        connections.filter(|(_, c)| c.lost.is_some()).count()
    }
}
