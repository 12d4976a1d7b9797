//! Admission to sessions: how many there may be and how fast they may begin, in all, by network and by address.
//!
//! Lives here: counting sessions and handshakes. Not here: origins (`origin`), what a session sends (`connection`).
//! Invariant: a session counts from its handshake until the library drops it.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use governor::{DefaultDirectRateLimiter, DefaultKeyedRateLimiter, Quota};
use http::StatusCode;
use ipnet::IpNet;
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::{
    config::{AdmissionBounds, Limits, SessionBounds},
    presence::networks,
    stats::{Counter, Counters},
};

/// Decides whether a handshake begins a session.
#[derive(Clone, Debug)]
pub(crate) struct Admission(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    bounds: Mutex<Arc<Bounds>>,
    /// The time in which a session has to join the namespace.
    join_timeout: Duration,
    counters: Counters,
    open: Mutex<OpenSessions>,
}

/// How many sessions there may be, and how fast they may come.
#[derive(Debug)]
struct Bounds {
    most: usize,
    handshakes: DefaultDirectRateLimiter,
    /// For one address and for the network around it, as [`networks`] has them.
    shares: [Share; 2],
}

/// The share of one address, or of one network.
#[derive(Debug)]
struct Share {
    most: usize,
    handshakes: DefaultKeyedRateLimiter<IpNet>,
    /// The refusals of a handshake beyond `most`, and of one that comes too fast.
    refusals: [TooMany; 2],
}

/// The numbers of open sessions.
#[derive(Debug, Default)]
struct OpenSessions {
    all: usize,
    by_network: HashMap<IpNet, usize>,
    /// The number of rate limiters at which those are removed that have not been used for long.
    sweep_at: usize,
}

/// Why a handshake begins no session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TooMany {
    /// As many sessions are open as there may be.
    Sessions,
    /// The address has as many sessions as it may have.
    OfAddress,
    /// The network has as many sessions as it may have.
    OfNetwork,
    /// Handshakes come too fast.
    Handshakes,
    /// Handshakes of the address come too fast.
    HandshakesOfAddress,
    /// Handshakes of the network come too fast.
    HandshakesOfNetwork,
}

/// The right to a session. It travels with the request of the handshake, which the library keeps exactly as long as the session.
#[derive(Debug)]
pub(super) struct SessionPermit {
    admission: Arc<Inner>,
    address: IpAddr,
    since: Instant,
    has_joined: AtomicBool,
}

impl Admission {
    pub(super) fn new(limits: &Limits, counters: &Counters) -> Self {
        Self(Arc::new(Inner {
            bounds: Mutex::new(Arc::new(Bounds::new(limits))),
            join_timeout: limits.identify_timeout,
            counters: counters.clone(),
            open: Mutex::default(),
        }))
    }

    /// Changes the limits. Open sessions stay, and earlier handshakes do not count towards the new limits.
    pub(crate) fn reload(&self, limits: &Limits) {
        *self.0.bounds.lock() = Arc::new(Bounds::new(limits));
    }

    /// Admits a session from `address`. The limits of its address and network are checked first, so that a flood from there uses
    /// up nothing of the limits of all.
    pub(super) fn admit(&self, address: IpAddr) -> Result<SessionPermit, TooMany> {
        let admission = self.0.clone();
        let bounds = admission.bounds.lock().clone();
        let mut open = admission.open.lock();
        for (share, network) in bounds.shares.iter().zip(networks(address)) {
            let [full, flooded] = share.refusals;
            if open.of_network(network) >= share.most {
                return Err(full);
            }
            if share.handshakes.check_key(&network).is_err() {
                return Err(flooded);
            }
        }
        bounds.sweep(&mut open);
        if open.all >= bounds.most {
            return Err(TooMany::Sessions);
        }
        if bounds.handshakes.check().is_err() {
            return Err(TooMany::Handshakes);
        }
        open.add(address);
        drop(open);
        Ok(SessionPermit {
            admission,
            address,
            since: Instant::now(),
            has_joined: AtomicBool::new(false),
        })
    }

    /// The number of open sessions.
    pub(super) fn sessions(&self) -> usize {
        self.0.open.lock().all
    }
}

fn quota(bounds: SessionBounds) -> Quota {
    Quota::per_second(bounds.handshakes_per_second).allow_burst(bounds.handshake_burst)
}

impl TooMany {
    pub(super) fn counter(self) -> Counter {
        match self {
            Self::Sessions => Counter::SessionsFull,
            Self::OfAddress => Counter::AddressFull,
            Self::OfNetwork => Counter::NetworkFull,
            Self::Handshakes => Counter::HandshakeFlood,
            Self::HandshakesOfAddress => Counter::AddressFlood,
            Self::HandshakesOfNetwork => Counter::NetworkFlood,
        }
    }

    pub(super) fn status(self) -> StatusCode {
        match self {
            Self::Sessions | Self::Handshakes => StatusCode::SERVICE_UNAVAILABLE,
            Self::OfAddress
            | Self::OfNetwork
            | Self::HandshakesOfAddress
            | Self::HandshakesOfNetwork => StatusCode::TOO_MANY_REQUESTS,
        }
    }
}

impl SessionPermit {
    /// Records that the session has joined the namespace.
    pub(super) fn joined(&self) {
        self.has_joined.store(true, Relaxed);
    }
}

impl Drop for SessionPermit {
    fn drop(&mut self) {
        let has_joined = self.has_joined.load(Relaxed);
        if !has_joined && self.since.elapsed() >= self.admission.join_timeout {
            self.admission.counters.count(Counter::NeverJoined);
        }
        self.admission.open.lock().remove(self.address);
    }
}

impl Bounds {
    fn new(limits: &Limits) -> Self {
        let AdmissionBounds {
            total,
            per_network,
            per_address,
            ..
        } = limits.admission();
        let share = |bounds: SessionBounds, refusals| Share {
            most: bounds.open,
            handshakes: DefaultKeyedRateLimiter::keyed(quota(bounds)),
            refusals,
        };
        Self {
            most: total.open,
            handshakes: DefaultDirectRateLimiter::direct(quota(total)),
            shares: [
                share(
                    per_address,
                    [TooMany::OfAddress, TooMany::HandshakesOfAddress],
                ),
                share(
                    per_network,
                    [TooMany::OfNetwork, TooMany::HandshakesOfNetwork],
                ),
            ],
        }
    }

    /// Forgets addresses and networks from which no handshake has come for long, also those that were refused. It does so only
    /// when many are known.
    fn sweep(&self, open: &mut OpenSessions) {
        let known = || self.shares.iter().map(|share| share.handshakes.len());
        if known().sum::<usize>() > open.sweep_at {
            for share in &self.shares {
                share.handshakes.retain_recent();
                share.handshakes.shrink_to_fit();
            }
            open.sweep_at = 1024 + 2 * known().sum::<usize>();
        }
    }
}

impl OpenSessions {
    fn of_network(&self, network: IpNet) -> usize {
        self.by_network.get(&network).copied().unwrap_or_default()
    }

    fn add(&mut self, address: IpAddr) {
        self.all += 1;
        for network in networks(address) {
            *self.by_network.entry(network).or_default() += 1;
        }
    }

    fn remove(&mut self, address: IpAddr) {
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

#[cfg(test)]
mod tests;
