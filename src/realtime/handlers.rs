//! What happens when a browser connects, speaks and leaves.
//!
//! Lives here: the library's handlers. Not here: what a frame means (`wire`), what follows from it (`presence`).
//! Invariant: a frame is in the hub's inbox before its handler returns. The library calls handlers in the order of
//! the packets but spawns the futures of asynchronous ones, which then run in any order; ours are synchronous.

use std::{
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use governor::{DefaultDirectRateLimiter, Quota};
use socketioxide::{
    ProtocolVersion, SocketIo, TransportType,
    adapter::LocalAdapter,
    extract::SocketRef,
    handler::{ConnectHandler, DisconnectHandler, MessageHandler, Value},
    socket::DisconnectReason,
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::task::{TaskTracker, task_tracker::TaskTrackerToken};
use tracing::debug;

use super::{
    BoxFuture, NAMESPACE, Socket,
    deadlines::Deadlines,
    ending::{ending, fault},
    hang_up::HangUp,
    inbox::{HubHandle, InboxFull, LastWord},
    session::Session,
    visit::Visit,
    wire::{self, DecodeError},
};
use crate::{
    config::Settings,
    presence::{ConnectionId, Ending, Event, InvalidText},
    stats::{Counter, Counters},
};

/// Marks the implementations below as ours, apart from the library's for asynchronous functions.
struct InOrder;

/// Receives connections.
pub(crate) struct Greeter {
    pub(crate) hub: HubHandle,
    pub(crate) hang_up: HangUp,
    pub(crate) counters: Counters,
    /// What one connection may send is decided when it joins.
    pub(crate) settings: Settings,
    /// How long a session may be silent.
    pub(crate) heartbeat: Duration,
    /// How long a session may stay outside the namespace, and a connection stay a stranger.
    pub(crate) identify_timeout: Duration,
    /// Knows the connections that are in the namespace.
    pub(crate) crowd: TaskTracker,
}

/// Why a connection was not let into a namespace.
#[derive(Debug, thiserror::Error)]
enum Refused {
    #[error("the server is full")]
    Full(#[from] InboxFull),
    #[error("not a session id")]
    Id(#[from] InvalidText),
    #[error("nothing is known of the handshake")]
    Unannounced,
    #[error("nothing is offered here")]
    Empty,
}

impl Greeter {
    /// Tells the library about the namespaces.
    ///
    /// Handlers are set in a middleware: the library answers CONNECT before it runs the connect handler, and drops
    /// whatever arrives in between.
    ///
    /// Returns what must run as long as there are connections: it ends those whose time is over.
    pub(crate) fn register(self, io: &SocketIo) -> BoxFuture {
        let greeter = Arc::new(self);
        let strangers = Arc::new(Deadlines::new(io, NAMESPACE, greeter.identify_timeout));
        let visitors = Arc::new(Deadlines::new(io, "/", greeter.identify_timeout));

        let greet = {
            let greeter = greeter.clone();
            move |socket: SocketRef| {
                let let_in = greeter.greet(&socket);
                async move { let_in }
            }
        };
        let attend = {
            let strangers = strangers.clone();
            move |socket: SocketRef| {
                if let Some(speaker) = Session::of(&socket).and_then(Session::take_newcomer) {
                    speaker.attend(&socket);
                }
                strangers.start(socket.id);
                async {}
            }
        };
        io.ns(NAMESPACE, attend.with(greet));

        // Engine.IO 3 joins `/` by itself and loses the session if it cannot. Nobody else has business there.
        let only_version_3 = async |socket: SocketRef| match socket.protocol() {
            ProtocolVersion::V4 => Ok(()),
            ProtocolVersion::V5 => Err(Refused::Empty),
        };
        let visit = {
            let (hang_up, visitors) = (greeter.hang_up.clone(), visitors.clone());
            move |socket: SocketRef| {
                socket.on_disconnect(Visitor(hang_up.clone()));
                visitors.start(socket.id);
                async {}
            }
        };
        io.ns("/", visit.with(only_version_3));

        let namespaces = io.clone();
        Box::pin(async move {
            tokio::join!(
                greeter.await_names(&strangers, &namespaces),
                greeter.await_joins(&visitors, &namespaces)
            );
        })
    }

    fn greet(self: &Arc<Self>, socket: &SocketRef) -> Result<(), Refused> {
        let Some(session) = Session::of(socket) else {
            return Err(Refused::Unannounced);
        };
        let config = self.settings.now();
        let limits = &config.limits;
        let pace = Quota::per_second(limits.events_per_second).allow_burst(limits.events_burst);
        let speaker = Speaker(Arc::new(Speech {
            conn: ConnectionId::try_from(socket.id.as_str())?,
            greeter: self.clone(),
            pace: DefaultDirectRateLimiter::direct(pace),
            turns: Arc::new(Semaphore::new(limits.frames_in_flight)),
            stage: Mutex::new(Stage::Early(Vec::new(), self.hub.last_word()?)),
            _in_the_crowd: self.crowd.token(),
        }));
        session.guest.joined();
        socket.on_disconnect(speaker.clone());
        socket.on_fallback(speaker.clone());
        session.let_in(speaker);
        Ok(())
    }

    /// Ends sessions of version 3 that stay outside our namespace; the library does so for version 4 only.
    async fn await_joins(&self, visitors: &Deadlines, namespaces: &SocketIo) {
        loop {
            let sid = visitors.next().await;
            let find = |name| namespaces.of(name)?.get_socket(sid);
            if let (Some(idle), None) = (find("/"), find(NAMESPACE)) {
                self.hang_up.hang_up(&idle);
            }
        }
    }

    /// Ends connections that do not say whose they are.
    async fn await_names(&self, strangers: &Deadlines, namespaces: &SocketIo) {
        loop {
            let sid = strangers.next().await;
            let socket = namespaces.of(NAMESPACE).and_then(|ns| ns.get_socket(sid));
            if let Some(socket) = socket
                && !Session::of(&socket).is_some_and(Session::has_a_name)
                && self.hang_up.hang_up(&socket)
            {
                debug!(conn.id = %sid, "connection closed: it does not say whose it is");
                self.counters.count(Counter::NeverIdentified);
            }
        }
    }
}

/// A connection in the namespace: takes what it says, whatever the event is called, and reports its end.
#[derive(Clone)]
pub(crate) struct Speaker(Arc<Speech>);

struct Speech {
    conn: ConnectionId,
    greeter: Arc<Greeter>,
    /// How fast this connection may speak.
    pace: DefaultDirectRateLimiter,
    /// How many frames of this connection may wait for the hub, so that one that floods crowds out only itself.
    turns: Arc<Semaphore>,
    /// Held while anything is handed to the hub, so that nothing follows the end: a frame that did would put somebody
    /// on the screen who is gone for good.
    stage: Mutex<Stage>,
    _in_the_crowd: TaskTrackerToken,
}

enum Stage {
    /// The library answers CONNECT a moment before it considers the socket connected. Until then nothing can be sent
    /// to it, and the list that a frame asks for would be lost, so what is said waits here.
    Early(Vec<(Event, OwnedSemaphorePermit)>, LastWord),
    /// What is said goes to the hub.
    Live(LastWord),
    /// What is still being read was said in vain.
    Ended,
}

impl MessageHandler<LocalAdapter, InOrder> for Speaker {
    /// Nobody is told the outcome: acknowledgements are not part of the contract.
    fn call(&self, socket: Arc<Socket>, value: Value, _ack: Option<i64>) {
        let Self(speech) = self;
        if speech.pace.check().is_err() {
            return speech.give_up(&socket, Counter::EventFlood);
        }
        let Some(session) = Session::of(&socket) else {
            return;
        };
        match speech.decode(&socket, &session.visit, &value) {
            Ok(event) => {
                if let Event::Identified { .. } = event {
                    session.named();
                }
                speech.hear(&socket, event);
            }
            Err(error) => {
                debug!(conn.id = %speech.conn, reason = %error, "frame rejected: {error}");
                speech.greeter.counters.count(counter(&error));
            }
        }
    }
}

impl DisconnectHandler<LocalAdapter, InOrder> for Speaker {
    fn call_with_defer(
        &self,
        socket: Arc<Socket>,
        reason: DisconnectReason,
        defer: fn(Arc<Socket>),
    ) {
        let Self(speech) = self;
        debug!(conn.id = %speech.conn, %reason, "connection ended: {reason}");
        let Greeter {
            hang_up,
            heartbeat,
            counters,
            ..
        } = &*speech.greeter;
        let line = hang_up.take_line(&socket);
        if let Some(fault) = fault(&socket, reason, line.as_ref()) {
            counters.count(fault);
        }
        speech.end(ending(&socket, reason, line.as_ref(), *heartbeat));
        end_with_namespace(hang_up, &socket, reason);
        defer(socket);
    }
}

impl Speaker {
    /// The socket is connected: what it said so far, and from now on, goes to the hub.
    fn attend(&self, socket: &Socket) {
        let Self(speech) = self;
        speech.greeter.hang_up.joined(socket);
        let mut stage = lock(&speech.stage);
        match mem::replace(&mut *stage, Stage::Ended) {
            Stage::Early(waiting, last_word) => {
                *stage = Stage::Live(last_word);
                for (event, turn) in waiting {
                    speech.hand_over(socket, event, turn);
                }
            }
            other @ (Stage::Live(_) | Stage::Ended) => *stage = other,
        }
    }
}

impl Speech {
    fn decode(&self, socket: &Socket, visit: &Visit, value: &Value) -> Result<Event, DecodeError> {
        let Value::Str(text, None) = value else {
            return Err(DecodeError::Binary);
        };
        match (socket.protocol(), socket.transport_type()) {
            (ProtocolVersion::V4, TransportType::Polling) => {
                wire::decode(self.conn, visit, &wire::decode_twice_encoded(text))
            }
            _ => wire::decode(self.conn, visit, text),
        }
    }

    fn hear(&self, socket: &Socket, event: Event) {
        let Ok(turn) = self.turns.clone().try_acquire_owned() else {
            return self.give_up(socket, Counter::FrameFlood);
        };
        match &mut *lock(&self.stage) {
            Stage::Early(waiting, _) => waiting.push((event, turn)),
            Stage::Live(_) => self.hand_over(socket, event, turn),
            Stage::Ended => {}
        }
    }

    fn end(&self, ending: Ending) {
        match mem::replace(&mut *lock(&self.stage), Stage::Ended) {
            Stage::Early(_, last_word) | Stage::Live(last_word) => {
                last_word.say(self.conn, ending);
            }
            Stage::Ended => {}
        }
    }

    fn hand_over(&self, socket: &Socket, event: Event, turn: OwnedSemaphorePermit) {
        if let Err(InboxFull) = self.greeter.hub.frame(event, turn) {
            self.give_up(socket, Counter::InboxFull);
        }
    }

    /// Closes the connection. What it has sent meanwhile may still be read.
    fn give_up(&self, socket: &Socket, reason: Counter) {
        if self.greeter.hang_up.hang_up(socket) {
            debug!(conn.id = %self.conn, ?reason, "connection closed: it sends too much");
            self.greeter.counters.count(reason);
        }
    }
}

/// A session in `/`.
struct Visitor(HangUp);

impl DisconnectHandler<LocalAdapter, InOrder> for Visitor {
    fn call_with_defer(
        &self,
        socket: Arc<Socket>,
        reason: DisconnectReason,
        defer: fn(Arc<Socket>),
    ) {
        let Self(hang_up) = self;
        end_with_namespace(hang_up, &socket, reason);
        defer(socket);
    }
}

/// A session that leaves a namespace has no business left. It could come and go as often as it likes, or stay outside
/// for ever.
fn end_with_namespace(hang_up: &HangUp, socket: &Socket, reason: DisconnectReason) {
    if reason == DisconnectReason::ClientNSDisconnect {
        hang_up.hang_up(socket);
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

/// Nothing panics while it holds such a lock, and if it did, what is guarded would still be whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
