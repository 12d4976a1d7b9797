//! Publishing the census.
//!
//! Lives here: when the number of people is published. Not here: what becomes of it (`stats`, `lifecycle`).
//! Invariant: a census is published before the list that follows from the same change, unless one was published less than
//! `public.merge_interval_ms` before. The last state is always published.

use tokio::{sync::watch, time::Instant};

use crate::presence::{Census, Registry};

/// Publishes the census after changes, but at most once per `public.merge_interval_ms`.
#[derive(Debug)]
pub(super) struct CensusPublisher {
    sender: watch::Sender<Census>,
    /// The earliest time at which to publish again.
    next_at: Instant,
    is_stale: bool,
}

impl CensusPublisher {
    pub(super) fn new(sender: watch::Sender<Census>) -> Self {
        Self {
            sender,
            next_at: Instant::now(),
            is_stale: false,
        }
    }

    /// Publishes the people of the daemon before this one, if there are any.
    pub(super) fn start(&self, registry: &Registry) {
        let census = registry.census();
        self.sender.send_if_modified(|known| {
            let is_news = *known != census;
            *known = census;
            is_news
        });
    }

    /// Records that something has changed.
    pub(super) fn changed(&mut self) {
        self.is_stale = true;
    }

    /// The time at which [`publish_if_due`](Self::publish_if_due) next has something to do.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.is_stale.then_some(self.next_at)
    }

    pub(super) fn publish_if_due(&mut self, registry: &Registry) {
        let now = Instant::now();
        if self.is_stale && now >= self.next_at {
            self.is_stale = false;
            self.next_at = now + registry.rules().merge_interval;
            self.sender.send_replace(registry.census());
        }
    }

    /// Publishes an empty census. Otherwise dashboards would go on showing people who are connected to another daemon by then.
    pub(super) fn end(&self) {
        self.sender.send_replace(Census::default());
    }
}
