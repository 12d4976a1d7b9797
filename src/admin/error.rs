//! Everything that a request can be refused for.
//!
//! Lives here: the refusals, their status, and wording them for a browser or a program.
//! Invariant: an answer holds what the caller sent and what to do, never a path or a trace of ours.

use std::{error::Error, fmt, sync::Arc};

use axum::{
    body::Body,
    extract::{Request, State, rejection::BytesRejection},
    middleware::Next,
    response::{IntoResponse, Response},
};
use http::{StatusCode, header};
use serde::Serialize;
use tokio::task::JoinError;
use tracing::{debug, error};

use super::{
    broadcast::Unclear,
    notifications,
    pages::ErrorPage,
    reply::{self, Format},
};
use crate::{
    presence::InvalidText,
    realtime::HubGone,
    stats::{Counter, Counters},
};

/// Why a request was not carried out.
#[derive(Debug, thiserror::Error)]
pub(super) enum HttpError {
    #[error("there is nothing at this address")]
    NotFound,
    #[error("this address does not take that method")]
    MethodNotAllowed,
    #[error(
        "this address may not use this app; if it should, add it to admin.allow_from (CLA_ADMIN__ALLOW_FROM)"
    )]
    UnknownPeer,
    #[error("the request names no host, or names it in a way that cannot be read")]
    BadHost,
    #[error(
        "this app does not answer to the name {0}; if it should, add the name to admin.hostnames (CLA_ADMIN__HOSTNAMES)"
    )]
    UnknownHost(String),
    #[error(
        "the request was made by a page of another site; send it from this app's own page, or with a client that is no browser"
    )]
    CrossOrigin,
    #[error("the request took too long to arrive or to carry out")]
    TimedOut,
    #[error(
        "the body is of a type that is not understood; send application/json or application/x-www-form-urlencoded"
    )]
    UnknownMediaType,
    #[error("the body is larger than allowed")]
    TooLarge,
    #[error("the body did not arrive whole")]
    Incomplete,
    #[error("the body is not UTF-8")]
    NotUtf8,
    #[error("the body is not a JSON object")]
    NotAnObject,
    #[error("the body is not the JSON that is expected here")]
    Json(#[source] serde_json::Error),
    #[error("the body is not the form that is expected here")]
    Form(#[source] serde_html_form::de::Error),
    #[error("notifications is missing or null, so nothing was sent")]
    NoNotifications,
    #[error("place is missing, so nothing was ended")]
    NoPlace,
    #[error("notifications is nested more than {} deep", notifications::MAX_DEPTH)]
    TooDeep,
    #[error("usertype cannot be used")]
    UserType(#[source] InvalidText),
    #[error(transparent)]
    Unclear(#[from] Unclear),
    #[error("nobody can be reached at the moment")]
    HubGone(#[from] HubGone),
    #[error("the page could not be made")]
    Page(#[from] askama::Error),
    #[error("the answer could not be made")]
    Answer(#[from] JoinError),
    #[error("the metrics could not be written")]
    Metrics(#[from] fmt::Error),
}

impl HttpError {
    pub(super) fn status(&self) -> StatusCode {
        match self {
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::UnknownHost(_) => StatusCode::MISDIRECTED_REQUEST,
            Self::UnknownPeer | Self::CrossOrigin => StatusCode::FORBIDDEN,
            Self::TimedOut => StatusCode::REQUEST_TIMEOUT,
            Self::UnknownMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::BadHost
            | Self::Incomplete
            | Self::NotUtf8
            | Self::NotAnObject
            | Self::Json(_)
            | Self::Form(_)
            | Self::NoNotifications
            | Self::NoPlace
            | Self::TooDeep
            | Self::UserType(_) => StatusCode::BAD_REQUEST,
            Self::Unclear(unclear) => unclear.status(),
            Self::HubGone(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Page(_) | Self::Answer(_) | Self::Metrics(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// What operators may want to know the number of.
    fn counter(&self) -> Option<Counter> {
        match self {
            Self::UnknownPeer => Some(Counter::AdminAddress),
            Self::BadHost | Self::UnknownHost(_) => Some(Counter::AdminHost),
            Self::CrossOrigin => Some(Counter::AdminOrigin),
            Self::TooLarge => Some(Counter::AdminBody),
            Self::TimedOut => Some(Counter::AdminTimeout),
            Self::NotFound
            | Self::MethodNotAllowed
            | Self::UnknownMediaType
            | Self::Incomplete
            | Self::NotUtf8
            | Self::NotAnObject
            | Self::Json(_)
            | Self::Form(_)
            | Self::NoNotifications
            | Self::NoPlace
            | Self::TooDeep
            | Self::UserType(_)
            | Self::Unclear(_)
            | Self::HubGone(_)
            | Self::Page(_)
            | Self::Answer(_)
            | Self::Metrics(_) => None,
        }
    }

    /// What went wrong in words for the caller. A page that cannot be made is our fault and not explained to strangers.
    fn explain(&self) -> String {
        match self.source() {
            Some(cause) if !matches!(self, Self::Page(_) | Self::Answer(_)) => {
                format!("{self}: {cause}")
            }
            Some(_) | None => self.to_string(),
        }
    }

    fn answer(&self, format: Format) -> Response {
        let explanation = self.explain();
        let status = self.status();
        if format == Format::Html {
            let page = ErrorPage::new(status, &explanation);
            if let Ok(response) = reply::html(status, &page) {
                return response;
            }
        }
        reply::json(status, &Failure::new(&explanation))
    }
}

impl From<BytesRejection> for HttpError {
    fn from(rejection: BytesRejection) -> Self {
        if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
            Self::TooLarge
        } else {
            Self::Incomplete
        }
    }
}

impl IntoResponse for HttpError {
    /// Only the status: [`render`] knows the caller and fills in the rest.
    fn into_response(self) -> Response {
        let mut response = self.status().into_response();
        response.extensions_mut().insert(Arc::new(self));
        response
    }
}

/// What a program reads when it was refused.
#[derive(Serialize)]
struct Failure<'a> {
    success: bool,
    error: &'a str,
}

impl<'a> Failure<'a> {
    fn new(error: &'a str) -> Self {
        Self {
            success: false,
            error,
        }
    }
}

/// Words every refusal in the way that its caller reads, wherever it arose.
pub(super) async fn render(
    State(counters): State<Counters>,
    request: Request,
    next: Next,
) -> Response {
    let format = format_for(&request);
    let response = next.run(request).await;
    let Some(error) = refusal(&response) else {
        return response;
    };
    log(&error);
    if let Some(counter) = error.counter() {
        counters.count(counter);
    }
    let (bare, _) = response.into_parts();
    let mut answer = error.answer(format);
    if let Some(methods) = bare.headers.get(header::ALLOW) {
        answer.headers_mut().insert(header::ALLOW, methods.clone());
    }
    answer
}

/// A program unless it says otherwise; and at the notifications only programs are expected.
fn format_for(request: &Request<Body>) -> Format {
    let path = request.uri().path().trim_end_matches('/');
    if path == notifications::PATH {
        return Format::Json;
    }
    Format::asked(request.headers()).unwrap_or(Format::Json)
}

fn refusal(response: &Response) -> Option<Arc<HttpError>> {
    let known = response.extensions().get::<Arc<HttpError>>().cloned();
    // The time limit is not ours and leaves only its status.
    let timed_out = response.status() == StatusCode::REQUEST_TIMEOUT;
    known.or_else(|| timed_out.then(|| Arc::new(HttpError::TimedOut)))
}

fn log(error: &HttpError) {
    let status = error.status().as_u16();
    if let HttpError::Page(cause) = error {
        error!(http.status = status, error = %cause, "a page could not be made: {cause}");
    } else {
        // The status alone: an explanation may hold what somebody typed.
        debug!(http.status = status, "request refused");
    }
}
