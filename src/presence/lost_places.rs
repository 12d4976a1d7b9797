//! Lost places by deadline and by the network of their browser.
//!
//! Lives here: which lost place is ended when there are too many. Not here: the places themselves (`places`).
//! Invariants: the indexes agree; without lost places this equals a new one.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use ipnet::IpNet;

use super::{ConnectionId, Moment, network::networks};

/// The index of lost places.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct LostPlaces {
    deadlines: BTreeSet<(Moment, ConnectionId)>,
    by_address: BTreeSet<(IpNet, Moment, ConnectionId)>,
    /// The number of lost places of each address and of each network.
    counts: BTreeMap<IpNet, usize>,
    /// Networks (with `None`) and the addresses of each network, both sorted by that number.
    by_count: BTreeSet<(Option<IpNet>, usize, IpNet)>,
}

impl LostPlaces {
    pub(super) fn count(&self) -> usize {
        self.deadlines.len()
    }

    /// The place that ends first, and when.
    pub(super) fn first_deadline(&self) -> Option<(Moment, ConnectionId)> {
        self.deadlines.first().copied()
    }

    /// The place to end when there are too many: in the network with the most lost places, of the address with the most,
    /// the one that lapses first. A client that loses many places then loses its own, not those of others.
    pub(super) fn first_of_largest(&self) -> Option<ConnectionId> {
        let network = self.largest_in(None)?;
        let address = self.largest_in(Some(network))?;
        let start = (address, Moment::ZERO, ConnectionId::FIRST);
        self.by_address
            .range(start..)
            .next()
            .map(|(.., conn)| *conn)
    }

    pub(super) fn insert(&mut self, conn: ConnectionId, address: IpAddr, until: Moment) {
        let [address, network] = networks(address);
        self.deadlines.insert((until, conn));
        if self.by_address.insert((address, until, conn)) {
            self.recount(None, network, |count| count + 1);
            self.recount(Some(network), address, |count| count + 1);
        }
    }

    pub(super) fn remove(&mut self, conn: ConnectionId, address: IpAddr, until: Moment) {
        let [address, network] = networks(address);
        self.deadlines.remove(&(until, conn));
        if self.by_address.remove(&(address, until, conn)) {
            self.recount(None, network, |count| count - 1);
            self.recount(Some(network), address, |count| count - 1);
        }
    }

    /// Changes when a place ends.
    pub(super) fn postpone(
        &mut self,
        conn: ConnectionId,
        address: IpAddr,
        before: Moment,
        until: Moment,
    ) {
        let [address, _] = networks(address);
        self.deadlines.remove(&(before, conn));
        self.deadlines.insert((until, conn));
        self.by_address.remove(&(address, before, conn));
        self.by_address.insert((address, until, conn));
    }

    fn largest_in(&self, network: Option<IpNet>) -> Option<IpNet> {
        let end = (network, usize::MAX, IpNet::default());
        let (within, _, largest) = self.by_count.range(..end).next_back()?;
        (*within == network).then_some(*largest)
    }

    fn recount(&mut self, within: Option<IpNet>, network: IpNet, change: fn(usize) -> usize) {
        let before = self.counts.remove(&network).unwrap_or_default();
        self.by_count.remove(&(within, before, network));
        let count = change(before);
        if count > 0 {
            self.counts.insert(network, count);
            self.by_count.insert((within, count, network));
        }
    }
}
