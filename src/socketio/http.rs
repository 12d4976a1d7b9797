//! The HTTP service of the public listener.
//!
//! Lives here: what every request passes through before the library sees it: origin, limits, corrections. Not here: Socket.IO.

use std::{convert::Infallible, sync::Arc};

use axum::body::Body;
use engineioxide::{OnProbed, Probed, ProtocolVersion, Query, Rewrite, TransportType};
use http::{
    HeaderMap, HeaderValue, Method, Request, Response, StatusCode,
    header::{CONNECTION, RETRY_AFTER, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE},
};
use hyper::body::Incoming;
use tokio::time::timeout;
use tower::{ServiceBuilder, ServiceExt, service_fn};
use tower_http::cors::{AllowHeaders, AllowMethods, AllowOrigin, CorsLayer};

use super::{
    admission::{Admission, TooMany},
    connect_query::mend,
    engine::Engine,
    handshake::{Handshake, has_untrusted_address},
    not_found,
    origin::{Origins, foreign_host},
    refusal::refusal,
    session::{Session, SessionRef, take_peer},
};
use crate::{
    config::Settings,
    net::{HttpService, Peer, TcpHandle},
    stats::{Counter, Counters},
};

/// Serves browsers.
#[derive(Clone)]
pub(crate) struct PublicApp {
    pub(super) engine: Engine,
    pub(super) origins: Arc<Origins>,
    pub(super) admission: Admission,
    pub(super) settings: Settings,
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
        let request = request.map(Body::new);
        let Ok(query) = Query::of(request.uri()) else {
            // The engine says why.
            return self.pass_on(request).await;
        };
        match (request.method(), query.session) {
            (&Method::GET, None) => self.begin_session(query, request).await,
            (&Method::GET, Some(_)) => self.go_on(query, request).await,
            _ => self.receive(request).await,
        }
    }

    /// Receives what a client posts: at most `limits.message_bytes`, within `limits.request_timeout_ms`.
    async fn receive(self, request: Request<Body>) -> Result<Response<Body>, Infallible> {
        let time = self.settings.now().limits.request_timeout;
        let counters = self.counters.clone();
        let Ok(response) = timeout(time, self.pass_on(request)).await else {
            counters.count(Counter::BodyTimeout);
            return Ok(refusal(StatusCode::REQUEST_TIMEOUT, 3, "Request timeout"));
        };
        let response = response?;
        if response.status() == StatusCode::PAYLOAD_TOO_LARGE {
            counters.count(Counter::BodyTooLarge);
        }
        Ok(response)
    }

    /// Begins a session. The engine keeps the request of the handshake, and with it the [`Session`], until the session ends.
    async fn begin_session(
        self,
        query: Query,
        mut request: Request<Body>,
    ) -> Result<Response<Body>, Infallible> {
        let headers = std::mem::take(request.headers_mut());
        *request.headers_mut() = of_websockets(&headers);
        let extensions = request.extensions_mut();
        let Some((Peer(peer), tcp)) = take_peer(extensions) else {
            return Ok(refusal(StatusCode::BAD_REQUEST, 3, "Bad request"));
        };
        let trusted_proxies = &self.settings.now().public.trusted_proxies;
        if has_untrusted_address(&headers, peer, trusted_proxies) {
            self.counters
                .refuse(Counter::ProxyUntrusted, &peer.to_string());
        }
        let handshake = Handshake::new(&headers, peer, trusted_proxies);
        let permit = match self.admission.admit(handshake.browser.address) {
            Ok(permit) => permit,
            Err(too_many) => return Ok(self.refuse(too_many)),
        };
        if query.version == ProtocolVersion::V3 {
            extensions.insert(Rewrite(mend));
        }
        let session = Session::new(permit, handshake);
        if query.transport == TransportType::Websocket {
            tcp.begin_frames();
            session.is_websocket(tcp);
        }
        session.go_with(extensions);
        self.pass_on(request).await
    }

    /// Answers a poll, or moves a session to a websocket.
    async fn go_on(
        self,
        query: Query,
        mut request: Request<Body>,
    ) -> Result<Response<Body>, Infallible> {
        let peer = take_peer(request.extensions_mut());
        if let (TransportType::Websocket, Some((_, tcp))) = (query.transport, peer) {
            tcp.begin_frames();
            let probed = on_probed(tcp, self.counters.clone());
            request.extensions_mut().insert(probed);
        }
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

/// Counts what comes of the probe of a websocket over `tcp`, and has messages go there from then on.
fn on_probed(tcp: TcpHandle, counters: Counters) -> OnProbed {
    OnProbed(Arc::new(move |probed, handshake| match probed {
        Probed::Upgraded => {
            counters.count(Counter::UpgradeCompleted);
            if let Some(session) = handshake.get::<SessionRef>() {
                session.is_websocket(tcp.clone());
            }
        }
        Probed::Failed => counters.count(Counter::UpgradeFailed),
    }))
}

/// The headers that the handshake of a websocket needs. The engine drops them then, and would keep all others as long as the session.
fn of_websockets(headers: &HeaderMap) -> HeaderMap {
    let mut kept = HeaderMap::new();
    for name in [
        CONNECTION,
        UPGRADE,
        SEC_WEBSOCKET_VERSION,
        SEC_WEBSOCKET_KEY,
    ] {
        for value in headers.get_all(&name) {
            kept.append(&name, value.clone());
        }
    }
    kept
}
