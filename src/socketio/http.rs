//! The HTTP service of the public listener.
//!
//! Lives here: what every request passes through before the library sees it: origin, limits, corrections. Not here: Socket.IO,
//! and waiting for a poll (`poll`).

use std::{convert::Infallible, sync::Arc};

use axum::body::{Body, to_bytes};
use http::{
    HeaderMap, HeaderValue, Method, Request, Response, StatusCode,
    header::{RETRY_AFTER, SEC_WEBSOCKET_KEY},
};
use hyper::body::{Body as _, Incoming};
use tokio::time::timeout;
use tower::{ServiceBuilder, ServiceExt, service_fn};
use tower_http::cors::{AllowHeaders, AllowMethods, AllowOrigin, CorsLayer};
use tracing::debug;
use tungstenite::handshake::server::{create_response_with_body, write_response};

use super::{
    admission::{Admission, TooMany},
    close::Closer,
    connect_query::{Frames, mend_body},
    engine::{Engine, EngineVersion},
    handshake::{Handshake, has_untrusted_address},
    not_found,
    origin::{Origins, foreign_host, is_prerendered},
    poll::Poll,
    query::{Query, Transport},
    refusal::refusal,
    session::{Session, take_peer},
    upgrade::{ProbeError, Upgrades},
};
use crate::{
    config::Settings,
    net::{HttpService, Peer},
    presence::ConnectionId,
    stats::{Counter, Counters},
};

/// Serves browsers.
#[derive(Clone)]
pub(crate) struct PublicApp {
    pub(super) engine: Engine,
    pub(super) closer: Closer,
    pub(super) upgrades: Upgrades,
    pub(super) origins: Arc<Origins>,
    pub(super) admission: Admission,
    pub(super) settings: Settings,
    pub(super) message_bytes: usize,
    pub(super) counters: Counters,
}

/// Which page a request comes from.
enum RequestOrigin {
    /// A page of our site, or no page at all.
    Own,
    /// Another page, for an existing session.
    Foreign,
    /// Another page, to begin a session.
    Refused,
}

impl PublicApp {
    /// The app as an HTTP service.
    pub(crate) fn service(self) -> impl HttpService {
        let cors = CorsLayer::new()
            .allow_origin(AllowOrigin::mirror_request())
            .allow_methods(AllowMethods::list([Method::GET, Method::POST]))
            .allow_headers(AllowHeaders::mirror_request())
            .allow_credentials(true);
        let app = self.clone();
        let plain = service_fn(move |request| app.clone().respond(request));
        let with_cors = ServiceBuilder::new().layer(cors).service(plain.clone());
        service_fn(move |request: Request<Incoming>| {
            let source = self.source(&request);
            let (app, plain, with_cors) = (self.clone(), plain.clone(), with_cors.clone());
            async move {
                match source {
                    RequestOrigin::Own => with_cors.oneshot(request).await,
                    // Without the headers that would let a foreign page read the response.
                    RequestOrigin::Foreign => plain.oneshot(request).await,
                    RequestOrigin::Refused => {
                        let site = foreign_host(request.headers()).unwrap_or_default();
                        app.counters.refuse(Counter::OriginRefused, &site);
                        Ok(refusal(StatusCode::FORBIDDEN, 4, "Forbidden"))
                    }
                }
            }
        })
    }

    /// Foreign pages are refused where a session begins. Requests of an existing session are served for any page, as in
    /// Engine.IO: no page can guess a session id, and the smoke test of the browser app sends the host name of the daemon as its origin.
    fn source<T>(&self, request: &Request<T>) -> RequestOrigin {
        if self.origins.allow(request.headers()) {
            return RequestOrigin::Own;
        }
        let in_session = Query::of(request.uri()).is_ok_and(|query| query.session.is_some());
        if in_session && [Method::GET, Method::POST].contains(request.method()) {
            RequestOrigin::Foreign
        } else {
            RequestOrigin::Refused
        }
    }

    async fn respond(self, request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
        if let Some(refusal) = not_found::refusal(&request) {
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
            return self.receive(query.version, request).await;
        }
        let websocket = query.transport == Transport::Websocket;
        // The library checks the key only, and would answer 101 to a client that goes on speaking HTTP.
        let accepted = websocket.then(|| create_response_with_body(&request, || ()));
        let Ok(accepted) = accepted.transpose() else {
            return Ok(bad_request());
        };
        let headers = std::mem::take(request.headers_mut());
        *request.headers_mut() = kept_for_the_session(&headers);
        match (query.session, accepted) {
            (None, _) => self.begin_session(&headers, query, request).await,
            (Some(session), Some(accepted)) => {
                self.upgrade(session.as_str(), query.version, &accepted, request)
                    .await
            }
            (Some(session), None) => {
                let poll = Poll::new(session, query.version, self.closer.clone(), &self.upgrades);
                poll.answer(self.engine, request).await
            }
        }
    }

