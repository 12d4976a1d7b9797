//! `/metrics`: metrics for Prometheus and similar programs.

use std::sync::Arc;

use axum::{
    Router,
    extract::State,
    response::{IntoResponse, Response},
    routing::get,
};
use http::header;

use super::super::error::HttpError;
use crate::stats::{MEDIA_TYPE, OpenMetrics};

/// The route.
pub(in super::super) fn routes(metrics: OpenMetrics) -> Router {
    Router::new()
        .route("/metrics", get(show))
        .with_state(Arc::new(metrics))
}

async fn show(State(metrics): State<Arc<OpenMetrics>>) -> Result<Response, HttpError> {
    let page = metrics.render()?;
    Ok(([(header::CONTENT_TYPE, MEDIA_TYPE)], page).into_response())
}
