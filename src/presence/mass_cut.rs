//! Whether an aborted long poll was closed with its page, or cut by something between browser and daemon.
//!
//! Lives here: telling the two apart by what happens to other connections. When nginx stops, the connections of many browsers
//! end at the same moment. When a tab is closed, or a browser with all of its tabs, only connections of that browser end.
//!
//! An end is evidence only if it is unusual: a client that aborts polls again and again says nothing about the network.
//! For browsers in other networks, an end is unusual if its whole network had none for [`CALM`], so that an attacker gains
//! nothing by using many names. For browsers in the same network, such as an office, it is unusual if its own browser had
//! none; it is then evidence for this network only.
//!
//! Invariants: nothing older than [`CALM`] decides anything; memory is bounded by [`MOST_KNOWN`], except for the ends of the last
//! [`SIMULTANEOUS`].

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    mem,
    time::Duration,
};

use ipnet::IpNet;

use super::{Browser, ConnectionId, Moment, Username, network::networks};

/// The longest time between two ends that count as simultaneous. A closed tab stays listed for that long, which is too short
/// to be noticed.
pub(super) const SIMULTANEOUS: Duration = Duration::from_millis(100);

/// A sudden end is unusual if none came before it for this long.
const CALM: Duration = Duration::from_secs(10);

/// The most networks, and the most browsers, whose sudden ends are remembered.
const MOST_KNOWN: usize = 1024;

/// The recent sudden ends of connections.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct MassCutDetector {
    networks: RecentEnds<IpNet>,
    tabs: RecentEnds<BrowserOfUser>,
    /// The latest end.
    latest: Option<(Moment, BrowserOfUser)>,
    /// The latest end that was unusual for its network.
    latest_network: Option<(Moment, IpNet)>,
    /// The latest end in each network that was unusual for its browser.
    latest_in_network: BTreeMap<IpNet, (Moment, BrowserOfUser)>,
    /// The last moment at which connections were cut, everywhere and in each network.
    cut: Option<Moment>,
    cut_networks: BTreeMap<IpNet, Moment>,
    /// Recently ended connections for which the cause is not known.
    open: VecDeque<(Moment, IpNet, ConnectionId)>,
}

/// A user in front of a browser. The user is part of it because an office behind one address may have the same browser on
/// every desk.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct BrowserOfUser {
    pub(super) user: Username,
    pub(super) browser: Browser,
}

impl MassCutDetector {
    /// Records the sudden end of a connection, and returns the connections that ended within [`SIMULTANEOUS`] and were cut
    /// together with it; none if there is no evidence of a cut. `left` is the number of connections that remain.
    pub(super) fn end(
        &mut self,
        conn: ConnectionId,
        party: &BrowserOfUser,
        left: usize,
        now: Moment,
    ) -> Vec<ConnectionId> {
        let [_, network] = networks(party.browser.address);
        self.open.push_back((now, network, conn));
        while self
            .open
            .pop_front_if(|(at, ..)| !is_recent(*at, now))
            .is_some()
        {}
        if self.record_everywhere(network, party, left, now) {
            let open = mem::take(&mut self.open).into_iter();
            open.map(|(.., conn)| conn).collect()
        } else if self.record_in_network(network, party, now) {
            let open = mem::take(&mut self.open).into_iter();
            let (cut, rest): (VecDeque<_>, _) = open.partition(|(_, of, _)| *of == network);
            self.open = rest;
            cut.into_iter().map(|(.., conn)| conn).collect()
        } else {
            Vec::new()
        }
    }

    /// Records an end, and returns whether something between all browsers and the daemon has failed.
    ///
    /// If no connection remains, any two ends are evidence enough: a proxy that stops several times in a row makes all ends
    /// usual, and no screen is left that could show a user who is gone.
    fn record_everywhere(
        &mut self,
        network: IpNet,
        party: &BrowserOfUser,
        left: usize,
        now: Moment,
    ) -> bool {
        let other = self.latest.replace((now, party.clone()));
        let mut is_cut = left == 0 && is_another(other, party, now);
        if self.networks.record(&network, now) {
            let other = self.latest_network.replace((now, network));
            is_cut |= is_another(other, &network, now);
        }
        if is_cut {
            self.cut = Some(now);
        }
        self.cut.is_some_and(|at| is_recent(at, now))
    }

