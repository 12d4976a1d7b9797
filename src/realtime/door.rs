//! What every request to the public listener passes through.
//!
//! Lives here: Origin, limits, and what must be put right before the library sees a request. Not here: Socket.IO.

use std::{convert::Infallible, future::pending, sync::Arc};

use axum::body::{Body, to_bytes};
use http::{
    HeaderMap, HeaderValue, Method, Request, Response, StatusCode,
    header::{CONTENT_TYPE, RETRY_AFTER, SEC_WEBSOCKET_KEY},
};
use hyper::body::{Body as _, Incoming};
use socketioxide::socket::Sid;
use tokio::time::timeout;
use tower::{ServiceBuilder, ServiceExt, service_fn};
use tower_http::cors::{AllowHeaders, AllowMethods, AllowOrigin, CorsLayer};
use tracing::debug;
use tungstenite::handshake::server::{create_response_with_body, write_response};

use super::{
    elsewhere,
    guests::{Guests, TooMany},
    hang_up::{Engine, EngineVersion, HangUp},
    namespace::{Frames, mend_body},
    origin::{Origins, foreign_host},
    query::{Query, Transport},
    session::{Session, came_from},
    upgrade::Upgrades,
    visit::{Visit, is_ignored},
};
use crate::{
    config::Settings,
    lifecycle::{HttpService, Peer},
    presence::ConnectionId,
    stats::{Counter, Counters},
};

