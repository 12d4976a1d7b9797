//! The way into the hub.
//!
//! Lives here: what can be asked of the hub, and the bounded queue that carries it.
//! Invariants: what one connection says arrives in the order in which it said it; the end of a connection
//! always arrives, because its place in the queue is reserved when the connection begins.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot},
    time::Instant,
};

use crate::{
    config::MOST_SESSIONS,
    presence::{
        Audience, ConnectionId, Ending, Event, Message, PeopleCursor, Person, Rules, Snapshot,
    },
};

/// What the hub is asked to do, one at a time.
#[derive(Debug)]
pub(crate) enum Request {
    /// A browser said something.
    Frame {
        event: Event,
        /// When it came.
        since: Instant,
        /// One of the few frames that its connection may have waiting; given back once this one is handled.
        turn: OwnedSemaphorePermit,
        /// One of the frames of all connections that may wait.
        room: OwnedSemaphorePermit,
    },
    /// A connection ended.
    Ended { conn: ConnectionId, ending: Ending },
    /// Send a message and say whom it reaches.
    Post {
        to: Audience,
        message: Message,
        delivery: oneshot::Sender<Delivery>,
    },
    /// End a lost place, and say whether it was still there and lost.
    Dismiss {
        conn: ConnectionId,
        dismissed: oneshot::Sender<bool>,
    },
    /// Say who is there: some of them, and where to go on if there are more.
    People(
        Option<PeopleCursor>,
        oneshot::Sender<(Vec<Person>, Option<PeopleCursor>)>,
    ),
    /// Say what a restart shall not lose.
    Snapshot(oneshot::Sender<Snapshot>),
    /// Go by these rules from now on.
    Reload(Rules),
    /// Show that the hub is alive.
    Ping(oneshot::Sender<()>),
    /// Let no place lapse any more: whoever is disconnected from now on comes back to the next daemon.
    Drain(oneshot::Sender<()>),
    /// End, and leave the next daemon what it must know.
    Finish(oneshot::Sender<Snapshot>),
}

/// Whom a message reaches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Delivery {
    /// Connections that took it.
    pub(crate) reached: usize,
    /// Lost connections that it is kept for.
    pub(crate) kept: usize,
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
    /// Has room for every frame that may wait, besides the reserved end of every session there can be.
    inbox: mpsc::Sender<Request>,
    /// One permit for every frame that may wait.
    frames: Arc<Semaphore>,
    depth: Depth,
}

/// What comes out at the hub.
#[derive(Debug)]
pub(crate) struct Inbox {
    requests: mpsc::Receiver<Request>,
    depth: Depth,
}

/// How many requests wait. The queue itself would count places that are only reserved.
#[derive(Clone, Debug, Default)]
struct Depth(Arc<AtomicUsize>);

/// A reserved place for the news that a connection has ended.
#[derive(Debug)]
pub(crate) struct LastWord {
    place: mpsc::OwnedPermit<Request>,
    depth: Depth,
}

/// Opens a queue for `frames` frames. A place in it costs nothing until it is used, so there is one for the end of each of
/// as many sessions as a reload can ever allow.
pub(crate) fn channel(frames: usize) -> (HubHandle, Inbox) {
    let (inbox, requests) = mpsc::channel(frames + MOST_SESSIONS);
    let depth = Depth::default();
    let handle = HubHandle {
        inbox,
        frames: Arc::new(Semaphore::new(frames)),
        depth: depth.clone(),
    };
    (handle, Inbox { requests, depth })
}

impl Inbox {
    /// The next request; none when nobody is left who could ask.
    pub(crate) async fn recv(&mut self) -> Option<Request> {
        let request = self.requests.recv().await?;
        self.depth.shrink();
        Some(request)
    }
}

impl Depth {
    fn grow(&self) {
        self.0.fetch_add(1, Relaxed);
    }

