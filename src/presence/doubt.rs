//! Whether a long poll that broke off was closed with its page, or cut by what stood in between.
//!
//! Lives here: telling the two apart by what happens to others. When nginx stops, the connections of many browsers end
//! in one instant; when somebody closes a tab, or a browser with all its tabs, only theirs do.
//! Invariant: nothing that is older than [`DOUBT`] decides anything.

use std::{collections::VecDeque, time::Duration};

use super::{Browser, ConnectionId, Moment, Username};

/// How far apart ends of one cause may be. Nobody sees that a closed tab is gone that much later.
pub(super) const DOUBT: Duration = Duration::from_millis(100);

/// The sudden ends of the last moment.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Doubts {
    latest: Option<(Moment, Victim)>,
    /// When two victims were last hit at once.
    shared: Option<Moment>,
    /// Connections of which it is not known why they ended.
    open: VecDeque<(Moment, ConnectionId)>,
}

/// Somebody in front of a browser. An office behind one address may well have the same browser on every desk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Victim {
    pub(super) user: Username,
    pub(super) browser: Browser,
}

impl Doubts {
    /// Takes note of a sudden end, and says whether it has hit somebody else, too.
    pub(super) fn is_shared(&mut self, victim: Victim, now: Moment) -> bool {
        let recent = |at: Moment| now.saturating_sub(at) < DOUBT;
        let latest = self.latest.take();
        if latest.is_some_and(|(at, other)| recent(at) && other != victim) {
            self.shared = Some(now);
        }
        self.latest = Some((now, victim));
        self.shared.is_some_and(recent)
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
            .pop_front_if(|(at, _)| now.saturating_sub(*at) >= DOUBT)
            .is_some()
        {}
    }
}
