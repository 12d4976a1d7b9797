//! Bounds on sessions and handshakes, derived from the limits.
//!
//! Invariant: one client network can use at most half of a total, or the share of one address if that is more. A client
//! that controls all addresses of a network cannot keep out everybody else.

use std::num::NonZeroU32;

use super::values::Limits;

/// How many sessions may be open and how fast new sessions may arrive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AdmissionBounds {
    /// Bounds for all clients together.
    pub total: SessionBounds,
    /// Bounds per client network (IPv4: /24, IPv6: /48).
    pub per_network: SessionBounds,
    /// Bounds per client address (IPv6: /64).
    pub per_address: SessionBounds,
    /// Places that are kept for lost connections.
    pub lost_places: usize,
}

/// Bounds on the sessions of one group of clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionBounds {
    /// Open sessions.
    pub open: usize,
    /// New sessions per second, in the long run.
    pub handshakes_per_second: NonZeroU32,
    /// New sessions that may arrive at once.
    pub handshake_burst: NonZeroU32,
}

impl Limits {
    /// Derives the bounds on sessions and handshakes.
    #[must_use]
    pub fn admission(&self) -> AdmissionBounds {
        let rate = self.handshakes_per_second_per_address;
        let half_rate = NonZeroU32::new(self.handshakes_per_second.get() / 2);
        let open_of_network = self.sessions_per_address.max(self.sessions / 2);
        let rate_of_network = half_rate.map_or(rate, |half| half.max(rate));
        AdmissionBounds {
            total: SessionBounds::new(self.sessions, self.handshakes_per_second),
            per_network: SessionBounds::new(open_of_network, rate_of_network),
            per_address: SessionBounds::new(self.sessions_per_address, rate),
            lost_places: self.sessions,
        }
    }
}

impl SessionBounds {
    /// All open sessions may arrive at once: after a restart of the daemon, every browser comes back.
    fn new(open: usize, handshakes_per_second: NonZeroU32) -> Self {
        let burst = u32::try_from(open).ok().and_then(NonZeroU32::new);
        Self {
            open,
            handshakes_per_second,
            handshake_burst: burst.unwrap_or(NonZeroU32::MAX),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::values::rate;
    use super::*;

    #[test]
    fn a_network_gets_half_of_a_total_or_the_share_of_one_address() {
        for (sessions, per_address, rates, open, per_second) in [
            (10_000, 2500, (1000, 250), 5000, 500),
            (10_000, 9000, (1000, 900), 9000, 900),
            (3, 1, (1, 1), 1, 1),
        ] {
            let limits = Limits {
                sessions,
                sessions_per_address: per_address,
                handshakes_per_second: rate(rates.0),
                handshakes_per_second_per_address: rate(rates.1),
                ..Limits::default()
            };
            let bounds = limits.admission().per_network;
            let expected = SessionBounds::new(open, rate(per_second));
            assert_eq!(
                bounds, expected,
                "{sessions} sessions, {per_address} per address"
            );
        }
    }

    #[test]
    fn each_bound_comes_from_its_key() {
        let admission = Limits::default().admission();
        let bounds = |open, per_second| SessionBounds {
            open,
            handshakes_per_second: rate(per_second),
            handshake_burst: rate(u32::try_from(open).unwrap()),
        };
        let expected = AdmissionBounds {
            total: bounds(10_000, 1000),
            per_network: bounds(5000, 500),
            per_address: bounds(2500, 250),
            lost_places: 10_000,
        };
        assert_eq!(admission, expected);
    }
}
