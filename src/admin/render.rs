//! The responses to refused requests.
//!
//! Lives here: the middleware that makes them, as a page for a browser or as JSON for a program. Not here: the refusals (`error`).

use std::sync::Arc;

use axum::{
    body::Body,
    extract::{Request, State},
    middleware::Next,
    response::Response,
};
use http::{HeaderValue, header};
use serde::Serialize;
use tracing::{debug, error};

use super::{
    error::HttpError,
    pages::ErrorPage,
    reply::{self, AnswerFormat},
};
use crate::stats::Counters;

/// What the middleware needs.
#[derive(Clone, Debug)]
pub(super) struct Renderer {
    pub(super) counters: Counters,
    /// The path, without a trailing slash, where every caller is a program.
    pub(super) for_programs: &'static str,
}

/// The JSON of a refusal.
#[derive(Serialize)]
struct Failure<'a> {
    success: bool,
    error: &'a str,
}

/// Fills in the response to every refused request, wherever the request was refused.
pub(super) async fn render(
    State(renderer): State<Renderer>,
    request: Request,
    next: Next,
) -> Response {
    let format = renderer.format(&request);
    let response = next.run(request).await;
    let refusal = response.extensions().get::<Arc<HttpError>>().cloned();
    let Some(refusal) = refusal else {
        return response;
    };
    log(&refusal);
    if let Some(counter) = refusal.counter() {
        match refusal.example() {
            Some(example) => renderer.counters.refuse(counter, &example),
            None => renderer.counters.count(counter),
        }
    }
    let (mut bare, _) = response.into_parts();
    answer(&refusal, format, bare.headers.remove(header::ALLOW))
}

impl Renderer {
    /// JSON, unless the caller asks for a page.
    fn format(&self, request: &Request<Body>) -> AnswerFormat {
        let path = request.uri().path().trim_end_matches('/');
        if path == self.for_programs {
            return AnswerFormat::Json;
        }
        AnswerFormat::asked(request.headers()).unwrap_or(AnswerFormat::Json)
    }
}

/// The response to a refused request. `allow` are the methods of its address, if it is known.
fn answer(refusal: &HttpError, format: AnswerFormat, allow: Option<HeaderValue>) -> Response {
    let explanation = refusal.explain(allow.as_ref());
    let mut answer = worded(refusal, format, &explanation);
    let allow = allow.map(|methods| (header::ALLOW, methods));
    answer
        .headers_mut()
        .extend(allow.into_iter().chain(refusal.remedy()));
    answer
}

fn worded(refusal: &HttpError, format: AnswerFormat, explanation: &str) -> Response {
    let status = refusal.status();
    if format == AnswerFormat::Html
        && let Ok(page) = reply::html(status, &ErrorPage::new(status, explanation))
    {
        return page;
    }
    let failure = Failure {
        success: false,
        error: explanation,
    };
    reply::json(status, &failure)
}

fn log(refusal: &HttpError) {
    let status = refusal.status().as_u16();
    if let HttpError::Page(cause) = refusal {
        error!(http.status = status, error = %cause, "a page could not be made: {cause}");
    } else {
        // Without the explanation, which may contain what somebody typed.
        debug!(http.status = status, "request refused");
    }
}
