//! What every request to the public listener passes through.
//!
//! Lives here: Origin, limits, and what must be put right before the library sees a request. Not here: Socket.IO.

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::body::Body;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri,
    header::{CONTENT_TYPE, RETRY_AFTER, SEC_WEBSOCKET_KEY},
    uri::PathAndQuery,
};
use hyper::body::Incoming;
use tokio::{sync::Semaphore, time::timeout};
use tower::{ServiceBuilder, ServiceExt, service_fn};
use tower_http::cors::{AllowHeaders, AllowMethods, AllowOrigin, CorsLayer};

use super::{
    hang_up::{Engine, HangUp},
    origin::Origins,
};
use crate::{
    lifecycle::{HttpService, Line},
    presence::ConnectionId,
    stats::{Counter, Counters},
};

/// How long the body of a POST may take. It is at most `limits.message_bytes` long.
const POST_TIMEOUT: Duration = Duration::from_secs(20);

/// Lets requests in, or not.
#[derive(Clone)]
pub(crate) struct Door {
    pub(crate) engine: Engine,
    pub(crate) hang_up: HangUp,
    pub(crate) origins: Arc<Origins>,
    /// One permit for every session that may be open.
    pub(crate) sessions: Arc<Semaphore>,
    pub(crate) counters: Counters,
}

impl Door {
    /// The door as a service.
    pub(crate) fn service(self) -> impl HttpService {
        let cors = CorsLayer::new()
            .allow_origin(AllowOrigin::mirror_request())
            .allow_methods(AllowMethods::list([Method::GET, Method::POST]))
            .allow_headers(AllowHeaders::mirror_request())
            .allow_credentials(true);
        let door = self.clone();
        let inside = service_fn(move |request| door.clone().enter(request));
        let inside = ServiceBuilder::new().layer(cors).service(inside);
        service_fn(move |request: Request<Incoming>| {
            let refused = (!self.origins.allow(request.headers())).then(|| {
                self.counters.count(Counter::OriginRefused);
                refusal(StatusCode::FORBIDDEN, "Forbidden")
            });
            let inside = inside.clone();
            async move {
                match refused {
                    Some(refusal) => Ok(refusal),
                    None => inside.oneshot(request).await,
                }
            }
        })
    }

    async fn enter(self, request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
        let mut request = request.map(Body::new);
        *request.uri_mut() = with_engine_version(request.uri());
        if request.method() != Method::GET {
            let answer = timeout(POST_TIMEOUT, self.answer(request)).await;
            let late = |_| Ok(refusal(StatusCode::REQUEST_TIMEOUT, "Request timeout"));
            return answer.unwrap_or_else(late);
        }
        *request.headers_mut() = kept_for_the_session(request.headers());
        let uri = request.uri();
        match (query(uri, "sid"), query(uri, "transport")) {
            (None, _) => self.shake_hands(request).await,
            (Some(session), Some("websocket")) => {
                self.note_upgrade(session, &request);
                self.answer(request).await
            }
            (Some(_), _) => self.poll(request).await,
        }
    }

    /// Counts a new session: the library keeps the request of a handshake as long as the session, so a permit that
    /// travels with it comes back exactly when the session is gone.
    async fn shake_hands(self, mut request: Request<Body>) -> Result<Response<Body>, Infallible> {
        let Ok(permit) = self.sessions.clone().try_acquire_owned() else {
            return Ok(self.full());
        };
        request.extensions_mut().insert(Arc::new(permit));
        self.answer(request).await
    }

    /// Waits with a client for news. When it goes away meanwhile, as a closed tab does, this future is dropped.
    async fn poll(self, request: Request<Body>) -> Result<Response<Body>, Infallible> {
        let waiting = Waiting {
            hang_up: self.hang_up.clone(),
            address: Some(request.uri().clone()),
        };
        let answer = self.answer(request).await;
        waiting.answered();
        answer
    }