    /// Records an end, and returns whether something between one network and the daemon has failed.
    fn record_in_network(&mut self, network: IpNet, party: &BrowserOfUser, now: Moment) -> bool {
        if self.latest_in_network.len() >= MOST_KNOWN {
            self.latest_in_network.clear();
            self.cut_networks.clear();
        }
        if self.tabs.record(party, now) {
            let end = (now, party.clone());
            let other = self.latest_in_network.insert(network, end);
            if is_another(other, party, now) {
                self.cut_networks.insert(network, now);
            }
        }
        let cut = self.cut_networks.get(&network);
        cut.is_some_and(|at| is_recent(*at, now))
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}

fn is_recent(at: Moment, now: Moment) -> bool {
    now.saturating_sub(at) < SIMULTANEOUS
}

/// Whether the end `before` was simultaneous and of another party.
fn is_another<Party: PartialEq>(
    before: Option<(Moment, Party)>,
    party: &Party,
    now: Moment,
) -> bool {
    before.is_some_and(|(at, other)| is_recent(at, now) && other != *party)
}

/// The parties (networks or browsers) that had sudden ends recently.
#[derive(Debug, PartialEq, Eq)]
struct RecentEnds<Party> {
    /// The moments of the first and the latest end of each party.
    ends: BTreeMap<Party, (Moment, Moment)>,
    by_latest: BTreeSet<(Moment, Party)>,
}

impl<Party: Clone + Ord> RecentEnds<Party> {
    /// Records a sudden end, and returns whether it is among the first, simultaneous ones after [`CALM`].
    fn record(&mut self, party: &Party, now: Moment) -> bool {
        self.forget(now);
        let (first, latest) = self.ends.remove(party).unwrap_or((now, now));
        self.by_latest.remove(&(latest, party.clone()));
        self.ends.insert(party.clone(), (first, now));
        self.by_latest.insert((now, party.clone()));
        is_recent(first, now)
    }

    /// Forgets parties whose latest end is older than [`CALM`], and the oldest parties if there are too many.
    fn forget(&mut self, now: Moment) {
        while let Some((latest, _)) = self.by_latest.first()
            && (now.saturating_sub(*latest) >= CALM || self.ends.len() >= MOST_KNOWN)
            && let Some((_, party)) = self.by_latest.pop_first()
        {
            self.ends.remove(&party);
        }
    }
}

/// Not derived, because that would require `Party: Default`.
impl<Party> Default for RecentEnds<Party> {
    fn default() -> Self {
        Self {
            ends: BTreeMap::new(),
            by_latest: BTreeSet::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_of_losses_take_bounded_memory() {
        let mut detector = MassCutDetector::default();
        let networks: Vec<_> = (0..2000_u16).map(|number| (number, number)).collect();
        let names: Vec<_> = (0..2000_u16).map(|number| (number, 0)).collect();
        for (at, ends) in [(0, networks), (1, names)] {
            for (number, network) in ends {
                let [high, low] = network.to_be_bytes();
                let party = BrowserOfUser {
                    user: number.to_string().as_str().try_into().unwrap(),
                    browser: Browser {
                        address: [10, high, low, 1].into(),
                        agent: None,
                    },
                };
                detector.end(ConnectionId::FIRST, &party, 1, Moment::from_secs(at));
            }
        }
        let (networks, tabs) = (&detector.networks, &detector.tabs);
        for known in [
            networks.ends.len(),
            networks.by_latest.len(),
            tabs.ends.len(),
            tabs.by_latest.len(),
        ] {
            assert!((MOST_KNOWN / 2..=MOST_KNOWN).contains(&known), "{known}");
        }
        assert!(detector.latest_in_network.len() <= MOST_KNOWN);
        assert!(detector.cut_networks.len() <= MOST_KNOWN);
    }
}
