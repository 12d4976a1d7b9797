//! Pages that belong to no route, and the files that pages load.
//!
//! Lives here: the error page, the stylesheet and the scripts. Not here: the pages of single routes.
//! Invariant: askama escapes everything; the `safe` filter is never used.

use askama::Template;
use axum::{
    Router,
    routing::{MethodRouter, get},
};
use http::{StatusCode, header};

/// The page for a refused request.
#[derive(Template)]
#[template(path = "error.html")]
pub(super) struct ErrorPage {
    title: &'static str,
    explanation: String,
}

impl ErrorPage {
    pub(super) fn new(status: StatusCode, explanation: &str) -> Self {
        Self {
            title: status.canonical_reason().unwrap_or("Error"),
            explanation: sentence(explanation),
        }
    }
}

/// The files that pages load.
pub(super) fn assets() -> Router {
    Router::new()
        .route(
            "/admin/static/admin.css",
            file(
                "text/css; charset=utf-8",
                include_str!("../../templates/admin.css"),
            ),
        )
        .route(
            "/admin/static/admin.js",
            script(include_str!("../../templates/admin.js")),
        )
}

/// A script.
pub(super) fn script<S: Clone + Send + Sync + 'static>(text: &'static str) -> MethodRouter<S> {
    file("text/javascript; charset=utf-8", text)
}

fn file<S: Clone + Send + Sync + 'static>(
    media_type: &'static str,
    text: &'static str,
) -> MethodRouter<S> {
    get(async move || ([(header::CONTENT_TYPE, media_type)], text))
}

/// Makes a sentence of an explanation, which begins in lower case and has no full stop.
fn sentence(message: &str) -> String {
    let mut letters = message.chars();
    let first = letters.next().map(|letter| letter.to_ascii_uppercase());
    first.into_iter().chain(letters).chain(['.']).collect()
}
