//! A connection in the namespace: what it sends, and its end.
//!
//! Lives here: the library's handlers. Not here: what a frame means (`wire`), and what follows from it (`presence`).
//! Invariant: a frame is in the hub's inbox before its handler returns. The library calls handlers in the order of the packets,
//! but spawns the futures of asynchronous ones, which then run in any order. So our handlers are synchronous.

use std::{mem, sync::Arc, time::Duration};

use governor::{DefaultDirectRateLimiter, Quota};
use parking_lot::Mutex;
use socketioxide::{
    ProtocolVersion, TransportType,
    adapter::LocalAdapter,
    extract::SocketRef,
    handler::{DisconnectHandler, MessageHandler, Value},
    socket::DisconnectReason,
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::task::{TaskTracker, task_tracker::TaskTrackerToken};
use tracing::debug;

use super::{
    close::{CloseReason, close},
    ending::{ending, fault},
    engine::Socket,
    handshake::Handshake,
    links::Links,
    session::Session,
    wire::{self, DecodeError},
};
use crate::{
    config::Settings,
    hub::{EndPermit, HubHandle, InboxFull},
    presence::{ConnectionId, Ending, Event, InvalidText},
    stats::{Counter, Counters},
};

/// Distinguishes the handlers below from the library's handlers for asynchronous functions.
pub(super) struct InOrder;

/// What all connections need.
pub(super) struct ConnectionContext {
    pub(super) hub: HubHandle,
    pub(super) links: Links,
    pub(super) counters: Counters,
    /// How much one connection may send is read when it joins.
    pub(super) settings: Settings,
    /// How long a session may be silent.
    pub(super) heartbeat: Duration,
    /// Tracks the connections in the namespace.
    pub(super) connections: TaskTracker,
}

/// Why a socket was not let into the namespace.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotLetIn {
    #[error("the server is full")]
    Full(#[from] InboxFull),
    #[error("not a session id")]
    Id(#[from] InvalidText),
    #[error("nothing is known of the handshake")]
    NoHandshake,
}

/// A connection in the namespace. It handles frames of every event name, and its end.
#[derive(Clone)]
pub(super) struct Connection(Arc<Inner>);

struct Inner {
    conn: ConnectionId,
    context: Arc<ConnectionContext>,
    /// The rate at which this connection may send events.
    rate: DefaultDirectRateLimiter,
    /// One permit for every frame of this connection that may wait for the hub, so that a flood affects only this connection.
    turns: Arc<Semaphore>,
    /// Locked while anything is handed to the hub, so that nothing follows the end: a frame after the end would list a user who
    /// has left, and nothing would ever remove that user.
    state: Mutex<ConnectionState>,
    _tracked: TaskTrackerToken,
}

enum ConnectionState {
    /// Frames wait here. The library answers CONNECT a moment before it considers the socket connected; until then nothing can
    /// be sent to it, and the list that a frame asks for would be lost.
    Queued(Vec<(Event, OwnedSemaphorePermit)>, EndPermit),
    /// Frames go to the hub.
    Live(EndPermit),
    /// Frames that are still being read are dropped.
    Ended,
}

impl Connection {
    pub(super) fn new(context: Arc<ConnectionContext>, socket: &Socket) -> Result<Self, NotLetIn> {
        let config = context.settings.now();
        let limits = &config.limits;
        let rate = Quota::per_second(limits.events_per_second).allow_burst(limits.events_burst);
        let end_permit = context.hub.end_permit()?;
        Ok(Self(Arc::new(Inner {
            conn: ConnectionId::try_from(socket.id.as_str())?,
            rate: DefaultDirectRateLimiter::direct(rate),
            turns: Arc::new(Semaphore::new(limits.frames_in_flight)),
            state: Mutex::new(ConnectionState::Queued(Vec::new(), end_permit)),
            _tracked: context.connections.token(),
            context,
        })))
    }

    /// The socket is connected: frames that were queued go to the hub now, and later ones at once.
    pub(super) fn connected(&self, socket: &SocketRef) {
        let Self(inner) = self;
        let mut state = inner.state.lock();
        match mem::replace(&mut *state, ConnectionState::Ended) {
            ConnectionState::Queued(waiting, end_permit) => {
                inner.context.links.insert(inner.conn, socket);
                *state = ConnectionState::Live(end_permit);
                for (event, turn) in waiting {
                    inner.hand_over(socket, event, turn);
                }
            }
            other @ (ConnectionState::Live(_) | ConnectionState::Ended) => *state = other,
        }
    }
}

impl MessageHandler<LocalAdapter, InOrder> for Connection {
    /// Sends no acknowledgement: the protocol has none.
    fn call(&self, socket: Arc<Socket>, value: Value, _ack: Option<i64>) {
        let Self(inner) = self;
        if inner.rate.check().is_err() {
            return inner.close(&socket, Counter::EventFlood);
        }
        let Some(session) = Session::of(&socket) else {
            return;
        };
        match inner.decode(&socket, &session.handshake, &value) {
            Ok(event) => {
                if let Event::Identified { .. } = event {
                    session.identified();
                }
                inner.hear(&socket, event);
            }
            Err(error) => {
                debug!(conn.id = %inner.conn, reason = %error, "frame rejected: {error}");
                inner.context.counters.count(counter(&error));
            }
        }
    }
}

impl DisconnectHandler<LocalAdapter, InOrder> for Connection {
    fn call_with_defer(
        &self,
        socket: Arc<Socket>,
        reason: DisconnectReason,
        defer: fn(Arc<Socket>),
    ) {
        let Self(inner) = self;
        debug!(conn.id = %inner.conn, %reason, "connection ended: {reason}");
        let context = &inner.context;
        if let Some(fault) = fault(&socket, reason) {
            context.counters.count(fault);
        }
        inner.end(ending(&socket, reason, context.heartbeat));
        end_with_namespace(&socket, reason);
        defer(socket);
    }
}

impl Inner {
    fn decode(
        &self,
        socket: &Socket,
        handshake: &Handshake,
        value: &Value,
    ) -> Result<Event, DecodeError> {
        let Value::Str(text, None) = value else {
            return Err(DecodeError::Binary);
        };
        match (socket.protocol(), socket.transport_type()) {
            (ProtocolVersion::V4, TransportType::Polling) => {
                wire::decode(self.conn, handshake, &wire::decode_twice_encoded(text))
            }
            _ => wire::decode(self.conn, handshake, text),
        }
    }

    fn hear(&self, socket: &Socket, event: Event) {
        let Ok(turn) = self.turns.clone().try_acquire_owned() else {
            return self.close(socket, Counter::FrameFlood);
        };
        match &mut *self.state.lock() {
            ConnectionState::Queued(waiting, _) => waiting.push((event, turn)),
            ConnectionState::Live(_) => self.hand_over(socket, event, turn),
            ConnectionState::Ended => {}
        }
    }

    fn end(&self, ending: Ending) {
        let mut state = self.state.lock();
        self.context.links.remove(self.conn);
        match mem::replace(&mut *state, ConnectionState::Ended) {
            ConnectionState::Queued(_, permit) | ConnectionState::Live(permit) => {
                permit.send(self.conn, ending);
            }
            ConnectionState::Ended => {}
        }
    }

    fn hand_over(&self, socket: &Socket, event: Event, turn: OwnedSemaphorePermit) {
        if let Err(InboxFull) = self.context.hub.frame(event, turn) {
            self.close(socket, Counter::InboxFull);
        }
    }

    /// Closes the connection. What it has sent meanwhile may still be read.
    fn close(&self, socket: &Socket, reason: Counter) {
        if close(socket, CloseReason::Misbehaved) {
            debug!(conn.id = %self.conn, ?reason, "connection closed: a limit was reached");
            self.context.counters.count(reason);
        }
    }
}

/// Ends the session of a socket that left its namespace. Otherwise its client could join and leave any number of times, or stay
/// outside for ever.
pub(super) fn end_with_namespace(socket: &Socket, reason: DisconnectReason) {
    if reason == DisconnectReason::ClientNSDisconnect {
        close(socket, CloseReason::Misbehaved);
    }
}

fn counter(error: &DecodeError) -> Counter {
    match error {
        DecodeError::UnknownEvent => Counter::FrameUnknown,
        DecodeError::Binary => Counter::FrameBinary,
        DecodeError::NoPayload | DecodeError::Json(_) | DecodeError::Text(_) => {
            Counter::FrameMalformed
        }
    }
}
