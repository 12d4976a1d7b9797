//! An outlet that records messages instead of sending them.
//!
//! Lives here: what tests of the admin app, systemd and the file of places run the real hub with.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::watch;

use super::{
    handle::{HubHandle, open},
    inbox::Inbox,
    outlet::{Delivery, Outlet},
    task::Hub,
};
use crate::{
    presence::{Census, Load, Message, Moment, Recipients, Registry, Rules},
    stats::Counters,
};

/// Records messages. Clones share one record.
#[derive(Clone, Debug, Default)]
pub(crate) struct Recorder {
    /// The numbers of connections that each message is said to be for.
    delivery: Delivery,
    sent: Arc<Mutex<Vec<(Recipients, Message)>>>,
}

impl Recorder {
    /// A recorder that answers each message with `delivery`.
    pub(crate) fn answering(delivery: Delivery) -> Self {
        Self {
            delivery,
            ..Self::default()
        }
    }

    /// Everything that was sent since the last call.
    pub(crate) fn take(&self) -> Vec<(Recipients, Message)> {
        std::mem::take(&mut *self.sent.lock())
    }

    /// A hub that sends to this recorder, its queue, and a handle on it.
    pub(crate) fn hub(&self, registry: Registry) -> (HubHandle, Hub<Self>, Inbox) {
        let (handle, inbox) = open(8);
        let census = watch::Sender::new(Census::default());
        let hub = Hub::new(registry, self.clone(), census, Counters::default());
        (handle, hub, inbox)
    }
}

impl Outlet for Recorder {
    fn send(&self, to: &Recipients, message: &Message, _load: Load) -> Delivery {
        self.sent.lock().push((to.clone(), message.clone()));
        self.delivery
    }
}

/// A registry that merges no lists and keeps lost places for 15 seconds.
pub(crate) fn registry() -> Registry {
    Registry::new(Rules {
        merge_interval: Moment::ZERO,
        grace: Moment::from_secs(15),
        lost_places: 100,
        tabs_per_browser: 100,
    })
}
