//! Requests to the public listener for anything but Socket.IO.
//!
//! Lives here: what they are told. Not here: where else things are, which is nobody's business on this listener.

use axum::body::Body;
use http::{HeaderValue, Request, Response, StatusCode, header::CONTENT_TYPE};

/// Where Socket.IO is, with or without more of a path below.
const SOCKET_IO: &str = "/socket.io";

/// Shaped like the refusals of the admin app, because its callers are the ones who come here by mistake: `cla_backend`
/// counts an answer without `success` as no try at all.
const NOTHING_HERE: &str = concat!(
    r#"{"success":false,"error":"there is nothing at this address; this listener has Socket.IO at /socket.io/ and "#,
    r#"nothing else, and the admin app has a listener of its own (admin.listen)"}"#,
);

/// The refusal of a request that is not for Socket.IO.
pub(super) fn refusal<T>(request: &Request<T>) -> Option<Response<Body>> {
    let below = request.uri().path().strip_prefix(SOCKET_IO);
    if below.is_some_and(|rest| rest.is_empty() || rest.starts_with('/')) {
        return None;
    }
    let mut refusal = Response::new(Body::from(NOTHING_HERE));
    *refusal.status_mut() = StatusCode::NOT_FOUND;
    let json = HeaderValue::from_static("application/json");
    refusal.headers_mut().insert(CONTENT_TYPE, json);
    Some(refusal)
}
