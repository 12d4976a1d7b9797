//! The admin app: what operations staff, the back-end and health checks talk to.
//!
//! Lives here: the routes and the order of their guards. Not here: sockets, which only the hub touches.
//! Invariant: no request reaches a route before its peer, its `Host` and its origin have been checked.

mod audit;
mod body;
mod broadcast;
mod demo;
mod error;
mod guard;
mod health;
mod metrics;
mod notifications;
mod pages;
mod people;
mod places;
mod receipt;
mod reply;
#[cfg(test)]
mod tests;

use axum::{
    Router, middleware,
    routing::{MethodRouter, get},
};
use tokio::sync::watch;

use self::{error::HttpError, guard::HostNames};
use crate::{
    config::Settings,
    lifecycle::Phase,
    realtime::HubHandle,
    stats::{Counters, Page},
};

pub(crate) use self::demo::{Demo, log_demo};

/// What the admin app needs.
#[derive(Debug)]
pub(crate) struct Admin {
    /// The way to the hub.
    pub(crate) hub: HubHandle,
    /// Who is answered, under which names, and how large and slow a request may be.
    pub(crate) settings: Settings,
    /// The machine's own name.
    pub(crate) machine: String,
    /// The page of metrics.
    pub(crate) metrics: Page,
    /// Where refusals are counted.
    pub(crate) counters: Counters,
    /// How far the daemon has come.
    pub(crate) phase: watch::Receiver<Phase>,
    /// Whether to serve the demonstration page.
    pub(crate) demo: Option<Demo>,
}

/// The whole admin app, guards included.
pub(crate) fn router(admin: Admin) -> Router {
    let home = match &admin.demo {
        Some(_) => demo::PATH,
        None => broadcast::PATH,
    };
    let routes = Router::new()
        .route("/", get(async move || reply::found(home)))
        .merge(at("/admin", get(async || reply::found(broadcast::PATH))))
        .merge(broadcast::routes(admin.hub.clone()))
        .merge(people::routes(admin.hub.clone()))
        .merge(places::routes(admin.hub.clone()))
        .merge(notifications::routes(admin.hub.clone()))
        .merge(health::routes(admin.hub, admin.phase))
        .merge(metrics::routes(admin.metrics))
        .merge(pages::assets())
        .merge(admin.demo.map(demo::routes).unwrap_or_default())
        .fallback(async || HttpError::NotFound)
        .method_not_allowed_fallback(async || HttpError::MethodNotAllowed);
    let names = HostNames::new(&admin.machine, admin.settings.clone());
    // The innermost first. The host comes before the origin, which is compared with it. They stand around the router, not
    // around each route, because the router adds to a refused method which ones it takes.
    Router::new()
        .fallback_service(routes)
        .layer(middleware::from_fn_with_state(
            admin.settings.clone(),
            guard::bounded,
        ))
        .layer(guard::same_origin())
        .layer(middleware::from_fn_with_state(names, guard::known_host))
        .layer(middleware::from_fn_with_state(
            admin.settings,
            guard::known_peer,
        ))
        .layer(middleware::from_fn_with_state(
            admin.counters,
            error::render,
        ))
        .layer(middleware::map_response(guard::security_headers))
}

/// Serves the same with and without a trailing slash: earlier clients use both.
fn at(path: &str, methods: MethodRouter) -> Router {
    Router::new()
        .route(path, methods.clone())
        .route(&format!("{path}/"), methods)
}
