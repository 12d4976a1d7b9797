//! Whether a long poll that broke off was closed with its page, or cut by what stood in between.
//!
//! Lives here: telling the two apart by what happens to others. When nginx stops, the connections of many browsers end
//! in one instant; when somebody closes a tab, or a browser with all its tabs, only theirs do.
//!
//! An end is evidence only if it is unusual: a client that breaks off again and again says nothing about the network.
//! For browsers in other networks an end is unusual if its whole network had none for [`CALM`], so that an attacker gains
//! nothing by many names. For browsers in the same network, such as an office, it is unusual if its own browser had none;
//! what that shows holds for this network only.
//!
//! Invariants: nothing that is older than [`CALM`] decides anything; memory is bounded by [`MOST_KNOWN`].

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    mem,
    time::Duration,
};

use ipnet::IpNet;

use super::{Browser, ConnectionId, Moment, Username, network::networks};

/// How far apart ends of one cause may be. Nobody sees that a closed tab is gone that much later.
pub(super) const DOUBT: Duration = Duration::from_millis(100);

/// A sudden end is unusual if there was none before it for this long.
const CALM: Duration = Duration::from_secs(10);

/// Networks, and browsers, whose sudden ends are remembered.
const MOST_KNOWN: usize = 1024;

/// The sudden ends of the last moments.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Doubts {
    networks: RecentEnds<IpNet>,
    victims: RecentEnds<Victim>,
    /// The latest end of all.
    latest: Option<(Moment, Victim)>,
    /// The latest end that was unusual for its network.
    latest_network: Option<(Moment, IpNet)>,
    /// The latest end in each network that was unusual for its victim.
    latest_in_network: BTreeMap<IpNet, (Moment, Victim)>,
    /// When victims were last hit at once, everywhere and in each network.
    cut: Option<Moment>,
    cut_networks: BTreeMap<IpNet, Moment>,
    /// Connections of which it is not known why they ended.
    open: VecDeque<(Moment, IpNet, ConnectionId)>,
}

/// Somebody in front of a browser. An office behind one address may well have the same browser on every desk.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Victim {
    pub(super) user: Username,
    pub(super) browser: Browser,
}

impl Doubts {
    /// Takes note of the sudden end of a connection and returns the connections of the last [`DOUBT`] that were cut, if the
    /// ends show that: this one and others. `left` is the number of connections that remain.
    pub(super) fn end(
        &mut self,
        conn: ConnectionId,
        victim: &Victim,
        left: usize,
        now: Moment,
    ) -> Vec<ConnectionId> {
        let [_, network] = networks(victim.browser.address);
        self.open.push_back((now, network, conn));
        while self
            .open
            .pop_front_if(|(at, ..)| !is_recent(*at, now))
            .is_some()
        {}
        if self.is_everywhere(network, victim, left, now) {
            let open = mem::take(&mut self.open).into_iter();
            open.map(|(.., conn)| conn).collect()
        } else if self.is_in_network(network, victim, now) {
            let open = mem::take(&mut self.open).into_iter();
            let (cut, rest): (VecDeque<_>, _) = open.partition(|(_, of, _)| *of == network);
            self.open = rest;
            cut.into_iter().map(|(.., conn)| conn).collect()
        } else {
            Vec::new()
        }
    }

    /// Whether something between all browsers and the daemon has broken.
    ///
    /// If no connection remains, any two ends are enough: a proxy that stops several times in a row makes all ends usual,
    /// and no screen is left that could show a user who is gone.
    fn is_everywhere(&mut self, network: IpNet, victim: &Victim, left: usize, now: Moment) -> bool {
        let other = self.latest.replace((now, victim.clone()));
        let mut is_cut = left == 0 && is_another(other, victim, now);
        if self.networks.is_unusual(&network, now) {
            let other = self.latest_network.replace((now, network));
            is_cut |= is_another(other, &network, now);
        }
        if is_cut {
            self.cut = Some(now);
        }
        self.cut.is_some_and(|at| is_recent(at, now))
    }

    /// Whether something between one network and the daemon has broken.
    fn is_in_network(&mut self, network: IpNet, victim: &Victim, now: Moment) -> bool {
        if self.latest_in_network.len() >= MOST_KNOWN {
            self.latest_in_network.clear();
            self.cut_networks.clear();
        }
        if self.victims.is_unusual(victim, now) {
            let end = (now, victim.clone());
            let other = self.latest_in_network.insert(network, end);
            if is_another(other, victim, now) {
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
    now.saturating_sub(at) < DOUBT
}

/// Whether the end before this one came at the same time and was another party's.
fn is_another<Party: PartialEq>(
    before: Option<(Moment, Party)>,
    party: &Party,
    now: Moment,
) -> bool {
    before.is_some_and(|(at, other)| is_recent(at, now) && other != *party)
}

/// The parties, networks or victims, that had sudden ends lately.
#[derive(Debug, PartialEq, Eq)]
struct RecentEnds<Party> {
    /// The moments of the first and of the latest end of each.
    ends: BTreeMap<Party, (Moment, Moment)>,
    by_latest: BTreeSet<(Moment, Party)>,
}

impl<Party: Clone + Ord> RecentEnds<Party> {
    /// Takes note of a sudden end and returns whether it is among the first ones, within [`DOUBT`], after [`CALM`].
    fn is_unusual(&mut self, party: &Party, now: Moment) -> bool {
        self.forget(now);
        let (first, latest) = self.ends.remove(party).unwrap_or((now, now));
        self.by_latest.remove(&(latest, party.clone()));
        self.ends.insert(party.clone(), (first, now));
        self.by_latest.insert((now, party.clone()));
        is_recent(first, now)
    }

    /// Forgets parties whose latest end is older than [`CALM`], and the oldest ones if there are too many.
    fn forget(&mut self, now: Moment) {
        while let Some((latest, _)) = self.by_latest.first()
            && (now.saturating_sub(*latest) >= CALM || self.ends.len() >= MOST_KNOWN)
            && let Some((_, party)) = self.by_latest.pop_first()
        {
            self.ends.remove(&party);
        }
    }
}

/// Not derived: that would require `Party: Default`.
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
    fn sudden_ends_of_thousands_take_bounded_memory() {
        let mut doubts = Doubts::default();
        let networks: Vec<_> = (0..2000_u16).map(|number| (number, number)).collect();
        let names: Vec<_> = (0..2000_u16).map(|number| (number, 0)).collect();
        for (at, ends) in [(0, networks), (1, names)] {
            for (number, network) in ends {
                let [high, low] = network.to_be_bytes();
                let victim = Victim {
                    user: number.to_string().as_str().try_into().unwrap(),
                    browser: Browser {
                        address: [10, high, low, 1].into(),
                        agent: None,
                    },
                };
                doubts.end(ConnectionId::FIRST, &victim, 1, Moment::from_secs(at));
            }
        }
        let (networks, victims) = (&doubts.networks, &doubts.victims);
        for known in [
            networks.ends.len(),
            networks.by_latest.len(),
            victims.ends.len(),
            victims.by_latest.len(),
        ] {
            assert!((MOST_KNOWN / 2..=MOST_KNOWN).contains(&known), "{known}");
        }
        assert!(doubts.latest_in_network.len() <= MOST_KNOWN);
        assert!(doubts.cut_networks.len() <= MOST_KNOWN);
    }
}
