//! What Prometheus and its like read.

use std::sync::Arc;

use axum::{
    Router,
    extract::State,
    response::{IntoResponse, Response},
    routing::get,
};
use http::header;

use super::error::HttpError;
use crate::stats::{MEDIA_TYPE, Page};

/// `/metrics`.
pub(super) fn routes(page: Page) -> Router {
    Router::new()
        .route("/metrics", get(show))
        .with_state(Arc::new(page))
}

async fn show(State(page): State<Arc<Page>>) -> Result<Response, HttpError> {
    let page = page.render()?;
    Ok(([(header::CONTENT_TYPE, MEDIA_TYPE)], page).into_response())
}
