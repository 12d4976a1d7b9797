//! The state of one session.
//!
//! Lives here: what its socket, its polls, its probe and its websocket share, under one lock. Not here: HTTP, frames, handlers.
//! Invariants: a packet is taken from the queue once; a session ends once; the lock is held for a moment only, and nothing is
//! called under it.

#[cfg(test)]
mod tests;

use std::{
    collections::VecDeque,
    mem,
    sync::{Arc, Weak},
    task::{Context, Poll, Waker},
    time::Duration,
};

use engineioxide_core::{ProtocolVersion, Sid, TransportType};
use parking_lot::Mutex;
use tokio::{sync::mpsc::error::TrySendError, time::Instant};

use crate::{
    DisconnectReason, Query, Rewrite,
    config::EngineIoConfig,
    ended::Ended,
    heartbeat::{Beat, Heartbeat},
    packet::Packet,
    queue::{Queue, Waiting},
    socket::Permit,
};

/// Where the ends of sessions are reported to.
pub(crate) trait Report: Send + Sync {
    /// Tells the handler.
    fn report(&self, session: Sid, ended: Ended);
}

/// A handle on a session. The engine puts it into the extensions of the request that a socket keeps.
pub type SessionHandle = Arc<Session>;

/// One session.
pub struct Session {
    pub(crate) id: Sid,
    pub(crate) version: ProtocolVersion,
    /// Whether the client cannot read binary responses.
    pub(crate) as_text: bool,
    /// Packets that may wait.
    most: usize,
    /// Changes what is received.
    pub(crate) rewrite: Option<Rewrite>,
    engine: Weak<dyn Report>,
    state: Mutex<State>,
}

struct State {
    queue: Queue,
    transport: TransportType,
    /// Whether a poll waits.
    is_polling: bool,
    /// Whether a websocket is being probed.
    is_probing: bool,
    heartbeat: Heartbeat,
    heard: Instant,
    ended: Option<Ended>,
    /// Whether the handler knows the end.
    is_reported: bool,
    /// The poll or the websocket that takes packets.
    taker: Option<Waker>,
    /// Who waits for the end.
    waiters: Vec<Waker>,
}

impl Session {
    pub(crate) fn new(
        query: Query,
        config: &EngineIoConfig,
        rewrite: Option<Rewrite>,
        engine: Weak<dyn Report>,
    ) -> Self {
        let now = Instant::now();
        Self {
            id: Sid::new(),
            version: query.version,
            as_text: query.base64,
            most: config.max_buffer_size,
            rewrite,
            engine,
            state: Mutex::new(State {
                queue: Queue::default(),
                transport: query.transport,
                is_polling: false,
                is_probing: false,
                heartbeat: Heartbeat::heard(now, query.version, config),
                heard: now,
                ended: None,
                is_reported: false,
                taker: None,
                waiters: Vec::new(),
            }),
        }
    }

    /// The transport that the client uses now, or used last.
    #[must_use]
    pub fn transport(&self) -> TransportType {
        self.state.lock().transport
    }

    /// What waits for the client. What was handed to the kernel does not count.
    #[must_use]
    pub fn waiting(&self) -> Waiting {
        self.state.lock().queue.waiting()
    }

    /// What has ended the session, once it has ended.
    #[must_use]
    pub fn ended(&self) -> Option<Ended> {
        self.state.lock().ended
    }

    /// The time since the client was last heard.
    #[must_use]
    pub fn silence(&self) -> Duration {
        self.state.lock().heard.elapsed()
    }

    /// Records that something was received, and tells whether the session has ended before.
    pub(crate) fn hear(&self) -> Option<Ended> {
        let mut state = self.state.lock();
        state.heard = Instant::now();
        state.ended
    }

    /// Records a sign of life.
    pub(crate) fn refresh(&self, config: &EngineIoConfig) {
        self.state.lock().heartbeat = Heartbeat::heard(Instant::now(), self.version, config);
    }

    /// Tells what the heartbeat wants, and queues a ping if it wants one.
    pub(crate) fn beat(&self, config: &EngineIoConfig) -> Beat {
        let beat = self.state.lock().heartbeat.beat(Instant::now(), config);
        if let Beat::Ping(_) = beat {
            self.push([Packet::Ping]);
        }
        beat
    }
}

/// Sending.
impl Session {
    /// A place in the queue.
    pub(crate) fn reserve(&self) -> Result<Permit<'_>, TrySendError<()>> {
        let mut state = self.state.lock();
        if state.ended.is_some() {
            return Err(TrySendError::Closed(()));
        }
        if !state.queue.reserve(self.most) {
            return Err(TrySendError::Full(()));
        }
        Ok(Permit { session: self })
    }

    /// Gives a place back.
    pub(crate) fn release(&self) {
        self.state.lock().queue.release();
    }

    /// Queues packets that follow each other. After the end they are dropped.
    pub(crate) fn push(&self, packets: impl IntoIterator<Item = Packet>) {
        self.push_if(packets, |_| true);
    }

    /// Queues the answer to a ping, unless the client lets too many packets wait.
    pub(crate) fn pong(&self) {
        let most = self.most;
        self.push_if([Packet::Pong], |state| state.queue.waiting().packets < most);
    }

    /// Queues packets if a client takes them at once.
    pub(crate) fn push_volatile(&self, packets: impl IntoIterator<Item = Packet>) -> bool {
        self.push_if(packets, |state| {
            let has_taker = state.is_polling || state.transport == TransportType::Websocket;
            has_taker && state.queue.is_empty()
        })
    }

    fn push_if(
        &self,
        packets: impl IntoIterator<Item = Packet>,
        condition: impl FnOnce(&State) -> bool,
    ) -> bool {
        let mut state = self.state.lock();
        if state.ended.is_some() || !condition(&state) {
            return false;
        }
        for packet in packets {
            state.queue.push(packet);
        }
        let taker = state.taker.take();
        drop(state);
        wake(taker);
        true
    }
}

