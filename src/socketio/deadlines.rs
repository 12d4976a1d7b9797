//! Deadlines of connections.
//!
//! Lives here: waiting for the deadline of each connection of a namespace. Not here: what a connection must have done by then
//! (`namespaces`).
//! Invariant: one task waits for all deadlines. A task and a timer for each would be a large part of the memory of a connection.

use std::{collections::VecDeque, mem, time::Duration};

use parking_lot::Mutex;
use socketioxide::{SocketIo, socket::Sid};
use tokio::{
    sync::Notify,
    time::{Instant, sleep_until},
};

/// The connections of one namespace whose deadline is to come. All have equally much time, so deadlines expire in the order of
/// arrival.
pub(super) struct Deadlines {
    io: SocketIo,
    namespace: &'static str,
    /// The time from the arrival of a connection to its deadline.
    time: Duration,
    running: Mutex<Running>,
    /// Wakes the waiting task when the first connection arrives.
    arrival: Notify,
}

#[derive(Default)]
struct Running {
    queue: VecDeque<(Instant, Sid)>,
    /// The length of the queue at which connections that have ended are removed.
    sweep_at: usize,
}

impl Deadlines {
    pub(super) fn new(io: &SocketIo, namespace: &'static str, time: Duration) -> Self {
        Self {
            io: io.clone(),
            namespace,
            time,
            running: Mutex::default(),
            arrival: Notify::new(),
        }
    }

    /// Starts the time of a connection.
    pub(super) fn start(&self, sid: Sid) {
        let mut running = self.running.lock();
        if running.queue.len() >= running.sweep_at {
            // The task is waiting for the first one.
            let mut is_first = true;
            running
                .queue
                .retain(|(_, sid)| mem::take(&mut is_first) || self.is_open(*sid));
            running.sweep_at = 64 + 2 * running.queue.len();
            let room = running.sweep_at;
            running.queue.shrink_to(room);
        }
        let due = Instant::now() + self.time;
        running.queue.push_back((due, sid));
        self.arrival.notify_one();
    }

    /// Waits for the next deadline of a connection that has not ended.
    pub(super) async fn next(&self) -> Sid {
        loop {
            let first = self.running.lock().queue.front().copied();
            let Some((due, sid)) = first else {
                self.arrival.notified().await;
                continue;
            };
            sleep_until(due).await;
            self.running.lock().queue.pop_front();
            if self.is_open(sid) {
                return sid;
            }
        }
    }

    fn is_open(&self, sid: Sid) -> bool {
        let namespace = self.io.of(self.namespace);
        namespace.is_some_and(|namespace| namespace.get_socket(sid).is_some())
    }
}
