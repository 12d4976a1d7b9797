//! Who may have a session: how many, and how fast, in all, from one network and from one address.
//!
//! Lives here: counting sessions and handshakes. Not here: origins (`origin`), what a session does (`handlers`).
//! Invariant: a session counts from its handshake until the library lets go of it.

use std::{
    collections::HashMap,
    net::IpAddr,
    num::NonZeroU32,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use governor::{DefaultDirectRateLimiter, DefaultKeyedRateLimiter, Quota};
use http::StatusCode;
use ipnet::IpNet;
use tokio::time::Instant;

use crate::{
    config::Limits,
    lifecycle::Backlog,
    presence::networks,
    stats::{Counter, Counters},
};

/// Lets guests in, or not.
#[derive(Clone, Debug)]
pub(crate) struct Guests(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    bounds: Mutex<Arc<Bounds>>,
    patience: Duration,
    counters: Counters,
    crowd: Mutex<Crowd>,
}

/// How many sessions there may be, and how fast they may come.
#[derive(Debug)]
struct Bounds {
    most: usize,
    handshakes: DefaultDirectRateLimiter,
    /// For one address and for the network around it, as [`networks`] has them.
    shares: [Share; 2],
}

/// What one address may have, or one network.
#[derive(Debug)]
struct Share {
    most: usize,
    handshakes: DefaultKeyedRateLimiter<IpNet>,
    /// Why there is no session when it has as many, and when they come too fast.
    refusals: [TooMany; 2],
}

/// How many sessions there are.
#[derive(Debug, Default)]
struct Crowd {
    all: usize,
    by_network: HashMap<IpNet, usize>,
    /// So many addresses are remembered before those are forgotten that have rested.
    sweep_at: usize,
}

/// Why there is no session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TooMany {
    /// There are as many as there may be.
    Sessions,
    /// There are as many of this address.
    OfAddress,
    /// There are as many of this network.
    OfNetwork,
    /// They come too fast.
    Handshakes,
    /// Those of this address do.
    HandshakesOfAddress,
    /// Those of this network do.
    HandshakesOfNetwork,
}

/// A session. It travels with the request of its handshake, which the library keeps exactly as long.
#[derive(Debug)]
pub(crate) struct Guest {
    house: Arc<Inner>,
    address: IpAddr,
    since: Instant,
    has_joined: AtomicBool,
    /// What it has been sent and not taken.
    pub(crate) backlog: Backlog,
}

impl Guests {
    pub(crate) fn new(limits: &Limits, counters: &Counters) -> Self {
        Self(Arc::new(Inner {
            bounds: Mutex::new(Arc::new(Bounds::new(limits))),
            patience: limits.identify_timeout,
            counters: counters.clone(),
            crowd: Mutex::default(),
        }))
    }

    /// Goes by other limits from now on. Nobody who is there has to leave, and the past is no reason to refuse anybody.
    pub(crate) fn reload(&self, limits: &Limits) {
        *lock(&self.0.bounds) = Arc::new(Bounds::new(limits));
    }

    /// Lets one in that comes from `address`. What it does to itself comes first, so that it uses up nothing of others.
    pub(crate) fn admit(&self, address: IpAddr) -> Result<Guest, TooMany> {
        let house = self.0.clone();
        let bounds = lock(&house.bounds).clone();
        let mut crowd = house.crowd();
        for (share, network) in bounds.shares.iter().zip(networks(address)) {
            let [full, flooded] = share.refusals;
            if crowd.of_network(network) >= share.most {
                return Err(full);
            }
            if share.handshakes.check_key(&network).is_err() {
                return Err(flooded);
            }
        }
        bounds.sweep(&mut crowd);
        if crowd.all >= bounds.most {
            return Err(TooMany::Sessions);
        }
        if bounds.handshakes.check().is_err() {
            return Err(TooMany::Handshakes);
        }
        crowd.enter(address);
        drop(crowd);
        Ok(Guest {
            house,
            address,
            since: Instant::now(),
            has_joined: AtomicBool::new(false),
            backlog: Backlog::default(),
        })
    }

    /// How many sessions there are.
    pub(crate) fn count(&self) -> usize {
        self.0.crowd().all
    }
}

fn quota(rate: NonZeroU32, burst: usize) -> Quota {
    let burst = u32::try_from(burst).ok().and_then(NonZeroU32::new);
    Quota::per_second(rate).allow_burst(burst.unwrap_or(NonZeroU32::MAX))
}

impl TooMany {
    pub(crate) fn counter(self) -> Counter {
        match self {
            Self::Sessions => Counter::SessionsFull,
            Self::OfAddress => Counter::AddressFull,
            Self::OfNetwork => Counter::NetworkFull,
            Self::Handshakes => Counter::HandshakeFlood,
            Self::HandshakesOfAddress => Counter::AddressFlood,
            Self::HandshakesOfNetwork => Counter::NetworkFlood,
        }
    }