/// Lets requests in, or not.
#[derive(Clone)]
pub(crate) struct Door {
    pub(crate) engine: Engine,
    pub(crate) hang_up: HangUp,
    pub(crate) upgrades: Upgrades,
    pub(crate) origins: Arc<Origins>,
    pub(crate) guests: Guests,
    pub(crate) settings: Settings,
    pub(crate) message_bytes: usize,
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
        let for_own_pages = ServiceBuilder::new().layer(cors).service(inside.clone());
        service_fn(move |request: Request<Incoming>| {
            let admission = self.admission(&request);
            let (door, inside, for_own_pages) =
                (self.clone(), inside.clone(), for_own_pages.clone());
            async move {
                match admission {
                    Admission::Own => for_own_pages.oneshot(request).await,
                    // Without the headers that would let a foreign page read the answer.
                    Admission::Foreign => inside.oneshot(request).await,
                    Admission::Refused => {
                        let site = foreign_host(request.headers()).unwrap_or_default();
                        door.counters.refuse(Counter::OriginRefused, &site);
                        Ok(refusal(StatusCode::FORBIDDEN, 4, "Forbidden"))
                    }
                }
            }
        })
    }

    /// Foreign pages are kept out where a session begins. What belongs to a session is taken from anybody, as Engine.IO
    /// does: no page can guess its id, and the browser app's smoke test names itself as the origin.
    fn admission<T>(&self, request: &Request<T>) -> Admission {
        if self.origins.allow(request.headers()) {
            return Admission::Own;
        }
        let in_session = Query::of(request.uri()).is_ok_and(|query| query.session.is_some());
        if in_session && [Method::GET, Method::POST].contains(request.method()) {
            Admission::Foreign
        } else {
            Admission::Refused
        }
    }

    async fn enter(self, request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
        if let Some(refusal) = elsewhere::refusal(&request) {
            return Ok(refusal);
        }
        let mut request = request.map(Body::new);
        let query = match Query::of(request.uri()) {
            Ok(query) => query,
            Err(bad) => {
                let (code, message) = bad.words();
                return Ok(refusal(StatusCode::BAD_REQUEST, code, message));
            }
        };
        *request.uri_mut() = query.uri();
        if request.method() != Method::GET {
            return self.take(query.version, request).await;
        }
        let websocket = query.transport == Transport::Websocket;
        // The library looks at the key only, and would answer 101 to a client that stays with HTTP.
        let handshake = websocket.then(|| create_response_with_body(&request, || ()));
        let Ok(handshake) = handshake.transpose() else {
            return Ok(refusal(StatusCode::BAD_REQUEST, 3, "Bad request"));
        };
        let headers = std::mem::take(request.headers_mut());
        *request.headers_mut() = kept_for_the_session(&headers);
        match (query.session, handshake) {
            (None, _) => self.shake_hands(&headers, query, request).await,
            (Some(session), Some(handshake)) => {
                self.upgrade(session.as_str(), &handshake, request).await
            }
            (Some(session), None) => self.poll(session, query.version, request).await,
        }
    }

    /// Takes what a client posts: at most `limits.message_bytes`, in the time for that and the answer to it.
    async fn take(
        self,
        version: EngineVersion,
        request: Request<Body>,
    ) -> Result<Response<Body>, Infallible> {
        let patience = self.settings.now().limits.request_timeout;
        let counters = self.counters.clone();
        let most = self.message_bytes;
        let answer = async {
            match version {
                EngineVersion::Three => self.answer(mended(request, most).await).await,
                EngineVersion::Four => self.answer(request).await,
            }
        };
        let Ok(answer) = timeout(patience, answer).await else {
            counters.count(Counter::BodyTimeout);
            return Ok(refusal(StatusCode::REQUEST_TIMEOUT, 3, "Request timeout"));
        };
        let answer = answer?;
        if answer.status() == StatusCode::PAYLOAD_TOO_LARGE {
            counters.count(Counter::BodyTooLarge);
        }
        Ok(answer)
    }

    /// Lets a new session in, which the library keeps as long as the request of its handshake.
    async fn shake_hands(
        self,
        headers: &HeaderMap,
        query: Query,
        mut request: Request<Body>,
    ) -> Result<Response<Body>, Infallible> {
        let extensions = request.extensions_mut();
        let Some((Peer(peer), line)) = came_from(extensions) else {
            return Ok(refusal(StatusCode::BAD_REQUEST, 3, "Bad request"));
        };
        let trusted_proxies = &self.settings.now().public.trusted_proxies;
        if is_ignored(headers, peer, trusted_proxies) {
            self.counters
                .refuse(Counter::ProxyUntrusted, &peer.to_string());
        }
        let visit = Visit::new(headers, peer, trusted_proxies);
        let guest = match self.guests.admit(visit.browser.address) {
            Ok(guest) => guest,
            Err(too_many) => return Ok(self.turn_away(too_many)),
        };
        let line = (query.transport == Transport::Websocket).then_some(line);
        if let Some(line) = &line {
            line.carries(&guest.backlog);
            if query.version == EngineVersion::Three {
                let mut frames = Frames::default();
                line.edit(move |bytes| frames.mend(bytes));
            }
        }
        Session::new(guest, visit, line).go_with(extensions);
        self.answer(request).await
    }

    /// Moves a session to a websocket, or leaves it as it is if its client cannot be heard over that.
    async fn upgrade(
        self,
        session: &str,
        handshake: &Response<()>,
        mut request: Request<Body>,
    ) -> Result<Response<Body>, Infallible> {
        let refused = refusal(StatusCode::BAD_REQUEST, 3, "Bad request");
        let mut head = Vec::new();
        let (Ok(session), Some((_, line)), Ok(())) = (
            ConnectionId::try_from(session),
            came_from(request.extensions_mut()),
            write_response(&mut head, handshake),
        ) else {
            return Ok(refused);
        };
        let (hang_up, counters) = (self.hang_up.clone(), self.counters.clone());
        if let Err(error) = self.upgrades.of(session).probe(&line, &head).await {
            debug!(conn.id = %session, %error, "session stays on polling: {error}");
            counters.count(Counter::UpgradeFailed);
            return Ok(refused);
        }
        counters.count(Counter::UpgradeCompleted);
        hang_up.upgraded(session, &line);
        self.answer(request).await
    }

    /// Waits with a client for news. When it goes away meanwhile, as a closed tab does, this future is dropped.
    async fn poll(
        self,
        session: Sid,
        version: EngineVersion,
        request: Request<Body>,
    ) -> Result<Response<Body>, Infallible> {
        let hang_up = self.hang_up.clone();
        let upgrade = ConnectionId::try_from(session.as_str());
        let upgrade = upgrade.map(|session| self.upgrades.of(session));
        let waiting = Waiting {
            hang_up: hang_up.clone(),
            version,
            session: Some(session),
        };
        let noop_due = async {
            match &upgrade {
                Ok(upgrade) => upgrade.noop_due().await,
                Err(_) => pending().await,
            }
        };
        let answer = tokio::select! {
            biased;
            answer = self.answer(request) => answer?,
            // Nothing is lost with the answer that was not ready.
            () = noop_due => noop(version),
        };
        if let Some(session) = waiting.answered()
            && let Some(taken) = answer.body().size_hint().exact()
        {
            hang_up.carried(
                session.as_str(),
                usize::try_from(taken).unwrap_or(usize::MAX),
            );
        }
        Ok(answer)
    }

    async fn answer(self, request: Request<Body>) -> Result<Response<Body>, Infallible> {
        let response = self.engine.oneshot(request).await?;
        Ok(response.map(Body::new))
    }

    fn turn_away(&self, too_many: TooMany) -> Response<Body> {
        self.counters.count(too_many.counter());
        let mut refusal = refusal(too_many.status(), 4, "Too many sessions");
        let headers = refusal.headers_mut();
        headers.insert(RETRY_AFTER, HeaderValue::from_static("5"));
        refusal
    }
}

