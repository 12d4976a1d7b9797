//! A page that behaves like the browsers that this daemon serves, to see it at work without them.
//!
//! Lives here: its routes and its leave to open a socket. Not here: the client, which is `templates/demo.js`.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use axum::{
    Router,
    extract::State,
    response::{IntoResponse, Response},
    routing::get,
};
use http::{StatusCode, header};
use tracing::info;

use super::{
    error::HttpError,
    guard::CONTENT_SECURITY_POLICY,
    pages::{self, DemoPage},
    reply,
};

/// Where the page lives.
pub(super) const PATH: &str = "/demo/";

/// What the demonstration needs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Demo {
    /// The public listener, as a browser on this machine reaches it.
    public: SocketAddr,
}

impl Demo {
    /// `listener` may listen on every address.
    pub(crate) fn new(listener: SocketAddr) -> Self {
        Self {
            public: reachable(listener),
        }
    }
}

/// Tells whoever started the demonstration where it is.
pub(crate) fn log_demo(admin: SocketAddr) {
    let address = reachable(admin);
    info!("demonstration: open http://{address}{PATH} in two browser tabs");
}

/// A listener on every address is reached by the one that surely leads to this machine.
fn reachable(mut listener: SocketAddr) -> SocketAddr {
    if listener.ip().is_unspecified() {
        listener.set_ip(match listener {
            SocketAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    listener
}

/// The page and its script.
pub(super) fn routes(demo: Demo) -> Router {
    Router::new()
        .route("/demo", get(async || reply::found(PATH)))
        .route(PATH, get(page))
        .route(
            "/demo/demo.js",
            pages::script(include_str!("../../templates/demo.js")),
        )
        .with_state(demo)
}

async fn page(State(demo): State<Demo>) -> Result<Response, HttpError> {
    let socket = format!("ws://{}", demo.public);
    let policy = format!("{CONTENT_SECURITY_POLICY}; connect-src {}", source(demo));
    let page = reply::html(StatusCode::OK, &DemoPage { socket })?;
    Ok(([(header::CONTENT_SECURITY_POLICY, policy)], page).into_response())
}

/// What the page may connect to. A policy has no way to write an IPv6 address, so there any socket has to do.
fn source(demo: Demo) -> String {
    match demo.public {
        SocketAddr::V4(address) => format!("ws://{address}"),
        SocketAddr::V6(_) => "ws:".to_owned(),
    }
}
