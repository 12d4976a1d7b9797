//! Long polls.
//!
//! Lives here: waiting for the library's response to a poll. Not here: other requests (`http`).
//! Invariant: a poll that its client aborts ends the session at once.

use std::{convert::Infallible, future::pending};

use axum::body::{Body, to_bytes};
use http::{HeaderValue, Request, Response, header::CONTENT_TYPE};
use socketioxide::socket::Sid;
use tower::ServiceExt;

use super::{
    close::Closer,
    engine::{Engine, EngineVersion},
    upgrade::{Upgrade, Upgrades},
};
use crate::presence::ConnectionId;

/// A poll of a session.
pub(super) struct Poll {
    version: EngineVersion,
    /// The session's upgrade, which may need an end of this poll.
    upgrade: Option<Upgrade>,
    waiting: Waiting,
}

/// A poll without a response. Dropping it ends the session, which would otherwise stay until its heartbeat fails.
struct Waiting {
    closer: Closer,
    version: EngineVersion,
    session: Option<Sid>,
}

impl Poll {
    pub(super) fn new(
        session: Sid,
        version: EngineVersion,
        closer: Closer,
        upgrades: &Upgrades,
    ) -> Self {
        let conn = ConnectionId::try_from(session.as_str()).ok();
        Self {
            version,
            upgrade: conn.map(|conn| upgrades.of(conn)),
            waiting: Waiting {
                closer,
                version,
                session: Some(session),
            },
        }
    }

    /// Waits for the library's response. When the client goes away meanwhile, as a closed tab does, this future is dropped.
    pub(super) async fn answer(
        self,
        engine: Engine,
        request: Request<Body>,
    ) -> Result<Response<Body>, Infallible> {
        let noop_due = async {
            match &self.upgrade {
                Some(upgrade) => upgrade.noop_due().await,
                None => pending().await,
            }
        };
        let response = tokio::select! {
            biased;
            response = engine.oneshot(request) => response?.map(Body::new),
            // The library loses nothing with the response that was not ready.
            () = noop_due => noop(self.version),
        };
        let (head, body) = response.into_parts();
        // The library has all of it, so this neither waits nor fails.
        let payload = to_bytes(body, usize::MAX).await.unwrap_or_default();
        self.waiting.answered(&payload);
        Ok(Response::from_parts(head, Body::from(payload)))
    }
}

impl Waiting {
    fn answered(mut self, payload: &[u8]) {
        if let Some(session) = self.session.take() {
            self.closer.polled(session.as_str(), payload);
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if let Some(session) = self.session.take() {
            self.closer.poll_aborted(session.as_str(), self.version);
        }
    }
}

/// The response with a packet that does nothing.
fn noop(version: EngineVersion) -> Response<Body> {
    let mut response = Response::new(Body::from(match version {
        EngineVersion::Three => "1:6",
        EngineVersion::Four => "6",
    }));
    let text = HeaderValue::from_static("text/plain; charset=UTF-8");
    response.headers_mut().insert(CONTENT_TYPE, text);
    response
}
