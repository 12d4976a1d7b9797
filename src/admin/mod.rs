//! The admin app, for operations staff, the back-end and health checks.
//!
//! Lives here: pages, JSON and metrics over HTTP, and the checks before them. Not here: sockets, which only `socketio` touches.
//! Invariant: no request reaches a route before its peer, its `Host` and its origin have been checked.
//!
//! | module | what lives there |
//! |---|---|
//! | `routes` | one module for each address |
//! | `guard` | the checks before every route |
//! | `body` | receiving and decoding bodies |
//! | `error`, `render` | why a request is refused, and the response to it |
//! | `reply`, `receipt`, `long_answer` | making answers |
//! | `pages`, `message_page`, `system_messages` | pages and their words |
//! | `audit` | log lines about what administrators have done |

mod audit;
mod body;
mod error;
mod guard;
mod long_answer;
mod message_page;
mod pages;
mod paths;
mod receipt;
mod render;
mod reply;
mod routes;
mod system_messages;
#[cfg(test)]
mod tests;

use axum::{Router, middleware, routing::get};
use tokio::sync::watch;

use self::{
    error::HttpError,
    guard::HostNames,
    long_answer::LongAnswers,
    paths::at,
    render::Renderer,
    routes::{broadcast, demo, health, metrics, notifications, people, places},
};
use crate::{
    config::Settings,
    hub::HubHandle,
    lifecycle::Phase,
    stats::{Counters, OpenMetrics},
};

pub(crate) use self::routes::demo::{Demo, log_demo};

/// The addresses that a 404 response lists.
const ADDRESSES: &str = "/admin/broadcast/, /admin/notifications/, /admin/peopleMap/, /admin/places/end/, /healthz, \
    /readyz and /metrics";

/// What the admin app is built from.
#[derive(Debug)]
pub(crate) struct Admin {
    pub(crate) hub: HubHandle,
    /// The limits of requests, and which peers and host names are allowed.
    pub(crate) settings: Settings,
    /// The name of the machine.
    pub(crate) machine: String,
    pub(crate) metrics: OpenMetrics,
    /// Counts refusals.
    pub(crate) counters: Counters,
    /// The phase of the daemon.
    pub(crate) phase: watch::Receiver<Phase>,
    /// Settings of the demonstration page, if it is served.
    pub(crate) demo: Option<Demo>,
}

/// The whole admin app, including the checks.
pub(crate) fn router(admin: Admin) -> Router {
    let home = match &admin.demo {
        Some(_) => demo::PATH,
        None => broadcast::PATH,
    };
    let answers = LongAnswers::new(admin.hub.clone());
    let routes = Router::new()
        .route("/", get(async move || reply::found(home)))
        .merge(at("/admin", get(async || reply::found(broadcast::PATH))))
        .merge(broadcast::routes(answers.clone()))
        .merge(people::routes(answers.clone()))
        .merge(places::routes(answers))
        .merge(notifications::routes(admin.hub.clone()))
        .merge(health::routes(admin.hub, admin.phase))
        .merge(metrics::routes(admin.metrics))
        .merge(pages::assets())
        .merge(admin.demo.map(demo::routes).unwrap_or_default())
        .fallback(async || HttpError::NotFound {
            addresses: ADDRESSES,
        })
        .method_not_allowed_fallback(async || HttpError::MethodNotAllowed);
    let names = HostNames::new(&admin.machine, admin.settings.clone());
    // The innermost layer comes first. The host is checked before the origin, which is compared with it. The layers are around
    // the router, not around each route, because the router adds the methods of the address to a refused method.
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
            Renderer {
                counters: admin.counters,
                for_programs: notifications::PATH,
            },
            render::render,
        ))
        .layer(middleware::map_response(guard::security_headers))
}
