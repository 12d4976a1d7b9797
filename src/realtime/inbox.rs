//! The way into the hub.
//!
//! Lives here: what can be asked of the hub, and the bounded queue that carries it.
//! Invariants: what one connection says arrives in the order in which it said it; the end of a connection
//! always arrives, because its place in the queue is reserved when the connection begins.

use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};

use crate::presence::{Audience, ConnectionId, Event, Message, Person};

/// What the hub is asked to do, one at a time.
#[derive(Debug)]
pub(crate) enum Request {
    /// A browser said something.
    Frame {
        event: Event,
        /// One of the few frames that its connection may have waiting; given back once this one is handled.
        turn: OwnedSemaphorePermit,
    },
    /// A connection ended.
    Ended(ConnectionId),
    /// Send a message and say how many connections took it.
    Post {
        to: Audience,
        message: Message,
        reached: oneshot::Sender<usize>,
    },
    /// Say who is there.
    People(oneshot::Sender<Vec<Person>>),
    /// Show that the hub is alive.
    Ping(oneshot::Sender<()>),
    /// Say nothing more to browsers: they are about to be disconnected and shall not see each other leave.
    Drain(oneshot::Sender<()>),
}

/// The hub has stopped; the daemon is about to do so too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the hub has stopped")]
pub(crate) struct HubGone;

/// The inbox has no room for a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the inbox is full")]
pub(crate) struct InboxFull;

/// A way to reach the hub.
#[derive(Clone, Debug)]
pub(crate) struct HubHandle {
    /// Has room for `limits.inbox` frames at least, besides the reserved end of every session.
    inbox: mpsc::Sender<Request>,
}

/// A reserved place for the news that a connection has ended.
#[derive(Debug)]
pub(crate) struct Goodbye(mpsc::OwnedPermit<Request>);

/// Opens a queue for `frames` frames and the ends of `sessions` sessions.
pub(crate) fn channel(frames: usize, sessions: usize) -> (HubHandle, mpsc::Receiver<Request>) {
    let (inbox, requests) = mpsc::channel(frames + sessions);
    (HubHandle { inbox }, requests)
}

impl HubHandle {
    /// Sends a message and returns how many connections took it.
    pub(crate) async fn post(&self, to: Audience, message: Message) -> Result<usize, HubGone> {
        self.ask(|reached| Request::Post {
            to,
            message,
            reached,
        })
        .await
    }

    /// Returns everybody who has identified, in order of identify.
    pub(crate) async fn people(&self) -> Result<Vec<Person>, HubGone> {
        self.ask(Request::People).await
    }

    /// Returns once the hub has come round to answering.
    pub(crate) async fn ping(&self) -> Result<(), HubGone> {
        self.ask(Request::Ping).await
    }

    /// Silences the hub before the connections are closed.
    pub(crate) async fn drain(&self) -> Result<(), HubGone> {
        self.ask(Request::Drain).await
    }

    /// Hands over a frame. Never waits: the caller is the reader of a connection.
    pub(crate) fn frame(&self, event: Event, turn: OwnedSemaphorePermit) -> Result<(), InboxFull> {
        let sent = self.inbox.try_send(Request::Frame { event, turn });
        sent.map_err(|_| InboxFull)
    }

    /// Reserves the place for the end of a connection.
    pub(crate) fn goodbye(&self) -> Result<Goodbye, InboxFull> {
        let permit = self.inbox.clone().try_reserve_owned();
        permit.map(Goodbye).map_err(|_| InboxFull)
    }

    async fn ask<T>(
        &self,
        request: impl FnOnce(oneshot::Sender<T>) -> Request,
    ) -> Result<T, HubGone> {
        let (answer, answered) = oneshot::channel();
        let sent = self.inbox.send(request(answer)).await;
        sent.map_err(|_| HubGone)?;
        answered.await.map_err(|_| HubGone)
    }
}

impl Goodbye {
    /// Tells the hub that the connection has ended.
    pub(crate) fn say(self, conn: ConnectionId) {
        self.0.send(Request::Ended(conn));
    }
}
