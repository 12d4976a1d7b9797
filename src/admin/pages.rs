//! What people see.
//!
//! Lives here: the data of each template, the words that depend on numbers, the stylesheet and the script.
//! Not here: deciding what happened. Invariant: askama escapes everything; the `safe` filter is never used.

use askama::Template;
use axum::{
    Router,
    routing::{MethodRouter, get},
};
use http::{StatusCode, header};

use super::broadcast::{Ticked, Unclear};
use crate::{
    presence::{ConnectionId, Person, SystemMessage, Username},
    realtime::Delivery,
};

/// The form, the list of connections, and what became of the last attempt.
#[derive(Template)]
#[template(path = "broadcast.html")]
pub(super) struct BroadcastPage {
    people: Vec<Person>,
    ticked: Ticked,
    outcome: Outcome,
}

/// What became of an attempt to send.
#[derive(Debug)]
pub(super) enum Outcome {
    /// There was none.
    Nothing,
    /// The message reached somebody, or is kept for somebody.
    Sent(Delivery),
    /// Those who were chosen have left.
    AllGone,
    /// The message was for everyone, and there is nobody.
    NobodyThere,
    /// A lost place was ended by hand.
    PlaceEnded,
    /// There was no such lost place any more.
    PlaceGone,
    /// Nothing was sent.
    Unclear(Unclear),
}

/// A way out of a problem, and the place on the page where to take it.
struct Remedy {
    anchor: &'static str,
    text: &'static str,
}

impl BroadcastPage {
    pub(super) fn new(people: Vec<Person>, ticked: Ticked, outcome: Outcome) -> Self {
        Self {
            people,
            ticked,
            outcome,
        }
    }

    pub(super) fn status(&self) -> StatusCode {
        match &self.outcome {
            Outcome::Nothing
            | Outcome::Sent(_)
            | Outcome::AllGone
            | Outcome::NobodyThere
            | Outcome::PlaceEnded
            | Outcome::PlaceGone => StatusCode::OK,
            Outcome::Unclear(unclear) => unclear.status(),
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

impl Unclear {
    /// What to do; the page shows the form again.
    fn remedies(self) -> &'static [Remedy] {
        match self {
            Unclear::Message => &[Remedy {
                anchor: "msg",
                text: "Choose a message from the list",
            }],
            Unclear::NoButton | Unclear::BothButtons => &[Remedy {
                anchor: "send",
                text: "Press either “Send to selected” or “Send to everyone”",
            }],
            Unclear::NobodyChosen => &[
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

/// Any other refusal.
#[derive(Template)]
#[template(path = "error.html")]
pub(super) struct ErrorPage {
    title: &'static str,
    explanation: String,
}

impl ErrorPage {
    pub(super) fn new(status: StatusCode, explanation: &str) -> Self {
        Self {
            title: status.canonical_reason().unwrap_or("Error"),
            explanation: sentence(explanation),
        }
    }
}

/// The demonstration page.
#[derive(Template)]
#[template(path = "demo.html")]
pub(super) struct DemoPage {
    /// Where the page's script finds the public listener.
    pub(super) socket: String,
}

/// The files that pages load.
pub(super) fn assets() -> Router {
    Router::new()
        .route(
            "/admin/static/admin.css",
            file(
                "text/css; charset=utf-8",
                include_str!("../../templates/admin.css"),
            ),
        )
        .route(
            "/admin/static/admin.js",
            script(include_str!("../../templates/admin.js")),
        )
}

/// A script of ours.
pub(super) fn script<S: Clone + Send + Sync + 'static>(text: &'static str) -> MethodRouter<S> {
    file("text/javascript; charset=utf-8", text)
}

fn file<S: Clone + Send + Sync + 'static>(
    media_type: &'static str,
    text: &'static str,
) -> MethodRouter<S> {
    get(async move || ([(header::CONTENT_TYPE, media_type)], text))
}

/// A message of ours, which begins in lower case and has no full stop, as a sentence.
fn sentence(message: &str) -> String {
    let mut letters = message.chars();
    let first = letters.next().map(|letter| letter.to_ascii_uppercase());
    first.into_iter().chain(letters).chain(['.']).collect()
}
