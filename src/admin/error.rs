//! Everything that a request can be refused for.
//!
//! Lives here: the refusals, their status, and wording them for a browser or a program.
//! Invariant: an answer holds what the caller sent and what to do, never a path or a trace of ours.

use std::{error::Error, fmt, net::IpAddr, sync::Arc};

use axum::{
    body::Body,
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use http::{HeaderName, HeaderValue, StatusCode, header};
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
    presence::{InvalidText, UserType},
    realtime::HubGone,
    stats::{Counter, Counters},
};

/// Why a request was not carried out.
#[derive(Debug, thiserror::Error)]
pub(super) enum HttpError {
    #[error(
        "there is nothing at this address; this listener has /admin/broadcast/, /admin/notifications/, /admin/peopleMap/, \
         /admin/places/end/, /healthz, /readyz and /metrics, and Socket.IO is on the public listener"
    )]
    NotFound,
    #[error("this address does not take that method")]
    MethodNotAllowed,
    #[error(
        "this address may not use this app; if it should, add it to admin.allow_from (CLA_ADMIN__ALLOW_FROM)"
    )]
    UnknownPeer(Option<IpAddr>),
    #[error(
        "the request has no Host header that can be read; send one, a host name or an IP address with or without a port, \
         such as localhost:8006"
    )]
    BadHost,
    #[error(
        "this app does not answer to the name {0}; if it should, add the name to admin.hostnames (CLA_ADMIN__HOSTNAMES)"
    )]
    UnknownHost(String),
    #[error(
        "the request was made by a page of another site; send it from this app's own page, or with a client that is no browser"
    )]
    CrossOrigin,
    #[error(
        "the request took longer than limits.request_timeout_ms (CLA_LIMITS__REQUEST_TIMEOUT_MS) to arrive or to carry out"
    )]
    TimedOut,
    #[error(
        "the body is {0}, which is not understood; send application/json or application/x-www-form-urlencoded"
    )]
    UnknownMediaType(String),
    #[error(
        "the body has no Content-Type; send application/json or application/x-www-form-urlencoded"
    )]
    NoMediaType,
    #[error("the body is compressed ({0}); send it uncompressed, without Content-Encoding")]
    Compressed(String),
    #[error(
        "the body is larger than the {0} bytes that limits.admin_body_bytes (CLA_LIMITS__ADMIN_BODY_BYTES) allows"
    )]
    TooLarge(usize),
    #[error("the body did not arrive whole; send it again")]
    Incomplete,
    #[error("the body is not UTF-8 text; encode it as UTF-8, and do not compress it")]
    NotUtf8,
    #[error("the body is empty; send a JSON object")]
    Empty,
    #[error("the body is not a JSON object; send one, which begins with {{")]
    NotAnObject,
    #[error(
        "the body is announced as a form but looks like JSON; send it with Content-Type: application/json"
    )]
    JsonAsForm,
    #[error("{member} is not the JSON that is expected here")]
    Json {
        /// What is wrong: a member, or the body itself.
        member: String,
        #[source]
        cause: serde_json::Error,
    },
    #[error(
        "{0} is in the form more than once; send lists as JSON, with Content-Type: application/json"
    )]
    Repeated(String),
    #[error(
        r#"notifications is missing or null, so nothing was sent; post {{"notifications": [...]}}"#
    )]
    NoNotifications,
    #[error(
        "notifications in a form has to be the text of a JSON array or object, so nothing was sent; better send JSON, with \
         Content-Type: application/json"
    )]
    NotJsonText,
    #[error(
        r#"place is missing, so nothing was ended; post {{"place": "<socket id>"}}, with an id from /admin/peopleMap/"#
    )]
    NoPlace,
    #[error(
        "notifications is nested more than {} deep, which browsers may fail to read",
        notifications::MAX_DEPTH
    )]
    TooDeep,
    #[error("usertype and userType, two spellings of one member, are different; send one of them")]
    TwoUserTypes,
    #[error(
        "usertype cannot be used, which is at most {} bytes without control characters",
        UserType::MAX_BYTES
    )]
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
            Self::UnknownPeer(_) | Self::CrossOrigin => StatusCode::FORBIDDEN,
            Self::TimedOut => StatusCode::REQUEST_TIMEOUT,
            Self::UnknownMediaType(_) | Self::NoMediaType | Self::Compressed(_) => {
                StatusCode::UNSUPPORTED_MEDIA_TYPE
            }
            Self::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::BadHost
            | Self::Incomplete
            | Self::NotUtf8
            | Self::Empty
            | Self::NotAnObject
            | Self::JsonAsForm
            | Self::Json { .. }
            | Self::Repeated(_)
            | Self::NoNotifications
            | Self::NotJsonText
            | Self::NoPlace
            | Self::TooDeep
            | Self::TwoUserTypes
            | Self::UserType(_) => StatusCode::BAD_REQUEST,
            Self::Unclear(unclear) => unclear.status(),
            Self::HubGone(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Page(_) | Self::Answer(_) | Self::Metrics(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// What operators may want to know the number of.
    fn counter(&self) -> Option<Counter> {
        match self {
            Self::UnknownPeer(_) => Some(Counter::AdminAddress),
            Self::BadHost | Self::UnknownHost(_) => Some(Counter::AdminHost),
            Self::CrossOrigin => Some(Counter::AdminOrigin),
            Self::TooLarge(_) => Some(Counter::AdminBody),
            Self::TimedOut => Some(Counter::AdminTimeout),
            Self::NotFound
            | Self::MethodNotAllowed
            | Self::UnknownMediaType(_)
            | Self::NoMediaType
            | Self::Compressed(_)
            | Self::Incomplete
            | Self::NotUtf8
            | Self::Empty
            | Self::NotAnObject
            | Self::JsonAsForm
            | Self::Json { .. }
            | Self::Repeated(_)
            | Self::NoNotifications
            | Self::NotJsonText
            | Self::NoPlace
            | Self::TooDeep
            | Self::TwoUserTypes
            | Self::UserType(_)
            | Self::Unclear(_)
            | Self::HubGone(_)
            | Self::Page(_)
            | Self::Answer(_)
            | Self::Metrics(_) => None,
        }
    }

    /// What an operator has to know to allow it. The address is that of the peer, which it cannot make up.
    fn example(&self) -> Option<String> {
        if let Self::UnknownHost(host) = self {
            return Some(host.clone());
        }
        let Self::UnknownPeer(Some(peer)) = self else {
            return None;
        };
        Some(peer.to_string())
    }

    /// What went wrong in words for the caller. A page that cannot be made is our fault and not explained to strangers.
    fn explain(&self, allow: Option<&HeaderValue>) -> String {
        let methods = allow.and_then(|methods| methods.to_str().ok());
        match (self.source(), methods) {
            (Some(cause), _) if !matches!(self, Self::Page(_) | Self::Answer(_)) => {
                format!("{self}: {cause}")
            }
            (_, Some(methods)) => format!("{self}; it takes {}", methods.replace(',', ", ")),
            (Some(_) | None, None) => self.to_string(),
        }
    }

    /// The header that says to a program what would be right, where HTTP has one.
    fn remedy(&self) -> Option<(HeaderName, HeaderValue)> {
        let remedy = |name, value| Some((name, HeaderValue::from_static(value)));
        if matches!(self, Self::UnknownMediaType(_) | Self::NoMediaType) {
            let types = "application/json, application/x-www-form-urlencoded";
            remedy(header::ACCEPT, types)
        } else if matches!(self, Self::Compressed(_)) {
            remedy(header::ACCEPT_ENCODING, "identity")
        } else {
            None
        }
    }

    /// The refusal of a request to an address that takes the methods in `allow`, if it is known.
    fn answer(&self, format: Format, allow: Option<HeaderValue>) -> Response {
        let explanation = self.explain(allow.as_ref());
        let mut answer = self.worded(format, &explanation);
        let allow = allow.map(|methods| (header::ALLOW, methods));
        answer
            .headers_mut()
            .extend(allow.into_iter().chain(self.remedy()));
        answer
    }

    fn worded(&self, format: Format, explanation: &str) -> Response {
        let status = self.status();
        if format == Format::Html {
            let page = ErrorPage::new(status, explanation);
            if let Ok(response) = reply::html(status, &page) {
                return response;
            }
        }
        reply::json(status, &Failure::new(explanation))
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
        match error.example() {
            Some(example) => counters.refuse(counter, &example),
            None => counters.count(counter),
        }
    }
    let (mut bare, _) = response.into_parts();
    error.answer(format, bare.headers.remove(header::ALLOW))
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
    response.extensions().get::<Arc<HttpError>>().cloned()
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
