//! The checks before every route.
//!
//! Lives here: security headers, and the checks of the peer, of `Host` and of the origin. Not here: the routes.
//! Why: everybody who can reach this listener may use it, and any web page can make the browser of such a person send requests.
//! A host name of an attacker that resolves to this machine fails the check of `Host`; a form on another site fails the check of
//! the origin.

use std::{
    net::{Ipv4Addr, Ipv6Addr},
    sync::Arc,
};

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use http::{HeaderName, HeaderValue, Version, header, uri::Authority};
use tokio::time::timeout;
use tower_http::csrf::{CsrfLayer, ProtectionError};

use super::{body, error::HttpError};
use crate::{config::Settings, net::Peer};

/// Our pages may load their own stylesheet and scripts, and nothing else.
pub(super) const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; style-src 'self'; \
    script-src 'self'; img-src 'self' data:; form-action 'self'; frame-ancestors 'none'; \
    base-uri 'none'";

const SECURITY_HEADERS: [(HeaderName, HeaderValue); 7] = [
    (
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(CONTENT_SECURITY_POLICY),
    ),
    (
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    ),
    // Not `no-referrer`: with that, a browser sends "null" as the origin of our own form, which would be refused.
    (
        header::REFERRER_POLICY,
        HeaderValue::from_static("same-origin"),
    ),
    (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    (header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
    (
        HeaderName::from_static("cross-origin-opener-policy"),
        HeaderValue::from_static("same-origin"),
    ),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        HeaderValue::from_static("same-origin"),
    ),
];

/// The host names that this app answers to.
#[derive(Clone, Debug)]
pub(super) struct HostNames {
    /// The name of the machine, in lower case.
    machine: Arc<str>,
    settings: Settings,
}

impl HostNames {
    pub(super) fn new(machine: &str, settings: Settings) -> Self {
        Self {
            machine: normal(machine).into(),
            settings,
        }
    }

    /// All IP addresses are allowed, because an address cannot be made to resolve to another machine.
    fn allow(&self, host: &str) -> bool {
        let host = normal(host);
        is_address(&host)
            || host == "localhost"
            || host.ends_with(".localhost")
            || *self.machine == *host
            || self.is_configured(&host)
    }

    fn is_configured(&self, host: &str) -> bool {
        let config = self.settings.now();
        let mut names = config.admin.hostnames.iter();
        names.any(|name| normal(name) == host)
    }
}

/// Limits the body of a request, and the time for receiving and answering it. Otherwise a client that sends a body slowly could
/// hold a connection for ever.
pub(super) async fn bounded(
    State(settings): State<Settings>,
    mut request: Request,
    next: Next,
) -> Result<Response, HttpError> {
    let config = settings.now();
    body::limit(config.limits.admin_body_bytes, &mut request);
    let time = config.limits.request_timeout;
    let answered = timeout(time, next.run(request)).await;
    answered.map_err(|_| HttpError::TimedOut(time))
}

/// Adds the security headers to a response. A policy that the response has already is kept.
pub(super) async fn security_headers(mut response: Response) -> Response {
    for (name, value) in SECURITY_HEADERS {
        response.headers_mut().entry(name).or_insert(value);
    }
    response
}

/// Lets a request pass only if its peer is in `admin.allow_from`.
pub(super) async fn known_peer(
    State(settings): State<Settings>,
    request: Request,
    next: Next,
) -> Result<Response, HttpError> {
    let peer = request.extensions().get::<Peer>();
    let peer = peer.map(|Peer(address)| address.to_canonical());
    let config = settings.now();
    let mut allowed = config.admin.allow_from.iter();
    if peer.is_some_and(|peer| allowed.any(|network| network.contains(&peer))) {
        Ok(next.run(request).await)
    } else {
        Err(HttpError::UnknownPeer(peer))
    }
}

/// Lets a request pass only if it is for a host name of this machine.
pub(super) async fn known_host(
    State(names): State<HostNames>,
    request: Request,
    next: Next,
) -> Result<Response, HttpError> {
    match host(&request)? {
        Some(host) if !names.allow(&host) => Err(HttpError::UnknownHost(host)),
        Some(_) | None => Ok(next.run(request).await),
    }
}

/// Refuses requests that a page of another site makes a browser send. Programs, which send no origin, pass.
pub(super) fn same_origin() -> CsrfLayer<impl Fn(ProtectionError) -> Response + Clone> {
    CsrfLayer::new().with_rejection_response(|_| HttpError::CrossOrigin.into_response())
}

/// The host that a request is for, without its port. `None` if the request is HTTP/1.0 and names no host.
fn host(request: &Request) -> Result<Option<String>, HttpError> {
    let mut headers = request.headers().get_all(header::HOST).iter();
    let (first, second) = (headers.next(), headers.next());
    if second.is_some() {
        return Err(HttpError::BadHost);
    }
    let authority = match (request.uri().authority(), first) {
        // A host in the request target overrides the header.
        (Some(authority), _) => authority.clone(),
        (None, Some(value)) => {
            Authority::try_from(value.as_bytes()).map_err(|_| HttpError::BadHost)?
        }
        (None, None) if request.version() <= Version::HTTP_10 => return Ok(None),
        (None, None) => return Err(HttpError::BadHost),
    };
    host_of(&authority).map(Some).ok_or(HttpError::BadHost)
}

/// The host of `host` or `host:port`. Other forms of an authority are refused.
fn host_of(authority: &Authority) -> Option<String> {
    let host = authority.host();
    let rest = authority.as_str().strip_prefix(host)?;
    let port = rest.strip_prefix(':').unwrap_or(rest);
    let plain = !host.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| host.to_owned())
}

fn normal(host: &str) -> String {
    host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase()
}

fn is_address(host: &str) -> bool {
    let bracketed = host.strip_prefix('[').and_then(|h| h.strip_suffix(']'));
    bracketed.is_some_and(|host| host.parse::<Ipv6Addr>().is_ok())
        || host.parse::<Ipv4Addr>().is_ok()
}
