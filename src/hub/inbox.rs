//! The bounded queue of requests to the hub.
//!
//! Lives here: the requests, and the receiving end. Not here: the sending end (`handle`).

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

use tokio::{
    sync::{OwnedSemaphorePermit, mpsc, oneshot},
    time::Instant,
};

use super::{feed::Changes, outlet::Delivery};
use crate::presence::{
    Audience, ConnectionId, Ending, Event, Load, Message, PeopleCursor, PeoplePage, Rules, Snapshot,
};

/// What the hub is asked to do, one request at a time.
#[derive(Debug)]
pub(super) enum Request {
    /// Apply an event from a browser.
    Frame {
        event: Event,
        /// When it was received.
        since: Instant,
        /// The permit for one waiting frame of this connection. It is given back once the frame is handled.
        turn: OwnedSemaphorePermit,
        /// The permit for one waiting frame of all connections.
        inbox_permit: OwnedSemaphorePermit,
    },
    /// A connection ended.
    Ended {
        conn: ConnectionId,
        ending: Ending,
        /// When it ended.
        since: Instant,
    },
    /// Post a message and answer for how many connections it is.
    Post {
        to: Audience,
        message: Message,
        delivery: oneshot::Sender<Delivery>,
    },
    /// End a lost place, and answer whether there was one.
    Dismiss {
        conn: ConnectionId,
        dismissed: oneshot::Sender<bool>,
    },
    /// Answer with a page of people.
    People(Option<PeopleCursor>, oneshot::Sender<PeoplePage>),
    /// Answer with what a restart must not lose, and the changes after that.
    Snapshot(oneshot::Sender<(Snapshot, Changes)>),
    /// Use these rules from now on.
    Reload(Rules),
    /// Answer, to show that the hub is alive.
    Ping(oneshot::Sender<()>),
    /// Let no place lapse any more: connections that end from now on come back to the next daemon.
    Drain(oneshot::Sender<()>),
    /// End, and answer with what the next daemon must know.
    Finish(oneshot::Sender<Snapshot>),
}

/// So many requests wait when the hub has a heavy load.
const HEAVY: usize = 16;

/// The receiving end of the queue.
#[derive(Debug)]
pub(crate) struct Inbox {
    requests: mpsc::Receiver<Request>,
    depth: Depth,
}

/// The number of requests that wait. The length of the queue would include reserved slots.
#[derive(Clone, Debug, Default)]
pub(super) struct Depth(Arc<AtomicUsize>);

impl Inbox {
    pub(super) fn new(requests: mpsc::Receiver<Request>, depth: Depth) -> Self {
        Self { requests, depth }
    }

    /// The next request. `None` when nobody is left who could send one.
    pub(super) async fn recv(&mut self) -> Option<Request> {
        let request = self.requests.recv().await?;
        self.depth.shrink();
        Some(request)
    }

    /// The load of the hub.
    pub(super) fn load(&self) -> Load {
        if self.depth.get() > HEAVY {
            Load::Heavy
        } else {
            Load::Light
        }
    }
}

impl Depth {
    pub(super) fn get(&self) -> usize {
        self.0.load(Relaxed)
    }

    pub(super) fn grow(&self) {
        self.0.fetch_add(1, Relaxed);
    }

    fn shrink(&self) {
        self.0.fetch_sub(1, Relaxed);
    }
}