/// Polling.
impl Session {
    /// Lets a poll wait, unless another one waits.
    pub(crate) fn begin_poll(&self) -> bool {
        let mut state = self.state.lock();
        state.heard = Instant::now();
        !mem::replace(&mut state.is_polling, true)
    }

    /// The packets that the waiting poll is answered with. From then on the next poll may come.
    pub(crate) fn poll_answer(&self, cx: &mut Context<'_>) -> Poll<VecDeque<Packet>> {
        let mut state = self.state.lock();
        let answer = match (state.transport, state.ended) {
            // What waits is for the websocket, or for nobody.
            (TransportType::Websocket, _) | (_, Some(Ended::ClosePacket)) => [Packet::Noop].into(),
            (TransportType::Polling, Some(_)) => {
                let mut last = state.queue.take();
                last.push_back(Packet::Close);
                last
            }
            (TransportType::Polling, None) => state.queue.take(),
        };
        if answer.is_empty() {
            state.taker = Some(cx.waker().clone());
            return Poll::Pending;
        }
        state.is_polling = false;
        Poll::Ready(answer)
    }

    /// Ends the session, because its client did not wait for the answer to its poll. After an upgrade it needs none.
    pub(crate) fn abort_poll(&self) {
        let mut state = self.state.lock();
        state.is_polling = false;
        let is_over = state.transport == TransportType::Polling;
        drop(state);
        if is_over {
            self.end(Ended::PollAborted);
        }
    }
}

/// Upgrading.
impl Session {
    /// Begins a probe, unless the session has one or is a websocket.
    pub(crate) fn begin_probe(&self) -> bool {
        let mut state = self.state.lock();
        let may_probe =
            state.transport == TransportType::Polling && !state.is_probing && state.ended.is_none();
        state.is_probing |= may_probe;
        may_probe
    }

    /// Ends a probe, whatever came of it.
    pub(crate) fn end_probe(&self) {
        self.state.lock().is_probing = false;
    }

    /// Answers the poll that waits, so that its client can go on with the upgrade.
    pub(crate) fn release_poll(&self) {
        self.push_if([Packet::Noop], |state| {
            state.is_polling && state.queue.is_empty()
        });
    }

    /// Moves the session to a websocket, unless it has ended. A poll that still waits is answered.
    pub(crate) fn upgrade(&self) -> bool {
        let mut state = self.state.lock();
        if state.ended.is_some() {
            return false;
        }
        state.transport = TransportType::Websocket;
        state.heard = Instant::now();
        let taker = state.taker.take();
        drop(state);
        wake(taker);
        true
    }
}

/// Websockets.
impl Session {
    /// Has a websocket woken when packets wait or the session ends, and tells whether it has ended.
    pub(crate) fn attach(&self, waker: &Waker) -> Option<Ended> {
        let mut state = self.state.lock();
        if !matches!(&state.taker, Some(taker) if taker.will_wake(waker)) {
            state.taker = Some(waker.clone());
        }
        state.ended
    }

    /// The next packet for a websocket.
    pub(crate) fn next_packet(&self) -> Option<Packet> {
        self.state.lock().queue.pop()
    }
}

/// Ending.
impl Session {
    /// Ends the session and tells the handler before this returns. Not for callers who may hold locks of the handler.
    pub(crate) fn end(&self, ended: Ended) {
        let engine = self.engine.upgrade();
        if self.mark(ended)
            && let Some(engine) = engine
        {
            engine.report(self.id, ended);
        }
    }

    /// Ends the session at once, whatever its client does or does not do. The handler is told by a task of its own, because it may
    /// be the caller.
    pub fn close(&self, reason: DisconnectReason) {
        let (id, ended) = (self.id, Ended::Closed(reason));
        // Before the mark, because the task that it wakes may be the last one to hold the engine.
        let engine = self.engine.upgrade();
        if self.mark(ended)
            && let Some(engine) = engine
        {
            crate::spawn::soon(move || engine.report(id, ended));
        }
    }

    /// Ends the session, and returns whether it had not ended before.
    fn mark(&self, ended: Ended) -> bool {
        let mut state = self.state.lock();
        if state.ended.is_some() {
            return false;
        }
        state.ended = Some(ended);
        let taker = state.taker.take();
        let waiters = mem::take(&mut state.waiters);
        drop(state);
        wake(taker.into_iter().chain(waiters));
        true
    }

    /// Records that the handler has been told.
    pub(crate) fn reported(&self) {
        let mut state = self.state.lock();
        state.is_reported = true;
        let waiters = mem::take(&mut state.waiters);
        drop(state);
        wake(waiters);
    }

    /// Waits for the end.
    pub(crate) fn poll_ended(&self, cx: &mut Context<'_>) -> Poll<Ended> {
        self.wait_for(cx, |state| state.ended)
    }

    /// Waits until the handler has been told of the end.
    pub(crate) fn poll_reported(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.wait_for(cx, |state| state.is_reported.then_some(()))
    }

    fn wait_for<T>(&self, cx: &Context<'_>, what: impl Fn(&State) -> Option<T>) -> Poll<T> {
        let mut state = self.state.lock();
        if let Some(found) = what(&state) {
            return Poll::Ready(found);
        }
        if !state
            .waiters
            .iter()
            .any(|waker| waker.will_wake(cx.waker()))
        {
            state.waiters.push(cx.waker().clone());
        }
        Poll::Pending
    }
}

fn wake(wakers: impl IntoIterator<Item = Waker>) {
    wakers.into_iter().for_each(Waker::wake);
}
