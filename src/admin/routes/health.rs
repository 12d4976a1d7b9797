//! `/healthz` and `/readyz`: whether the process is alive, and whether it serves.

use std::time::Duration;

use axum::{Router, extract::State, response::Response, routing::get};
use http::StatusCode;
use serde::Serialize;
use tokio::{sync::watch, time::timeout};

use super::super::reply;
use crate::{hub::HubHandle, lifecycle::Phase};

/// How long the hub may take to answer. It normally takes microseconds.
const PING_TIMEOUT: Duration = Duration::from_secs(1);

#[derive(Serialize)]
struct Health {
    status: &'static str,
}

/// The routes.
pub(in super::super) fn routes(hub: HubHandle, phase: watch::Receiver<Phase>) -> Router {
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
        Phase::Ready => match timeout(PING_TIMEOUT, hub.ping()).await {
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
