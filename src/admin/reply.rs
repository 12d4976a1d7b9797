//! The kinds of answer: a page, JSON, a redirect.
//!
//! Lives here: choosing and making them. Not here: their contents.

use axum::response::{Html, IntoResponse, Response};
use http::{HeaderMap, StatusCode, header};
use serde::Serialize;

use super::error::HttpError;

/// The format that a caller reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AnswerFormat {
    /// A page, for a person with a browser.
    Html,
    /// JSON, for a program.
    Json,
}

impl AnswerFormat {
    /// The format that the caller asks for. A caller that accepts both is a browser.
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
        // Only a map whose keys are no strings, or a failing `Serialize`, gets here. There is neither.
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// A redirect with status 302, which probes expect.
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
