//! The few kinds of answer.
//!
//! Lives here: choosing HTML or JSON, and making either. Not here: what they say.

use axum::response::{Html, IntoResponse, Response};
use http::{HeaderMap, StatusCode, header};
use serde::Serialize;
use tokio::{sync::Semaphore, task::spawn_blocking};

use super::error::HttpError;
use crate::{presence::Person, realtime::HubHandle};

/// What a caller reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// A person with a browser.
    Html,
    /// A program.
    Json,
}

impl Format {
    /// What the caller asks for; a caller that takes both is a browser.
    pub(super) fn asked(headers: &HeaderMap) -> Option<Self> {
        if accepts(headers, "text/html") {
            Some(Self::Html)
        } else if accepts(headers, "application/json") {
            Some(Self::Json)
        } else {
            None
        }
    }
}

/// So many answers with everybody in them are made at a time. Whoever gives up waiting for one does not stop its making.
static LONG_ANSWERS: Semaphore = Semaphore::const_new(2);

/// Makes an answer with everybody in it, apart from the threads that serve browsers: with ten thousand people that takes a
/// while.
pub(super) async fn with_people(
    hub: &HubHandle,
    make: impl FnOnce(Vec<Person>) -> Result<Response, HttpError> + Send + 'static,
) -> Result<Response, HttpError> {
    // Nobody closes it, so there is always a turn.
    let turn = LONG_ANSWERS.acquire().await.ok();
    let people = hub.people().await?;
    spawn_blocking(move || {
        let _turn = turn;
        make(people)
    })
    .await?
}

/// A page.
pub(super) fn html(
    status: StatusCode,
    page: &impl askama::Template,
) -> Result<Response, HttpError> {
    Ok((status, Html(page.render()?)).into_response())
}

/// Plain data as JSON.
pub(super) fn json(status: StatusCode, value: &impl Serialize) -> Response {
    let headers = [(header::CONTENT_TYPE, "application/json")];
    match serde_json::to_string(value) {
        Ok(text) => (status, headers, text).into_response(),
        // Only a map with odd keys or a failing `Serialize` gets here, and there is neither.
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// Sends a browser elsewhere with exactly 302, which is what probes expect.
pub(super) fn found(location: &'static str) -> Response {
    (StatusCode::FOUND, [(header::LOCATION, location)]).into_response()
}

fn accepts(headers: &HeaderMap, media_type: &str) -> bool {
    let values = headers.get_all(header::ACCEPT).iter();
    values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|range| range.split(';').next())
        .any(|range| range.trim().eq_ignore_ascii_case(media_type))
}
