//! What must hold between the addresses of both listeners.
//!
//! Invariant: the admin app is never reachable from the internet by configuration, and no two listeners fight for one port.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use super::problem::Problem;
use super::{Config, not_public};

/// An address, the key that asks for it, and where that key was set.
#[derive(Debug, Clone)]
pub(super) struct Claim {
    key: &'static str,
    address: SocketAddr,
    source: String,
}

/// Problems of addresses that are well-formed; `source` tells where a key was set.
pub(super) fn problems(config: &Config, source: impl Fn(&str) -> String) -> Vec<Problem> {
    let claims = |key, listen: &[SocketAddr]| -> Vec<Claim> {
        let source = source(key);
        let claim = |address: &SocketAddr| Claim {
            key,
            address: *address,
            source: source.clone(),
        };
        listen.iter().map(claim).collect()
    };
    let public = claims("public.listen", &config.public.listen);
    let admin = claims("admin.listen", &config.admin.listen);
    let mut problems = exposed(&admin);
    problems.extend(collisions(&[public, admin].concat()));
    problems
}

fn exposed(admin: &[Claim]) -> Vec<Problem> {
    admin
        .iter()
        .filter(|claim| !is_private(claim.address.ip()))
        .map(|claim| Problem::Exposed {
            claim: claim.clone(),
        })
        .collect()
}

/// Every claim that an earlier one leaves no room for.
fn collisions(claims: &[Claim]) -> Vec<Problem> {
    let collision = |(at, claim): (usize, &Claim)| {
        let mut before = claims.iter().take(at);
        let earlier = before.find(|earlier| collide(earlier.address, claim.address))?;
        Some(Problem::Collision {
            claim: claim.clone(),
            earlier: earlier.clone(),
        })
    };
    claims.iter().enumerate().filter_map(collision).collect()
}

/// Port 0 asks for any free port, so it collides with nothing.
fn collide(one: SocketAddr, other: SocketAddr) -> bool {
    let (a, b) = (one.ip().to_canonical(), other.ip().to_canonical());
    one.port() != 0 && one.port() == other.port() && (a == b || covers(a, b) || covers(b, a))
}

/// Linux hands IPv4 connections to `[::]` as well.
fn covers(wildcard: IpAddr, other: IpAddr) -> bool {
    wildcard.is_unspecified() && (wildcard.is_ipv6() || other.is_ipv4())
}

/// Addresses that the internet cannot route to. Canonical first: `::ffff:1.2.3.4` is 1.2.3.4 on the wire.
fn is_private(ip: IpAddr) -> bool {
    let ip = ip.to_canonical();
    not_public().iter().any(|network| network.contains(&ip))
}

impl fmt::Display for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            key,
            address,
            source,
        } = self;
        write!(f, "{key} = \"{address}\" ({source})")
    }
}
