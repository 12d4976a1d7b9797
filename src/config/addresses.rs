//! Rules for the addresses of both listeners.
//!
//! Invariant: no configuration makes the admin app reachable from the internet, and no two listeners share a port.

use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;

use super::claim::{Claim, is_unicast};
use super::networks::not_public;
use super::problem::Problem;
use super::sockets::Unit;
use super::values::Config;

/// Shortest prefix of a network that `admin.allow_from` can declare private, for IPv4 and for IPv6. A shorter prefix covers a
/// large part of the internet.
const SHORTEST_PRIVATE_PREFIX: (u8, u8) = (8, 32);

/// Problems of well-formed addresses. `source` names the source of a key's value.
pub(super) fn problems(config: &Config, source: impl Fn(&str) -> String) -> Vec<Problem> {
    let claims = |key, listen| claims(key, listen, &source(key));
    let public = claims("public.listen", &config.public.listen);
    let admin = claims("admin.listen", &config.admin.listen);
    let mut problems = exposed(&admin, &config.admin.allow_from);
    problems.extend(collisions(&[public, admin].concat()));
    problems
}

/// Addresses of port 0, at which the kernel chooses a port. A socket unit cannot agree with such an address: it opens another
/// port at each start.
pub(super) fn without_port(unit: &Unit, config: &Config, source: &str) -> Vec<Problem> {
    let claims = claims(unit.key, unit.listen(config), source).into_iter();
    claims
        .filter(|claim| claim.address.port() == 0)
        .map(|claim| Problem::WithoutPort { claim })
        .collect()
}

fn claims(key: &'static str, listen: &[SocketAddr], source: &str) -> Vec<Claim> {
    let claim = |address: &SocketAddr| Claim {
        key,
        address: *address,
        source: source.to_owned(),
    };
    listen.iter().map(claim).collect()
}

fn exposed(admin: &[Claim], allow_from: &[IpNet]) -> Vec<Problem> {
    admin
        .iter()
        .filter(|claim| !is_private(claim.address.ip(), allow_from))
        .map(|claim| Problem::Exposed {
            claim: claim.clone(),
        })
        .collect()
}

/// Each claim that collides with an earlier one.
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

/// True if two listeners cannot both have their address. Port 0 means any free port, so it collides with nothing.
fn collide(one: SocketAddr, other: SocketAddr) -> bool {
    let (a, b) = (one.ip().to_canonical(), other.ip().to_canonical());
    one.port() != 0 && one.port() == other.port() && (a == b || covers(a, b) || covers(b, a))
}

/// True if the first address is a wildcard that includes the second. Linux accepts IPv4 connections on `[::]` as well.
fn covers(wildcard: IpAddr, other: IpAddr) -> bool {
    wildcard.is_unspecified() && (wildcard.is_ipv6() || other.is_ipv4())
}

/// True for addresses that the internet cannot route to, and for addresses in a network that the operator declares private by
/// naming it in `admin.allow_from`. The address is made canonical first: `::ffff:1.2.3.4` is 1.2.3.4 on the wire.
fn is_private(ip: IpAddr, allow_from: &[IpNet]) -> bool {
    let ip = ip.to_canonical();
    let mut declared = allow_from.iter().filter(|network| is_narrow(network));
    is_in(&not_public(), ip) || (is_unicast(ip) && declared.any(|network| network.contains(&ip)))
}

fn is_in(networks: &[IpNet], ip: IpAddr) -> bool {
    networks.iter().any(|network| network.contains(&ip))
}

fn is_narrow(network: &IpNet) -> bool {
    let (v4, v6) = SHORTEST_PRIVATE_PREFIX;
    match network {
        IpNet::V4(network) => network.prefix_len() >= v4,
        IpNet::V6(network) => network.prefix_len() >= v6,
    }
}