/// How a request is let in.
enum Admission {
    /// From a page of ours, or from no page at all.
    Own,
    /// From another page, for a session that there is.
    Foreign,
    Refused,
}

/// A poll that has not been answered. Dropped as such, it ends its session, which would stay until the heartbeat fails.
struct Waiting {
    hang_up: HangUp,
    version: EngineVersion,
    session: Option<Sid>,
}

impl Waiting {
    fn answered(mut self) -> Option<Sid> {
        self.session.take()
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if let Some(session) = self.session.take() {
            self.hang_up.broke_off(session.as_str(), self.version);
        }
    }
}

/// A POST of version 3 whose CONNECT packets ask for no namespace with a query. Bodies that are too long for the library
/// are left to it.
async fn mended(request: Request<Body>, most: usize) -> Request<Body> {
    let (parts, body) = request.into_parts();
    let length = body.size_hint().exact();
    if length.is_none_or(|length| length > most as u64) {
        return Request::from_parts(parts, body);
    }
    // One that breaks off is as good as none.
    let mut bytes = to_bytes(body, most).await.unwrap_or_default().to_vec();
    mend_body(&mut bytes);
    Request::from_parts(parts, Body::from(bytes))
}

/// Copies the one header that the library needs. It keeps the headers of a handshake as long as the session, and
/// each header value would keep the whole buffer that it was read into: 8 kB a connection.
fn kept_for_the_session(headers: &HeaderMap) -> HeaderMap {
    let key = headers.get(SEC_WEBSOCKET_KEY).map(HeaderValue::as_bytes);
    let Some(Ok(key)) = key.map(HeaderValue::from_bytes) else {
        return HeaderMap::new();
    };
    // By itself it would have room for six.
    let mut kept = HeaderMap::with_capacity(1);
    kept.insert(SEC_WEBSOCKET_KEY, key);
    kept
}

/// The packet that says nothing.
fn noop(version: EngineVersion) -> Response<Body> {
    let mut response = Response::new(Body::from(match version {
        EngineVersion::Three => "1:6",
        EngineVersion::Four => "6",
    }));
    let text = HeaderValue::from_static("text/plain; charset=UTF-8");
    response.headers_mut().insert(CONTENT_TYPE, text);
    response
}

/// Refuses in the words of Engine.IO.
fn refusal(status: StatusCode, code: u8, message: &str) -> Response<Body> {
    let body = format!(r#"{{"code":{code},"message":"{message}"}}"#);
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
