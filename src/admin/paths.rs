//! Adding routes.

use axum::{Router, routing::MethodRouter};

/// Serves the same at `path` and at `path/`, because earlier clients use both.
pub(super) fn at(path: &str, methods: MethodRouter) -> Router {
    Router::new()
        .route(path, methods.clone())
        .route(&format!("{path}/"), methods)
}