    /// Receives what a client posts: at most `limits.message_bytes`, within `limits.request_timeout_ms`.
    async fn receive(
        self,
        version: EngineVersion,
        request: Request<Body>,
    ) -> Result<Response<Body>, Infallible> {
        let time = self.settings.now().limits.request_timeout;
        let counters = self.counters.clone();
        let most = self.message_bytes;
        let response = async {
            match version {
                EngineVersion::Three => self.pass_on(mended(request, most).await).await,
                EngineVersion::Four => self.pass_on(request).await,
            }
        };
        let Ok(response) = timeout(time, response).await else {
            counters.count(Counter::BodyTimeout);
            return Ok(refusal(StatusCode::REQUEST_TIMEOUT, 3, "Request timeout"));
        };
        let response = response?;
        if response.status() == StatusCode::PAYLOAD_TOO_LARGE {
            counters.count(Counter::BodyTooLarge);
        }
        Ok(response)
    }

    /// Begins a session. The library keeps the request of the handshake, and with it the [`Session`], until the session ends.
    async fn begin_session(
        self,
        headers: &HeaderMap,
        query: Query,
        mut request: Request<Body>,
    ) -> Result<Response<Body>, Infallible> {
        // The client tries again until the page is shown. Until then its user looks at another page.
        if is_prerendered(headers) {
            self.counters.count(Counter::Prerendered);
            return Ok(refusal(StatusCode::SERVICE_UNAVAILABLE, 4, "Not shown yet"));
        }
        let extensions = request.extensions_mut();
        let Some((Peer(peer), tcp)) = take_peer(extensions) else {
            return Ok(bad_request());
        };
        let config = self.settings.now();
        let trusted_proxies = &config.public.trusted_proxies;
        if has_untrusted_address(headers, peer, trusted_proxies) {
            self.counters
                .refuse(Counter::ProxyUntrusted, &peer.to_string());
        }
        let handshake = Handshake::new(headers, peer, &config);
        let permit = match self.admission.admit(handshake.browser.address) {
            Ok(permit) => permit,
            Err(too_many) => return Ok(self.refuse(too_many)),
        };
        let tcp = (query.transport == Transport::Websocket).then_some(tcp);
        if let Some(tcp) = &tcp {
            tcp.report_writes_to(&permit.backlog);
            if query.version == EngineVersion::Three {
                let mut frames = Frames::default();
                tcp.edit(move |bytes| frames.mend(bytes));
            }
        }
        Session::new(permit, handshake, tcp).go_with(extensions);
        self.pass_on(request).await
    }

    /// Moves a session to a websocket, or leaves it on polling if the probe over the websocket fails.
    async fn upgrade(
        self,
        session: &str,
        version: EngineVersion,
        accepted: &Response<()>,
        mut request: Request<Body>,
    ) -> Result<Response<Body>, Infallible> {
        let mut head = Vec::new();
        let (Ok(session), Some((_, tcp)), Ok(())) = (
            ConnectionId::try_from(session),
            take_peer(request.extensions_mut()),
            write_response(&mut head, accepted),
        ) else {
            return Ok(bad_request());
        };
        if let Err(error) = self.upgrades.of(session).probe(&tcp, &head).await {
            if let ProbeError::PageGone = error {
                self.closer.page_gone(session.as_str(), version);
            }
            debug!(conn.id = %session, %error, "session does not move to a websocket: {error}");
            self.counters.count(Counter::UpgradeFailed);
            return Ok(bad_request());
        }
        self.counters.count(Counter::UpgradeCompleted);
        self.closer.upgraded(session, &tcp);
        self.pass_on(request).await
    }

    /// Has the library answer.
    async fn pass_on(self, request: Request<Body>) -> Result<Response<Body>, Infallible> {
        let response = self.engine.oneshot(request).await?;
        Ok(response.map(Body::new))
    }

    fn refuse(&self, too_many: TooMany) -> Response<Body> {
        self.counters.count(too_many.counter());
        let mut refusal = refusal(too_many.status(), 4, "Too many sessions");
        let headers = refusal.headers_mut();
        headers.insert(RETRY_AFTER, HeaderValue::from_static("5"));
        refusal
    }
}

/// A POST of Engine.IO 3 in which CONNECT packets name our namespace without a query. A body that is too long is left to the
/// library, which refuses it.
async fn mended(request: Request<Body>, most: usize) -> Request<Body> {
    let (parts, body) = request.into_parts();
    let length = body.size_hint().exact();
    if length.is_none_or(|length| length > most as u64) {
        return Request::from_parts(parts, body);
    }
    // An incomplete body counts as empty.
    let mut bytes = to_bytes(body, most).await.unwrap_or_default().to_vec();
    mend_body(&mut bytes);
    Request::from_parts(parts, Body::from(bytes))
}

/// Copies the one header that the library needs. The library keeps the headers of a handshake as long as the session, and each
/// header value would keep the whole buffer that it was read into: 8 kB for each connection.
fn kept_for_the_session(headers: &HeaderMap) -> HeaderMap {
    let key = headers.get(SEC_WEBSOCKET_KEY).map(HeaderValue::as_bytes);
    let Some(Ok(key)) = key.map(HeaderValue::from_bytes) else {
        return HeaderMap::new();
    };
    // The default capacity is six headers.
    let mut kept = HeaderMap::with_capacity(1);
    kept.insert(SEC_WEBSOCKET_KEY, key);
    kept
}

fn bad_request() -> Response<Body> {
    refusal(StatusCode::BAD_REQUEST, 3, "Bad request")
}
