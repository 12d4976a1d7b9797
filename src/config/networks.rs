//! Networks with a fixed meaning: loopback, and networks that the internet cannot route to.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

/// Addresses of this machine.
const LOOPBACK: [(IpAddr, u8); 2] = [
    (IpAddr::V4(Ipv4Addr::new(127, 0, 0, 0)), 8),
    (IpAddr::V6(Ipv6Addr::LOCALHOST), 128),
];

/// Networks that the internet cannot route to (RFC 1918, RFC 6598, RFC 4193). AWS permits networks of RFC 6598 in a VPC.
const PRIVATE: [(IpAddr, u8); 5] = [
    (IpAddr::V4(Ipv4Addr::new(10, 0, 0, 0)), 8),
    (IpAddr::V4(Ipv4Addr::new(100, 64, 0, 0)), 10),
    (IpAddr::V4(Ipv4Addr::new(172, 16, 0, 0)), 12),
    (IpAddr::V4(Ipv4Addr::new(192, 168, 0, 0)), 16),
    (IpAddr::V6(Ipv6Addr::new(0xfc00, 0, 0, 0, 0, 0, 0, 0)), 7),
];

/// The loopback networks.
pub(super) fn loopback() -> Vec<IpNet> {
    networks(LOOPBACK)
}

/// The loopback networks and the private networks.
pub(super) fn not_public() -> Vec<IpNet> {
    networks(LOOPBACK.into_iter().chain(PRIVATE))
}

fn networks(networks: impl IntoIterator<Item = (IpAddr, u8)>) -> Vec<IpNet> {
    let networks = networks.into_iter();
    networks
        .map(|(address, prefix)| IpNet::new_assert(address, prefix))
        .collect()
}
