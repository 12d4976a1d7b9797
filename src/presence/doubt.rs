//! Whether a long poll that broke off was closed with its page, or cut by what stood in between.
//!
//! Lives here: telling the two apart by what happens to others. When nginx stops, the connections of many browsers end
//! in one instant; when somebody closes a tab, or a browser with all its tabs, only that browser's do.
//! Invariant: nothing is remembered for longer than [`DOUBT`].

use std::{collections::VecDeque, time::Duration};

use super::{Browser, ConnectionId, Moment};

/// How far apart ends of one cause may be. Nobody sees that a closed tab is gone that much later.
pub(super) const DOUBT: Duration = Duration::from_millis(100);

/// The sudden ends of the last moment.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Doubts {
    latest: Option<(Moment, Browser)>,
    /// When two browsers were last hit at once.
    shared: Option<Moment>,
    /// Connections of which it is not known why they ended.
    open: VecDeque<(Moment, ConnectionId)>,
}

impl Doubts {
    /// Takes note of a sudden end, and says whether it has hit another browser, too.
    pub(super) fn is_shared(&mut self, browser: &Browser, now: Moment) -> bool {
        let recent = |at: Moment| now.saturating_sub(at) < DOUBT;
        let latest = self.latest.replace((now, browser.clone()));
        if latest.is_some_and(|(at, other)| recent(at) && other != *browser) {
            self.shared = Some(now);
        }
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
