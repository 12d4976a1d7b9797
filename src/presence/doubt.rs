//! Whether a long poll that broke off was closed with its page, or cut by what stood in between.
//!
//! Lives here: telling the two apart by what happens to others. When nginx stops, the connections of many browsers end
//! in one instant; when somebody closes a tab, or a browser with all its tabs, only theirs do.
//!
//! An end is evidence only if it is unusual: a client that breaks off again and again says nothing about the network.
//! For browsers in other networks an end is unusual if its whole network had none for [`CALM`], so that an attacker gains
//! nothing by many names. For browsers in the same network, such as an office, it is unusual if its own browser had none.
//!
//! Invariants: nothing that is older than [`CALM`] decides anything; memory is bounded by [`MOST_KNOWN`].

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
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
    /// When two victims were last hit at once.
    shared: Option<Moment>,
    /// Connections of which it is not known why they ended.
    open: VecDeque<(Moment, ConnectionId)>,
}

/// Somebody in front of a browser. An office behind one address may well have the same browser on every desk.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Victim {
    pub(super) user: Username,
    pub(super) browser: Browser,
}

impl Doubts {
    /// Takes note of a sudden end and returns whether somebody else was hit at the same time. `left` is the number of
    /// connections that remain.
    ///
    /// If none remain, any two ends are enough: a proxy that stops several times in a row makes all ends usual, and no
    /// screen is left that could show a user who is gone.
    pub(super) fn is_shared(&mut self, victim: Victim, left: usize, now: Moment) -> bool {
        let [_, network] = networks(victim.browser.address);
        let mut is_shared = false;
        if self.networks.is_unusual(&network, now) {
            let other = self.latest_network.replace((now, network));
            is_shared |= is_another(other, &network, now);
        }
        if self.victims.is_unusual(&victim, now) {
            if self.latest_in_network.len() >= MOST_KNOWN {
                self.latest_in_network.clear();
            }
            let other = self
                .latest_in_network
                .insert(network, (now, victim.clone()));
            is_shared |= is_another(other, &victim, now);
        }
        let other = self.latest.replace((now, victim.clone()));
        is_shared |= left == 0 && is_another(other, &victim, now);
        if is_shared {
            self.shared = Some(now);
        }
        self.shared.is_some_and(|at| is_recent(at, now))
    }

    /// Remembers a connection in case that others follow.
    pub(super) fn add(&mut self, conn: ConnectionId, now: Moment) {
        self.settle(now);
        self.open.push_back((now, conn));
    }

    /// The connections that were hit by what has hit others just now.
    pub(super) fn take(&mut self, now: Moment) -> impl Iterator<Item = ConnectionId> + use<> {
        self.settle(now);
        std::mem::take(&mut self.open)
            .into_iter()
            .map(|(_, conn)| conn)
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    fn settle(&mut self, now: Moment) {
        while self
            .open
            .pop_front_if(|(at, _)| !is_recent(*at, now))
            .is_some()
        {}
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
    fn sudden_ends_of_thousands_of_networks_take_bounded_memory() {
        let mut doubts = Doubts::default();
        for number in 0..5000_u16 {
            let [high, low] = number.to_be_bytes();
            let victim = Victim {
                user: number.to_string().as_str().try_into().unwrap(),
                browser: Browser {
                    address: [10, high, low, 1].into(),
                    agent: None,
                },
            };
            doubts.is_shared(victim, 1, Moment::ZERO);
        }
        let known = [
            doubts.networks.ends.len(),
            doubts.networks.by_latest.len(),
            doubts.victims.ends.len(),
            doubts.victims.by_latest.len(),
        ];
        assert_eq!(known, [MOST_KNOWN; 4]);
        assert!(doubts.latest_in_network.len() <= MOST_KNOWN);
    }
}
