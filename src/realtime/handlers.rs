//! What happens when a browser connects, speaks and leaves.
//!
//! Lives here: the library's handlers. Not here: what a frame means (`wire`), what follows from it (`presence`).
//! Invariant: a frame is in the hub's inbox before its handler returns. The library calls handlers in the order of
//! the packets but spawns the futures of asynchronous ones, which then run in any order; ours are synchronous.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use socketioxide::{
    ProtocolVersion, SocketIo, TransportType,
    adapter::LocalAdapter,
    extract::{Extension, SocketRef},
    handler::{ConnectHandler, DisconnectHandler, MessageHandler, Value},
    socket::DisconnectReason,
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::sleep,
};
use tracing::debug;

use super::{
    NAMESPACE, Socket,
    hang_up::HangUp,
    inbox::{Goodbye, HubHandle, InboxFull},
    wire::{self, DecodeError},
};
use crate::{
    presence::{ConnectionId, Event, InvalidText},
    stats::{Counter, Counters},
};

/// Marks the implementations below as ours, apart from the library's for asynchronous functions.
struct InOrder;

/// Receives connections.
#[derive(Clone)]
pub(crate) struct Greeter {
    pub(crate) hub: HubHandle,
    pub(crate) hang_up: HangUp,
    pub(crate) counters: Counters,
    pub(crate) frames_in_flight: usize,
    /// How long a session may stay outside the namespace.
    pub(crate) join_within: Duration,
}

/// Why a connection was not let into the namespace.
#[derive(Debug, thiserror::Error)]
enum Refused {
    #[error("the server is full")]
    Full(#[from] InboxFull),
    #[error("not a session id")]
    Id(#[from] InvalidText),
}

impl Greeter {
    /// Tells the library about the namespaces.
    ///
    /// Handlers are set in a middleware: the library answers CONNECT before it runs the connect handler, and drops
    /// whatever arrives in between.
    pub(crate) fn register(self, io: &SocketIo) {
        let greeter = self.clone();
        let greet = move |socket: SocketRef| {
            let let_in = greeter.greet(&socket);
            async move { let_in }
        };
        let attend = async |socket: SocketRef, Extension(listener): Extension<Listener>| {
            listener.attend(&socket);
        };
        io.ns(NAMESPACE, attend.with(greet));
        // Engine.IO 3 joins `/` by itself and loses the session if it cannot.
        let namespaces = io.clone();
        io.ns("/", async move |socket: SocketRef| {
            // Only the id is kept while waiting, so that a session that ends early is freed early.
            let id = socket.id;
            drop(socket);
            sleep(self.join_within).await;
            let find = |name| namespaces.of(name)?.get_socket(id);
            if let (Some(idle), None) = (find("/"), find(NAMESPACE)) {
                self.counters.count(Counter::SessionIdle);
                self.hang_up.hang_up(&idle);
            }
        });
    }

    fn greet(&self, socket: &SocketRef) -> Result<(), Refused> {
        let conn = ConnectionId::try_from(socket.id.as_str())?;
        let goodbye = self.hub.goodbye()?;
        socket.on_disconnect(Leaver {
            conn,
            goodbye: Mutex::new(Some(goodbye)),
        });
        let listener = Listener(Arc::new(Ear {
            conn,
            greeter: self.clone(),
            turns: Arc::new(Semaphore::new(self.frames_in_flight)),
            early: Mutex::new(Some(Vec::new())),
        }));
        socket.extensions.insert(listener.clone());
        socket.on_fallback(listener);
        Ok(())
    }
}

/// Takes what one connection says, whatever the event is called.
#[derive(Clone)]
struct Listener(Arc<Ear>);

struct Ear {
    conn: ConnectionId,
    greeter: Greeter,
    /// How many frames of this connection may wait for the hub, so that one that floods crowds out only itself.
    turns: Arc<Semaphore>,
    /// What was said before the library considers the socket connected, a moment after it answered CONNECT: until
    /// then nothing can be sent to it, so the list that such a frame asks for would be lost. `None` from then on.
    early: Mutex<Option<Vec<(Event, OwnedSemaphorePermit)>>>,
}

impl MessageHandler<LocalAdapter, InOrder> for Listener {
    /// Nobody is told the outcome: acknowledgements are not part of the contract.
    fn call(&self, socket: Arc<Socket>, value: Value, _ack: Option<i64>) {
        let Self(ear) = self;
        match ear.decode(&socket, &value) {
            Ok(event) => ear.hear(&socket, event),
            Err(error) => {
                debug!(conn.id = %ear.conn, reason = %error, "frame rejected: {error}");
                ear.greeter.counters.count(counter(&error));
            }
        }
    }
}

impl Listener {
    /// The socket is connected: what it said so far, and from now on, goes to the hub.
    fn attend(self, socket: &Socket) {
        let Self(ear) = self;
        let mut early = lock(&ear.early);
        for (event, turn) in early.take().unwrap_or_default() {
            ear.hand_over(socket, event, turn);
        }
    }
}

impl Ear {
    fn decode(&self, socket: &Socket, value: &Value) -> Result<Event, DecodeError> {
        let Value::Str(text, None) = value else {
            return Err(DecodeError::Binary);
        };
        match (socket.protocol(), socket.transport_type()) {
            (ProtocolVersion::V4, TransportType::Polling) => {
                wire::decode(self.conn, &wire::decode_twice_encoded(text))
            }
            _ => wire::decode(self.conn, text),
        }
    }

    fn hear(&self, socket: &Socket, event: Event) {
        let Ok(turn) = self.turns.clone().try_acquire_owned() else {
            return self.give_up(socket, InboxFull);
        };
        match lock(&self.early).as_mut() {
            Some(early) => early.push((event, turn)),
            None => self.hand_over(socket, event, turn),
        }
    }

    fn hand_over(&self, socket: &Socket, event: Event, turn: OwnedSemaphorePermit) {
        if let Err(error) = self.greeter.hub.frame(event, turn) {
            self.give_up(socket, error);
        }
    }

    fn give_up(&self, socket: &Socket, error: InboxFull) {
        debug!(conn.id = %self.conn, %error, "connection closed: {error}");
        self.greeter.counters.count(Counter::FrameFlood);
        self.greeter.hang_up.hang_up(socket);
    }
}

/// Nothing panics while it holds one of these locks, and if it did, what they guard would still be whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
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

/// Reports the end of one connection.
struct Leaver {
    conn: ConnectionId,
    goodbye: Mutex<Option<Goodbye>>,
}

impl DisconnectHandler<LocalAdapter, InOrder> for Leaver {
    fn call_with_defer(
        &self,
        socket: Arc<Socket>,
        reason: DisconnectReason,
        defer: fn(Arc<Socket>),
    ) {
        debug!(conn.id = %self.conn, %reason, "connection ended: {reason}");
        if let Some(goodbye) = lock(&self.goodbye).take() {
            goodbye.say(self.conn);
        }
        defer(socket);
    }
}
