//! Looking, when its time is over, whether a connection has done what it ought to have done by then.
//!
//! Lives here: whose time runs, and waiting for its end. Not here: what they ought to have done (`handlers`).
//! Invariant: one task waits for all of them. A task and a timer for each would be a large part of what a connection takes.

use std::{
    collections::VecDeque,
    mem,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use socketioxide::{SocketIo, socket::Sid};
use tokio::{
    sync::Notify,
    time::{Instant, sleep_until},
};

/// Those of one namespace whose time runs. All have equally long, so the first to come is the first whose time is over.
pub(crate) struct Deadlines {
    io: SocketIo,
    namespace: &'static str,
    /// How long everybody has.
    patience: Duration,
    /// Held for moments, by those who come and by the one who waits.
    running: Mutex<Running>,
    /// Wakes the one who waits when there was nobody to wait for.
    newcomer: Notify,
}

#[derive(Default)]
struct Running {
    queue: VecDeque<(Instant, Sid)>,
    /// So many are remembered before those are forgotten that have left.
    sweep_at: usize,
}

impl Deadlines {
    pub(crate) fn new(io: &SocketIo, namespace: &'static str, patience: Duration) -> Self {
        Self {
            io: io.clone(),
            namespace,
            patience,
            running: Mutex::default(),
            newcomer: Notify::new(),
        }
    }

    /// From now on the time of a connection runs.
    pub(crate) fn start(&self, newcomer: Sid) {
        let mut running = self.running();
        if running.queue.len() >= running.sweep_at {
            // The first one is being waited for.
            let mut is_first = true;
            running
                .queue
                .retain(|(_, sid)| mem::take(&mut is_first) || self.is_there(*sid));
            running.sweep_at = 64 + 2 * running.queue.len();
            let room = running.sweep_at;
            running.queue.shrink_to(room);
        }
        let due = Instant::now() + self.patience;
        running.queue.push_back((due, newcomer));
        self.newcomer.notify_one();
    }

    /// Waits until the time of one is over that is still there.
    pub(crate) async fn next(&self) -> Sid {
        loop {
            let first = self.running().queue.front().copied();
            let Some((due, sid)) = first else {
                self.newcomer.notified().await;
                continue;
            };
            sleep_until(due).await;
            self.running().queue.pop_front();
            if self.is_there(sid) {
                return sid;
            }
        }
    }

    fn is_there(&self, sid: Sid) -> bool {
        let namespace = self.io.of(self.namespace);
        namespace.is_some_and(|namespace| namespace.get_socket(sid).is_some())
    }

    /// Nothing panics while it holds this lock.
    fn running(&self) -> MutexGuard<'_, Running> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
