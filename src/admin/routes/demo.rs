//! `/demo/`: a page that behaves like a browser of an operator, for trying the daemon without the browser app.
//!
//! Lives here: the page, and the permission for it to open a socket. Not here: the client (`templates/demo.js`).

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use askama::Template;
use axum::{
    Router,
    extract::State,
    response::{IntoResponse, Response},
    routing::get,
};
use http::{StatusCode, header};
use tracing::info;

use super::super::{
    error::HttpError, guard::CONTENT_SECURITY_POLICY, pages, reply, system_messages::label,
};
use crate::presence::SystemMessage;

/// The path of the page.
pub(in super::super) const PATH: &str = "/demo/";

/// Settings of the demonstration page.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Demo {
    /// The address at which a browser on this machine reaches the public listener.
    public: SocketAddr,
}

impl Demo {
    /// A demonstration with the public listener at `listener`, which may be a wildcard address.
    pub(crate) fn new(listener: SocketAddr) -> Self {
        Self {
            public: reachable(listener),
        }
    }
}

/// Logs the address of the demonstration.
pub(crate) fn log_demo(admin: SocketAddr) {
    let address = reachable(admin);
    info!("demonstration: open http://{address}{PATH} in two browser tabs");
}

/// An address at which a browser on this machine reaches a listener: loopback for a wildcard address.
fn reachable(mut listener: SocketAddr) -> SocketAddr {
    if listener.ip().is_unspecified() {
        listener.set_ip(match listener {
            SocketAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    listener
}

/// The page.
#[derive(Template)]
#[template(path = "demo.html")]
struct DemoPage {
    /// The address of the public listener, for the script.
    socket: String,
}

/// The page and its script.
pub(in super::super) fn routes(demo: Demo) -> Router {
    Router::new()
        .route("/demo", get(async || reply::found(PATH)))
        .route(PATH, get(page))
        .route(
            "/demo/demo.js",
            pages::script(include_str!("../../../templates/demo.js")),
        )
        .with_state(demo)
}

async fn page(State(demo): State<Demo>) -> Result<Response, HttpError> {
    let socket = format!("ws://{}", demo.public);
    let policy = format!("{CONTENT_SECURITY_POLICY}; connect-src {}", source(demo));
    let page = reply::html(StatusCode::OK, &DemoPage { socket })?;
    Ok(([(header::CONTENT_SECURITY_POLICY, policy)], page).into_response())
}

/// The sources that the page may connect to. A policy cannot name an IPv6 address, so every websocket is allowed then.
fn source(demo: Demo) -> String {
    match demo.public {
        SocketAddr::V4(address) => format!("ws://{address}"),
        SocketAddr::V6(_) => "ws:".to_owned(),
    }
}