    async fn answer(self, request: Request<Body>) -> Result<Response<Body>, Infallible> {
        let response = self.engine.oneshot(request).await?;
        Ok(response.map(Body::new))
    }

    fn note_upgrade(&self, session: &str, request: &Request<Body>) {
        if let Ok(session) = ConnectionId::try_from(session)
            && let Some(line) = request.extensions().get::<Line>()
        {
            self.hang_up.upgraded(session, line.clone());
        }
    }

    fn full(&self) -> Response<Body> {
        self.counters.count(Counter::SessionRefused);
        let mut full = refusal(StatusCode::SERVICE_UNAVAILABLE, "Too many sessions");
        let headers = full.headers_mut();
        headers.insert(RETRY_AFTER, HeaderValue::from_static("5"));
        full
    }
}

/// A poll that has not been answered. Dropped as such, it ends its session, which would stay until the heartbeat fails.
struct Waiting {
    hang_up: HangUp,
    address: Option<Uri>,
}

impl Waiting {
    fn answered(mut self) {
        self.address = None;
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if let Some(address) = self.address.take() {
            self.hang_up.close_polling(address);
        }
    }
}

/// Gives a request the `EIO` that the library insists on: what is missing, unknown or written `eio` means version 3,
/// as it did to the Node.js server. Also copies the address out of the buffer that it would keep alive.
fn with_engine_version(uri: &Uri) -> Uri {
    let version = query(uri, "EIO")
        .filter(|version| *version == "4")
        .unwrap_or("3");
    let mut rewritten = format!("{}?EIO={version}", uri.path());
    for pair in pairs(uri).filter(|pair| !pair.starts_with("EIO=")) {
        rewritten.push('&');
        rewritten.push_str(pair);
    }
    let rewritten = PathAndQuery::try_from(rewritten);
    rewritten.map_or_else(|_| Uri::default(), Uri::from)
}

/// Copies the one header that the library needs. It keeps the headers of a handshake as long as the session, and
/// each header value would keep the whole buffer that it was read into: 8 kB a connection.
fn kept_for_the_session(headers: &HeaderMap) -> HeaderMap {
    let copied = |name: HeaderName| {
        let value = headers.get(&name)?;
        Some((name, HeaderValue::from_bytes(value.as_bytes()).ok()?))
    };
    [SEC_WEBSOCKET_KEY].into_iter().filter_map(copied).collect()
}

fn query<'uri>(uri: &'uri Uri, key: &str) -> Option<&'uri str> {
    pairs(uri).find_map(|pair| pair.strip_prefix(key)?.strip_prefix('='))
}

fn pairs(uri: &Uri) -> impl Iterator<Item = &str> {
    uri.query()
        .unwrap_or_default()
        .split('&')
        .filter(|pair| !pair.is_empty())
}

/// Refuses in the words of Engine.IO.
fn refusal(status: StatusCode, message: &str) -> Response<Body> {
    let body = format!(r#"{{"code":4,"message":"{message}"}}"#);
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_is_not_version_4_is_version_3() {
        for (asked, understood) in [
            (
                "/socket.io/?EIO=4&transport=polling",
                "/socket.io/?EIO=4&transport=polling",
            ),
            (
                "/socket.io/?EIO=3&transport=polling",
                "/socket.io/?EIO=3&transport=polling",
            ),
            (
                "/socket.io/?eio=3&transport=polling",
                "/socket.io/?EIO=3&eio=3&transport=polling",
            ),
            (
                "/socket.io/?transport=polling&t=x",
                "/socket.io/?EIO=3&transport=polling&t=x",
            ),
            (
                "/socket.io/?transport=polling&EIO=99",
                "/socket.io/?EIO=3&transport=polling",
            ),
            ("/socket.io/?EIO=&EIO=4", "/socket.io/?EIO=3"),
            ("/socket.io/", "/socket.io/?EIO=3"),
        ] {
            assert_eq!(
                with_engine_version(&asked.parse().unwrap()),
                understood,
                "{asked}"
            );
        }
    }
}
