//! What clients are answered over HTTP.
//!
//! Lives here: bodies, status codes and headers. Not here: when which response is due.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use engineioxide_core::ProtocolVersion;
use http::{HeaderValue, Response, StatusCode, header::CONTENT_TYPE};
use http_body::{Body, Frame, SizeHint};
use http_body_util::Full;

use crate::{
    payload::{Payload, framed_v3},
    query::Refusal,
};

const TEXT: &str = "text/plain; charset=UTF-8";
const BYTES: &str = "application/octet-stream";

/// A response of the engine.
pub(crate) type OurResponse = Response<Full<Bytes>>;

/// The body of a response.
#[derive(Debug)]
pub enum ResponseBody<B> {
    /// Of the engine.
    Engine(Full<Bytes>),
    /// Of the inner service.
    Inner(Pin<Box<B>>),
}

impl<B: Body<Data = Bytes>> Body for ResponseBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        match &mut *self {
            Self::Engine(body) => Pin::new(body)
                .poll_frame(cx)
                .map_err(|never| match never {}),
            Self::Inner(body) => body.as_mut().poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Engine(body) => body.is_end_stream(),
            Self::Inner(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Engine(body) => body.size_hint(),
            Self::Inner(body) => body.size_hint(),
        }
    }
}

/// The packets that a poll is answered with.
pub(crate) fn payload(payload: Payload) -> OurResponse {
    let kind = if payload.is_binary { BYTES } else { TEXT };
    with_type(kind, payload.body)
}

/// The answer to a handshake. It has the packet `open` and no other, because probes read the rest as JSON.
pub(crate) fn opened(version: ProtocolVersion, open: String) -> OurResponse {
    let body = match version {
        ProtocolVersion::V3 => framed_v3(&open),
        ProtocolVersion::V4 => open,
    };
    with_type(TEXT, body.into())
}

/// The answer to a POST.
pub(crate) fn ok() -> OurResponse {
    with_type(TEXT, Bytes::from_static(b"ok"))
}

/// A response without a body.
pub(crate) fn empty(status: StatusCode) -> OurResponse {
    let mut response = Response::default();
    *response.status_mut() = status;
    response
}

/// The refusal of a request.
pub(crate) fn refused(refusal: Refusal) -> OurResponse {
    let (code, message) = refusal.words();
    let body = format!(r#"{{"code":{code},"message":"{message}"}}"#);
    let mut response = with_type("application/json", body.into());
    *response.status_mut() = StatusCode::BAD_REQUEST;
    response
}

fn with_type(kind: &'static str, body: Bytes) -> OurResponse {
    let mut response = Response::new(Full::new(body));
    let kind = HeaderValue::from_static(kind);
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}
