//! Who may have a session: so many, and so fast, in all and from one address.
//!
//! Lives here: counting sessions and handshakes. Not here: origins (`origin`), what a session does (`handlers`).
//! Invariant: a session counts from its handshake until the library lets go of it.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    num::NonZeroU32,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use governor::{DefaultDirectRateLimiter, DefaultKeyedRateLimiter, Quota};
use http::StatusCode;
use tokio::time::Instant;

use crate::{
    config::Limits,
    lifecycle::Backlog,
    stats::{Counter, Counters},
};

/// Lets guests in, or not.
#[derive(Clone, Debug)]
pub(crate) struct Guests(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    most: usize,
    most_of_address: usize,
    patience: Duration,
    counters: Counters,
    handshakes: DefaultDirectRateLimiter,
    handshakes_of_address: DefaultKeyedRateLimiter<IpAddr>,
    crowd: Mutex<Crowd>,
}

/// How many sessions there are.
#[derive(Debug, Default)]
struct Crowd {
    all: usize,
    by_address: HashMap<IpAddr, usize>,
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
    /// They come too fast.
    Handshakes,
    /// Those of this address do.
    HandshakesOfAddress,
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
        let quota = |rate, burst: usize| {
            let burst = u32::try_from(burst).ok().and_then(NonZeroU32::new);
            Quota::per_second(rate).allow_burst(burst.unwrap_or(NonZeroU32::MAX))
        };
        Self(Arc::new(Inner {
            most: limits.sessions,
            most_of_address: limits.sessions_per_address,
            patience: limits.identify_timeout,
            counters: counters.clone(),
            handshakes: DefaultDirectRateLimiter::direct(quota(
                limits.handshakes_per_second,
                limits.sessions,
            )),
            handshakes_of_address: DefaultKeyedRateLimiter::keyed(quota(
                limits.handshakes_per_second_per_address,
                limits.sessions_per_address,
            )),
            crowd: Mutex::default(),
        }))
    }

    /// Lets one in that comes from `address`. What it does to itself comes first, so that it uses up nothing of others.
    pub(crate) fn admit(&self, address: IpAddr) -> Result<Guest, TooMany> {
        let house = self.0.clone();
        let address = household(address);
        let mut crowd = house.crowd();
        if crowd.of_address(address) >= house.most_of_address {
            return Err(TooMany::OfAddress);
        }
        if house.handshakes_of_address.check_key(&address).is_err() {
            return Err(TooMany::HandshakesOfAddress);
        }
        house.sweep(&mut crowd);
        if crowd.all >= house.most {
            return Err(TooMany::Sessions);
        }
        if house.handshakes.check().is_err() {
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

impl TooMany {
    pub(crate) fn counter(self) -> Counter {
        match self {
            Self::Sessions => Counter::SessionsFull,
            Self::OfAddress => Counter::AddressFull,
            Self::Handshakes => Counter::HandshakeFlood,
            Self::HandshakesOfAddress => Counter::AddressFlood,
        }
    }

    pub(crate) fn status(self) -> StatusCode {
        match self {
            Self::Sessions | Self::Handshakes => StatusCode::SERVICE_UNAVAILABLE,
            Self::OfAddress | Self::HandshakesOfAddress => StatusCode::TOO_MANY_REQUESTS,
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
    /// Nothing panics while it holds this lock.
    fn crowd(&self) -> MutexGuard<'_, Crowd> {
        self.crowd.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets addresses that have rested, now and then, also those that were refused.
    fn sweep(&self, crowd: &mut Crowd) {
        let known = &self.handshakes_of_address;
        if known.len() > crowd.sweep_at {
            known.retain_recent();
            known.shrink_to_fit();
            crowd.sweep_at = 1024 + 2 * known.len();
        }
    }
}

impl Crowd {
    fn of_address(&self, address: IpAddr) -> usize {
        self.by_address.get(&address).copied().unwrap_or_default()
    }

    fn enter(&mut self, address: IpAddr) {
        self.all += 1;
        *self.by_address.entry(address).or_default() += 1;
    }

    fn leave(&mut self, address: IpAddr) {
        self.all = self.all.saturating_sub(1);
        if let Some(own) = self.by_address.get_mut(&address) {
            *own = own.saturating_sub(1);
            if *own == 0 {
                self.by_address.remove(&address);
            }
        }
    }
}

/// Whoever has one address of IPv6 has the 2⁶⁴ beside it as well.
fn household(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
    }
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
        let _three = guests.admit(address("192.0.2.2"));
        assert_eq!(refusal(&guests, "192.0.2.3"), Some(TooMany::Sessions));
        assert_eq!(guests.count(), 3);
        drop(one);
        assert_eq!(guests.count(), 2);
        assert_eq!(refusal(&guests, "192.0.2.1"), None);
        assert_eq!(guests.0.crowd().by_address.len(), 2, "nobody is remembered");
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
            ("192.0.2.2", None),
            ("192.0.2.3", Some(TooMany::Handshakes)),
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
        assert!(guests.0.handshakes_of_address.len() < 2500);
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