    pub(crate) fn status(self) -> StatusCode {
        match self {
            Self::Sessions | Self::Handshakes => StatusCode::SERVICE_UNAVAILABLE,
            Self::OfAddress
            | Self::OfNetwork
            | Self::HandshakesOfAddress
            | Self::HandshakesOfNetwork => StatusCode::TOO_MANY_REQUESTS,
        }
    }
}

impl Guest {
    /// It has joined the namespace.
    pub(crate) fn joined(&self) {
        self.has_joined.store(true, Relaxed);
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        let has_joined = self.has_joined.load(Relaxed);
        if !has_joined && self.since.elapsed() >= self.house.patience {
            self.house.counters.count(Counter::NeverJoined);
        }
        self.house.crowd().leave(self.address);
    }
}

impl Inner {
    fn crowd(&self) -> MutexGuard<'_, Crowd> {
        lock(&self.crowd)
    }
}

impl Bounds {
    /// A network may have half of all sessions and handshakes, or as many as one address if that is more: whoever can use
    /// all addresses of a network cannot keep out everybody else.
    fn new(limits: &Limits) -> Self {
        let of_network = limits.sessions_per_address.max(limits.sessions / 2);
        let rate = limits.handshakes_per_second_per_address;
        let half = NonZeroU32::new(limits.handshakes_per_second.get() / 2);
        let share = |most, rate, refusals| Share {
            most,
            handshakes: DefaultKeyedRateLimiter::keyed(quota(rate, most)),
            refusals,
        };
        Self {
            most: limits.sessions,
            handshakes: DefaultDirectRateLimiter::direct(quota(
                limits.handshakes_per_second,
                limits.sessions,
            )),
            shares: [
                share(
                    limits.sessions_per_address,
                    rate,
                    [TooMany::OfAddress, TooMany::HandshakesOfAddress],
                ),
                share(
                    of_network,
                    half.map_or(rate, |half| half.max(rate)),
                    [TooMany::OfNetwork, TooMany::HandshakesOfNetwork],
                ),
            ],
        }
    }

    /// Forgets addresses and networks that have rested, now and then, also those that were refused.
    fn sweep(&self, crowd: &mut Crowd) {
        let known = || self.shares.iter().map(|share| share.handshakes.len());
        if known().sum::<usize>() > crowd.sweep_at {
            for share in &self.shares {
                share.handshakes.retain_recent();
                share.handshakes.shrink_to_fit();
            }
            crowd.sweep_at = 1024 + 2 * known().sum::<usize>();
        }
    }
}

impl Crowd {
    fn of_network(&self, network: IpNet) -> usize {
        self.by_network.get(&network).copied().unwrap_or_default()
    }

    fn enter(&mut self, address: IpAddr) {
        self.all += 1;
        for network in networks(address) {
            *self.by_network.entry(network).or_default() += 1;
        }
    }

    fn leave(&mut self, address: IpAddr) {
        self.all = self.all.saturating_sub(1);
        for network in networks(address) {
            if let Some(own) = self.by_network.get_mut(&network) {
                *own = own.saturating_sub(1);
                if *own == 0 {
                    self.by_network.remove(&network);
                }
            }
        }
    }
}

