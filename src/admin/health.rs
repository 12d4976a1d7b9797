//! Whether the daemon lives, and whether to send it traffic.

use std::time::Duration;

use axum::{Router, extract::State, response::Response, routing::get};
use http::StatusCode;
use serde::Serialize;
use tokio::{sync::watch, time::timeout};

use super::reply;
use crate::{lifecycle::Phase, realtime::HubHandle};

/// How long the hub may take to answer. It answers in microseconds when it is well.
const PING_PATIENCE: Duration = Duration::from_secs(1);

#[derive(Serialize)]
struct Health {
    status: &'static str,
}

/// `/healthz` and `/readyz`.
pub(super) fn routes(hub: HubHandle, phase: watch::Receiver<Phase>) -> Router {
    Router::new()
        .route("/healthz", get(async || ok("ok")))
        .route("/readyz", get(ready))
        .with_state((hub, phase))
}

async fn ready(State((hub, phase)): State<(HubHandle, watch::Receiver<Phase>)>) -> Response {
    let phase = *phase.borrow();
    match phase {
        Phase::Starting => unavailable("starting"),
        Phase::Draining => unavailable("draining"),
        Phase::Ready => match timeout(PING_PATIENCE, hub.ping()).await {
            Ok(Ok(())) => ok("ready"),
            Ok(Err(_)) | Err(_) => unavailable("hub not answering"),
        },
    }
}

fn ok(status: &'static str) -> Response {
    reply::json(StatusCode::OK, &Health { status })
}

fn unavailable(status: &'static str) -> Response {
    reply::json(StatusCode::SERVICE_UNAVAILABLE, &Health { status })
}
