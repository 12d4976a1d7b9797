//! What the rest of the daemon can ask of the hub.
//!
//! Lives here: the sending end of its queue. Not here: answering (`task`).
//! Invariants: events of one connection arrive in the order in which it sent them; the end of a connection always arrives,
//! because its slot in the queue is reserved when the connection begins.

use std::sync::Arc;

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot},
    time::Instant,
};

use super::{
    feed::Changes,
    inbox::{Depth, Inbox, Request},
    outlet::Delivery,
};
use crate::{
    config::MOST_SESSIONS,
    presence::{Audience, ConnectionId, Ending, Event, Message, Person, Rules, Snapshot},
};

/// The hub has stopped. The daemon is about to stop as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the hub has stopped")]
pub(crate) struct HubGone;

/// The queue has no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the inbox is full")]
pub(crate) struct InboxFull;

/// A way to reach the hub.
#[derive(Clone, Debug)]
pub(crate) struct HubHandle {
    /// Has room for every frame that may wait, and for the reserved end of every session there can be.
    inbox: mpsc::Sender<Request>,
    /// One permit for every frame that may wait.
    frames: Arc<Semaphore>,
    depth: Depth,
}

/// A reserved slot in the queue for the end of a connection.
#[derive(Debug)]
pub(crate) struct EndPermit {
    slot: mpsc::OwnedPermit<Request>,
    depth: Depth,
}

/// Opens a queue with room for `frames` frames. It also has a slot for the end of each session that a reload can ever allow: a
/// slot costs no memory until it is used.
pub(crate) fn open(frames: usize) -> (HubHandle, Inbox) {
    let (inbox, requests) = mpsc::channel(frames + MOST_SESSIONS);
    let depth = Depth::default();
    let handle = HubHandle {
        inbox,
        frames: Arc::new(Semaphore::new(frames)),
        depth: depth.clone(),
    };
    (handle, Inbox::new(requests, depth))
}

impl HubHandle {
    /// Posts a message and returns for how many connections it is.
    pub(crate) async fn post(&self, to: Audience, message: Message) -> Result<Delivery, HubGone> {
        self.ask(|delivery| Request::Post {
            to,
            message,
            delivery,
        })
        .await
    }

    /// Ends a lost place, and returns whether there was one.
    pub(crate) async fn dismiss(&self, conn: ConnectionId) -> Result<bool, HubGone> {
        self.ask(|dismissed| Request::Dismiss { conn, dismissed })
            .await
    }

    /// Returns everybody who has identified, in order of identify. They are asked for page by page, and events are handled in
    /// between: a user who changes names meanwhile may be missing.
    pub(crate) async fn people(&self) -> Result<Vec<Person>, HubGone> {
        let mut all: Vec<Person> = Vec::new();
        let mut cursor = None;
        loop {
            let page = self.ask(|page| Request::People(cursor, page)).await?;
            for person in page.people {
                // A user with many connections may be on several pages.
                match all.last_mut() {
                    Some(last) if last.rank == person.rank => {
                        last.connections.extend(person.connections);
                    }
                    Some(_) | None => all.push(person),
                }
            }
            if page.next.is_none() {
                return Ok(all);
            }
            cursor = page.next;
        }
    }

    /// Returns what a restart must not lose, and the changes after that.
    pub(crate) async fn snapshot(&self) -> Result<(Snapshot, Changes), HubGone> {
        self.ask(Request::Snapshot).await
    }

    /// Changes the rules. They hold for every later request.
    pub(crate) async fn reload(&self, rules: Rules) -> Result<(), HubGone> {
        self.send(Request::Reload(rules)).await
    }

    /// Returns once the hub has answered.
    pub(crate) async fn ping(&self) -> Result<(), HubGone> {
        self.ask(Request::Ping).await
    }

    /// Prepares the hub for the end of all connections.
    pub(crate) async fn drain(&self) -> Result<(), HubGone> {
        self.ask(Request::Drain).await
    }

    /// Ends the hub and returns what the next daemon must know.
    pub(crate) async fn finish(&self) -> Result<Snapshot, HubGone> {
        self.ask(Request::Finish).await
    }

    /// Hands over an event from a browser. Never waits, because the caller reads a connection.
    pub(crate) fn frame(&self, event: Event, turn: OwnedSemaphorePermit) -> Result<(), InboxFull> {
        let permit = self.frames.clone().try_acquire_owned();
        let inbox_permit = permit.map_err(|_| InboxFull)?;
        let slot = self.inbox.try_reserve().map_err(|_| InboxFull)?;
        self.depth.grow();
        slot.send(Request::Frame {
            event,
            since: Instant::now(),
            turn,
            inbox_permit,
        });
        Ok(())
    }

    /// The number of requests that wait for the hub.
    pub(crate) fn queue_depth(&self) -> usize {
        self.depth.get()
    }

    /// Reserves the slot for the end of a connection.
    pub(crate) fn end_permit(&self) -> Result<EndPermit, InboxFull> {
        let slot = self.inbox.clone().try_reserve_owned();
        Ok(EndPermit {
            slot: slot.map_err(|_| InboxFull)?,
            depth: self.depth.clone(),
        })
    }

    async fn ask<T>(
        &self,
        request: impl FnOnce(oneshot::Sender<T>) -> Request,
    ) -> Result<T, HubGone> {
        let (answer, answered) = oneshot::channel();
        self.send(request(answer)).await?;
        answered.await.map_err(|_| HubGone)
    }

    async fn send(&self, request: Request) -> Result<(), HubGone> {
        let slot = self.inbox.reserve().await.map_err(|_| HubGone)?;
        self.depth.grow();
        slot.send(request);
        Ok(())
    }
}

impl EndPermit {
    /// Tells the hub that the connection has ended.
    pub(crate) fn send(self, conn: ConnectionId, ending: Ending) {
        self.depth.grow();
        self.slot.send(Request::Ended {
            conn,
            ending,
            since: Instant::now(),
        });
    }
}