/// Nothing panics while it holds such a lock.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    #[test]
    fn sessions_are_bounded_in_all_and_by_address() {
        let guests = guests(|limits| {
            limits.sessions = 3;
            limits.sessions_per_address = 2;
            limits.handshakes_per_second = NonZeroU32::MAX;
            limits.handshakes_per_second_per_address = NonZeroU32::MAX;
        });
        let one = guests.admit(address("192.0.2.1"));
        let _two = guests.admit(address("192.0.2.1"));
        assert_eq!(refusal(&guests, "192.0.2.1"), Some(TooMany::OfAddress));
        let _three = guests.admit(address("198.51.100.1"));
        assert_eq!(refusal(&guests, "203.0.113.1"), Some(TooMany::Sessions));
        assert_eq!(guests.count(), 3);
        drop(one);
        assert_eq!(guests.count(), 2);
        assert_eq!(refusal(&guests, "192.0.2.1"), None);
        assert_eq!(guests.0.crowd().by_network.len(), 4, "nobody is remembered");
    }

    #[test]
    fn handshakes_are_bounded_in_all_and_by_address() {
        let guests = guests(|limits| {
            limits.sessions = 3;
            limits.sessions_per_address = 2;
            limits.handshakes_per_second = NonZeroU32::MIN;
            limits.handshakes_per_second_per_address = NonZeroU32::MIN;
        });
        for (from, outcome) in [
            ("192.0.2.1", None),
            ("192.0.2.1", None),
            ("192.0.2.1", Some(TooMany::HandshakesOfAddress)),
            ("198.51.100.1", None),
            ("203.0.113.1", Some(TooMany::Handshakes)),
        ] {
            assert_eq!(refusal(&guests, from), outcome, "{from}");
        }
    }

    #[test]
    fn a_network_of_ipv6_counts_as_one_address() {
        let guests = guests(|limits| {
            limits.sessions_per_address = 1;
            limits.handshakes_per_second_per_address = NonZeroU32::MAX;
        });
        let _one = guests.admit(address("2001:db8::1"));
        assert_eq!(refusal(&guests, "2001:db8::2"), Some(TooMany::OfAddress));
        assert_eq!(refusal(&guests, "2001:db8:0:1::1"), None);
    }

    #[test]
    fn a_network_has_half_of_all_sessions_and_handshakes_at_most() {
        for (neighbours, elsewhere) in [
            (
                ["2001:db8:0:1::1", "2001:db8:0:2::1", "2001:db8:0:3::1"],
                "2001:db8:1::1",
            ),
            (["192.0.2.1", "192.0.2.2", "192.0.2.3"], "198.51.100.1"),
        ] {
            let guests = guests(|limits| {
                limits.sessions = 4;
                limits.sessions_per_address = 1;
                limits.handshakes_per_second = NonZeroU32::MAX;
                limits.handshakes_per_second_per_address = NonZeroU32::MAX;
            });
            let [one, two, three] = neighbours;
            let _one = guests.admit(address(one));
            let first = guests.admit(address(two));
            assert_eq!(refusal(&guests, three), Some(TooMany::OfNetwork));
            assert_eq!(refusal(&guests, elsewhere), None);
            drop(first);
            assert_eq!(refusal(&guests, three), None);

            let guests = self::guests(|limits| {
                limits.sessions = 4;
                limits.sessions_per_address = 1;
                limits.handshakes_per_second = NonZeroU32::MIN;
                limits.handshakes_per_second_per_address = NonZeroU32::MIN;
            });
            assert_eq!(refusal(&guests, one), None);
            assert_eq!(refusal(&guests, two), None);
            let flood = Some(TooMany::HandshakesOfNetwork);
            assert_eq!(refusal(&guests, three), flood);
            assert_eq!(refusal(&guests, elsewhere), None);
        }
    }

    #[test]
    fn a_network_may_have_as_much_as_one_address() {
        let guests = guests(|limits| {
            limits.sessions = 3;
            limits.sessions_per_address = 3;
        });
        let _all = [(); 3].map(|()| guests.admit(address("192.0.2.1")).unwrap());
        assert_eq!(refusal(&guests, "192.0.2.1"), Some(TooMany::OfAddress));
    }

    #[test]
    fn four_networks_of_ipv6_that_are_one_leave_half_of_all_sessions_to_others() {
        let guests = guests(|_| ());
        let mut sessions = Vec::new();
        for network in 0..4 {
            let address = address(&format!("2001:db8:0:{network}::1"));
            sessions.extend((0..2500).map_while(|_| guests.admit(address).ok()));
        }
        assert_eq!(sessions.len(), 5000);
    }

    #[test]
    fn addresses_that_have_rested_are_forgotten() {
        let guests = guests(|limits| {
            limits.sessions = 1;
            limits.handshakes_per_second_per_address = NonZeroU32::MAX;
        });
        let _only = guests.admit(address("192.0.2.1"));
        for number in 0..5000_u16 {
            let [high, low] = number.to_be_bytes();
            let refused = guests.admit([198, 51, high, low].into());
            assert_eq!(refused.err(), Some(TooMany::Sessions));
        }
        assert!(lock(&guests.0.bounds).shares[0].handshakes.len() < 2500);
    }

    #[test]
    fn other_limits_hold_for_whoever_comes_next_and_drop_nobody() {
        let limits = |most, rate| {
            let mut limits = Config::default().limits;
            limits.sessions = most;
            limits.handshakes_per_second_per_address = rate;
            limits.handshakes_per_second = rate;
            limits
        };
        let guests = Guests::new(&limits(2, NonZeroU32::MIN), &Counters::default());
        let _one = guests.admit(address("192.0.2.1"));
        let two = guests.admit(address("192.0.2.1"));
        assert_eq!(refusal(&guests, "192.0.2.1"), Some(TooMany::Sessions));
        guests.reload(&limits(1, NonZeroU32::MAX));
        assert_eq!(guests.count(), 2, "nobody had to leave");
        drop(two);
        assert_eq!(refusal(&guests, "192.0.2.2"), Some(TooMany::Sessions));
        guests.reload(&limits(2, NonZeroU32::MAX));
        assert_eq!(refusal(&guests, "192.0.2.2"), None);
    }

    fn guests(set: impl Fn(&mut Limits)) -> Guests {
        let mut limits = Config::default().limits;
        set(&mut limits);
        Guests::new(&limits, &Counters::default())
    }

    fn refusal(guests: &Guests, from: &str) -> Option<TooMany> {
        guests.admit(address(from)).err()
    }

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }
}
