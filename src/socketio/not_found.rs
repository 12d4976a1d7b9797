//! Requests to the public listener for anything other than Socket.IO.
//!
//! Lives here: the response to them. It names the setting with the address of the admin app, and not the address, because anybody
//! can read the response.

use axum::body::Body;
use http::{HeaderValue, Request, Response, StatusCode, header::CONTENT_TYPE};

/// The path of Socket.IO, without a trailing slash.
const SOCKET_IO: &str = "/socket.io";

/// The response has the shape of the admin app's refusals, because requests that come here by mistake are meant for that:
/// `cla_backend` counts a response without `success` as no attempt at all.
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
