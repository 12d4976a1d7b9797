//! A configured address together with its origin.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

/// An address, the key that asks for it, and the source of that key's value.
#[derive(Debug, Clone)]
pub(super) struct Claim {
    pub(super) key: &'static str,
    pub(super) address: SocketAddr,
    pub(super) source: String,
}

impl Claim {
    pub(super) fn is_of(&self, key: &str) -> bool {
        self.key == key
    }

    /// True if `admin.allow_from` can make the address acceptable.
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

/// True if the address can belong to one machine.
pub(super) fn is_unicast(ip: IpAddr) -> bool {
    let is_broadcast = matches!(ip, IpAddr::V4(ip) if ip.is_broadcast());
    !ip.is_unspecified() && !ip.is_multicast() && !is_broadcast
}
