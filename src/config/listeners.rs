//! What must hold between the addresses of both listeners.
//!
//! Invariant: the admin app is never reachable from the internet by configuration, and no two listeners fight for one port.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;

use super::problem::Problem;
use super::sockets::Unit;
use super::{Config, not_public};

/// The shortest prefix of a network that an operator may declare private, for IPv4 and for IPv6. The internet as a whole,
/// or a large part of it, is nobody's private network.
const SHORTEST_PRIVATE_PREFIX: (u8, u8) = (8, 32);

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
    let mut problems = exposed(&admin, &config.admin.allow_from);
    problems.extend(collisions(&[public, admin].concat()));
    problems
}

/// Addresses for which the kernel would choose a port: a unit that is told the same opens another port at each start.
pub(super) fn without_port(unit: &Unit, config: &Config, source: &str) -> Vec<Problem> {
    let addresses = unit.listen(config).iter();
    let claims = addresses.filter(|address| address.port() == 0);
    let problem = |address: &SocketAddr| Problem::WithoutPort {
        claim: Claim {
            key: unit.key,
            address: *address,
            source: source.to_owned(),
        },
    };
    claims.map(problem).collect()
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

/// Addresses that the internet cannot route to, or that lie in a network of which the operator says so: one that
/// `admin.allow_from` names. Canonical first: `::ffff:1.2.3.4` is 1.2.3.4 on the wire.
fn is_private(ip: IpAddr, allow_from: &[IpNet]) -> bool {
    let ip = ip.to_canonical();
    let mut declared = allow_from.iter().filter(|network| is_narrow(network));
    is_in(&not_public(), ip) || (is_unicast(ip) && declared.any(|network| network.contains(&ip)))
}

/// Whether it can be the address of one machine.
fn is_unicast(ip: IpAddr) -> bool {
    let is_broadcast = matches!(ip, IpAddr::V4(ip) if ip.is_broadcast());
    !ip.is_unspecified() && !ip.is_multicast() && !is_broadcast
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

impl Claim {
    pub(super) fn is_of(&self, key: &str) -> bool {
        self.key == key
    }

    /// Whether `admin.allow_from` can make it acceptable.
    pub(super) fn can_be_declared_private(&self) -> bool {
        is_unicast(self.address.ip().to_canonical())
    }
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
