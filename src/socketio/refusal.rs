//! Refusals in the format of Engine.IO.

use axum::body::Body;
use http::{HeaderValue, Response, StatusCode, header::CONTENT_TYPE};

/// A refusal with a code and a message of Engine.IO.
pub(super) fn refusal(status: StatusCode, code: u8, message: &str) -> Response<Body> {
    let body = format!(r#"{{"code":{code},"message":"{message}"}}"#);
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
