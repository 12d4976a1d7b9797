//! Why a request to the admin app is refused.
//!
//! Lives here: the refusals that are not specific to a route, and the type for all. Not here: the response (`render`), and
//! refusals of single routes.
//! Invariant: an explanation contains what the caller sent and what to do, never a path or a trace of ours.

use std::{error::Error, fmt, net::IpAddr, sync::Arc, time::Duration};

use axum::response::{IntoResponse, Response};
use http::{HeaderName, HeaderValue, StatusCode, header};
use tokio::task::JoinError;

use crate::{hub::HubGone, stats::Counter};

/// A refusal that is specific to a route.
pub(super) trait Refusal: Error + Send + Sync + 'static {
    /// The status of the response.
    fn status(&self) -> StatusCode {
        StatusCode::BAD_REQUEST
    }
}

/// Why a request was not carried out.
#[derive(Debug, thiserror::Error)]
pub(super) enum HttpError {
    #[error(
        "there is nothing at this address; this listener has {addresses}, and Socket.IO is on the public listener"
    )]
    NotFound {
        /// The addresses where there is something.
        addresses: &'static str,
    },
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
    #[error("the request took longer than {} s to arrive or to carry out; it may have been carried out all the same", .0.as_secs_f64())]
    TimedOut(Duration),
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
        /// The member that is wrong, or the body itself.
        member: String,
        #[source]
        cause: serde_json::Error,
    },
    #[error(
        "{0} is in the form more than once; send lists as JSON, with Content-Type: application/json"
    )]
    Repeated(String),
    #[error("{0}")]
    Route(Box<dyn Refusal>),
    #[error("nobody can be reached at the moment")]
    HubGone(#[from] HubGone),
    #[error("the page could not be made")]
    Page(#[from] askama::Error),
    #[error("the answer could not be made")]
    Answer(#[from] JoinError),
    #[error("the metrics could not be written")]
    Metrics(#[from] fmt::Error),
}

impl<R: Refusal> From<R> for HttpError {
    fn from(refusal: R) -> Self {
        Self::Route(Box::new(refusal))
    }
}

impl HttpError {
    pub(super) fn status(&self) -> StatusCode {
        match self {
            Self::NotFound { .. } => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::UnknownHost(_) => StatusCode::MISDIRECTED_REQUEST,
            Self::UnknownPeer(_) | Self::CrossOrigin => StatusCode::FORBIDDEN,
            Self::TimedOut(_) => StatusCode::REQUEST_TIMEOUT,
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
            | Self::Repeated(_) => StatusCode::BAD_REQUEST,
            Self::Route(refusal) => refusal.status(),
            Self::HubGone(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Page(_) | Self::Answer(_) | Self::Metrics(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// The counter for this refusal, if it has one.
    pub(super) fn counter(&self) -> Option<Counter> {
        match self {
            Self::UnknownPeer(_) => Some(Counter::AdminAddress),
            Self::BadHost | Self::UnknownHost(_) => Some(Counter::AdminHost),
            Self::CrossOrigin => Some(Counter::AdminOrigin),
            Self::TooLarge(_) => Some(Counter::AdminBody),
            Self::TimedOut(_) => Some(Counter::AdminTimeout),
            Self::NotFound { .. }
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
            | Self::Route(_)
            | Self::HubGone(_)
            | Self::Page(_)
            | Self::Answer(_)
            | Self::Metrics(_) => None,
        }
    }

    /// The name or address that an operator would have to allow. The address is that of the peer, which it cannot forge.
    pub(super) fn example(&self) -> Option<String> {
        if let Self::UnknownHost(host) = self {
            return Some(host.clone());
        }
        let Self::UnknownPeer(Some(peer)) = self else {
            return None;
        };
        Some(peer.to_string())
    }

    /// The explanation for the caller. `allow` are the methods of the address, if it is known.
    pub(super) fn explain(&self, allow: Option<&HeaderValue>) -> String {
        let methods = allow.and_then(|methods| methods.to_str().ok());
        match (self.cause(), methods) {
            (Some(cause), _) => format!("{self}: {cause}"),
            (None, Some(methods)) => format!("{self}; it takes {}", methods.replace(',', ", ")),
            (None, None) => self.to_string(),
        }
    }

    /// The cause, unless it is a mistake of the daemon, which a caller is not told.
    fn cause(&self) -> Option<&dyn Error> {
        if let Self::Route(refusal) = self {
            return refusal.source();
        }
        let is_ours = matches!(self, Self::Page(_) | Self::Answer(_));
        self.source().filter(|_| !is_ours)
    }

    /// The header that tells a program what would be accepted, if HTTP has one.
    pub(super) fn remedy(&self) -> Option<(HeaderName, HeaderValue)> {
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
}

impl IntoResponse for HttpError {
    /// A response with the status only. The middleware `render` knows the caller and adds the rest.
    fn into_response(self) -> Response {
        let mut response = self.status().into_response();
        response.extensions_mut().insert(Arc::new(self));
        response
    }
}
