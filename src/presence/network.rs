//! The networks by which clients are counted.
//!
//! Lives here: which networks an address belongs to. Not here: the limits of a network (`lost_places`, `mass_cut`, and
//! `socketio::admission` for sessions).
//! Invariant: all addresses that one client can easily use are in one network, so a client gains nothing by using many.

use std::net::IpAddr;

use ipnet::IpNet;

/// The two networks of an address: the first counts as a single client, the second is the network around it.
///
/// A client with one IPv6 address has the whole /64, and often the /48 around it. A /24 is the smallest IPv4 network that
/// is routed on its own.
pub(crate) fn networks(address: IpAddr) -> [IpNet; 2] {
    let lengths = match address {
        IpAddr::V4(_) => [32, 24],
        IpAddr::V6(_) => [64, 48],
    };
    lengths.map(|length| {
        let network = IpNet::new(address, length);
        network.map_or(IpNet::from(address), |network| network.trunc())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_belongs_to_the_networks_around_it() {
        for (address, expected) in [
            ("192.0.2.7", ["192.0.2.7/32", "192.0.2.0/24"]),
            (
                "2001:db8:1:2:3:4:5:6",
                ["2001:db8:1:2::/64", "2001:db8:1::/48"],
            ),
            ("::1", ["::/64", "::/48"]),
        ] {
            let networks = networks(address.parse().unwrap());
            let networks = networks.map(|network| network.to_string());
            assert_eq!(networks, expected, "{address}");
        }
    }
}