    fn shrink(&self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

impl HubHandle {
    /// Sends a message and returns whom it reaches.
    pub(crate) async fn post(&self, to: Audience, message: Message) -> Result<Delivery, HubGone> {
        self.ask(|delivery| Request::Post {
            to,
            message,
            delivery,
        })
        .await
    }

    /// Ends a lost place, and returns whether it was still there and lost.
    pub(crate) async fn dismiss(&self, conn: ConnectionId) -> Result<bool, HubGone> {
        self.ask(|dismissed| Request::Dismiss { conn, dismissed })
            .await
    }

    /// Returns everybody who has identified, in order of identify. They are asked for a few at a time, and events are heard
    /// in between: whoever changes names meanwhile may be missing.
    pub(crate) async fn people(&self) -> Result<Vec<Person>, HubGone> {
        let mut all: Vec<Person> = Vec::new();
        let mut from = None;
        loop {
            let (some, more) = self.ask(|people| Request::People(from, people)).await?;
            for person in some {
                // A user with many connections comes in parts.
                match all.last_mut() {
                    Some(last) if last.rank == person.rank => {
                        last.connections.extend(person.connections);
                    }
                    Some(_) | None => all.push(person),
                }
            }
            if more.is_none() {
                return Ok(all);
            }
            from = more;
        }
    }

    /// Returns what a restart shall not lose.
    pub(crate) async fn snapshot(&self) -> Result<Snapshot, HubGone> {
        self.ask(Request::Snapshot).await
    }

    /// Has the hub go by these rules. What is asked of it afterwards is decided by them.
    pub(crate) async fn reload(&self, rules: Rules) -> Result<(), HubGone> {
        self.send(Request::Reload(rules)).await
    }

    /// Returns once the hub has come round to answering.
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

    /// Hands over a frame. Never waits: the caller is the reader of a connection.
    pub(crate) fn frame(&self, event: Event, turn: OwnedSemaphorePermit) -> Result<(), InboxFull> {
        let room = self.frames.clone().try_acquire_owned();
        let room = room.map_err(|_| InboxFull)?;
        let place = self.inbox.try_reserve().map_err(|_| InboxFull)?;
        self.depth.grow();
        place.send(Request::Frame {
            event,
            since: Instant::now(),
            turn,
            room,
        });
        Ok(())
    }

    /// How much waits for the hub.
    pub(crate) fn queue_depth(&self) -> usize {
        self.depth.0.load(Relaxed)
    }

    /// Reserves the place for the end of a connection.
    pub(crate) fn last_word(&self) -> Result<LastWord, InboxFull> {
        let place = self.inbox.clone().try_reserve_owned();
        Ok(LastWord {
            place: place.map_err(|_| InboxFull)?,
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
        let place = self.inbox.reserve().await.map_err(|_| HubGone)?;
        self.depth.grow();
        place.send(request);
        Ok(())
    }
}

impl LastWord {
    /// Tells the hub that the connection has ended.
    pub(crate) fn say(self, conn: ConnectionId, ending: Ending) {
        self.depth.grow();
        self.place.send(Request::Ended { conn, ending });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::presence::{Browser, Identity, Moment, Registry, Rules};

    #[tokio::test]
    async fn a_user_whose_connections_come_in_parts_is_one_person() {
        let mut registry = Registry::new(Rules {
            merge_interval: Moment::ZERO,
            grace: Moment::ZERO,
            lost_places: 1,
            tabs_per_browser: 1,
        });
        for (number, user) in ["adam", "eve", "adam", "adam"].into_iter().enumerate() {
            let event = Event::Identified {
                conn: format!("{number:016}").as_str().try_into().unwrap(),
                identity: Identity {
                    username: user.try_into().unwrap(),
                    user_type: "operator".try_into().unwrap(),
                    app_version: "1.0".try_into().unwrap(),
                },
                browser: Browser {
                    address: [192, 0, 2, 1].into(),
                    agent: None,
                },
                page: None,
            };
            let _ = registry.apply(event, Moment::ZERO);
        }
        let (hub, mut requests) = channel(1);
        let answers = async {
            while let Some(Request::People(from, people)) = requests.recv().await {
                people.send(registry.people(from, 2, Moment::ZERO)).unwrap();
            }
        };
        let people = tokio::select! {
            () = answers => panic!("the hub was asked for something else"),
            people = hub.people() => people.unwrap(),
        };
        let (everybody, _) = registry.people(None, usize::MAX, Moment::ZERO);
        assert_eq!(people, everybody);
    }
}
