//! Ending a session so that its client comes back by itself.
//!
//! Lives here: closing transports one at a time, which the library offers only for all at once. A Socket.IO
//! disconnect packet is never sent: after it, clients stay away.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use axum::body::Body;
use http::Request;
use socketioxide::{
    ProtocolVersion, SocketIo, TransportType, extract::SocketRef, service::SocketIoService,
};
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

use super::{NAMESPACE, PATH, Socket, guests::Guest, session::Session};
use crate::{lifecycle::Line, presence::ConnectionId};

/// The Engine.IO server as an HTTP service; what is not its path is not found.
pub(crate) type Engine = SocketIoService<axum::Router>;

/// The version of Engine.IO that a session speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EngineVersion {
    /// Clients 1.x and 2.x.
    Three,
    /// Clients 3.x and 4.x.
    Four,
}

/// Marks a socket whose session was not ended by a goodbye of its client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cut {
    /// By us, because of what it did or failed to do.
    HungUp,
    /// By us, because the daemon stops.
    Parted,
    /// By the network, or by the client's going away: its poll broke off.
    BrokenOff,
}

/// Closes the transport of a session.
#[derive(Clone)]
pub(crate) struct HangUp(Arc<Inner>);

struct Inner {
    engine: Engine,
    io: SocketIo,
    upgraded: Mutex<Lines>,
    tracker: TaskTracker,
}

/// The TCP connections that sessions moved to when they were upgraded from polling to websocket: more than one only
/// for a client that tries to hide the one it uses.
///
/// Each uses up a connection, and those that have ended are swept out, so there are never many more than connections.
#[derive(Default)]
struct Lines {
    by_session: HashMap<ConnectionId, Vec<Line>>,
    sweep_at: usize,
}

impl HangUp {
    pub(crate) fn new(engine: Engine, io: SocketIo, tracker: TaskTracker) -> Self {
        Self(Arc::new(Inner {
            engine,
            io,
            upgraded: Mutex::default(),
            tracker,
        }))
    }

    /// Remembers that a session continues as a websocket on `line`.
    pub(crate) fn upgraded(&self, session: ConnectionId, line: &Line) {
        self.lines().insert(session, line.clone());
        // Before it has joined a namespace it is not to be found; then `joined` comes later.
        if let Some(socket) = self.socket(session.as_str()) {
            carry(&socket, line);
        }
    }

    /// A socket can be found from now on.
    pub(crate) fn joined(&self, socket: &Socket) {
        for line in self.lines_of(socket) {
            carry(socket, &line);
        }
    }

    /// So many bytes were taken by polling.
    pub(crate) fn carried(&self, session: &str, bytes: usize) {
        let socket = self.socket(session);
        if let Some(guest) = socket.as_deref().and_then(guest) {
            guest.backlog.shrink(bytes);
        }
    }

    /// Ends the session of a socket as if the network had. Returns whether that was not under way already.
    pub(crate) fn hang_up(&self, socket: &Socket) -> bool {
        self.cut_off(socket, Cut::HungUp)
    }

    /// Does the same when nothing is wrong with it.
    pub(crate) fn part(&self, socket: &Socket) {
        self.cut_off(socket, Cut::Parted);
    }

    fn cut_off(&self, socket: &Socket, cut: Cut) -> bool {
        let is_first = socket.extensions.insert(cut).is_none();
        match (socket.transport_type(), socket.protocol()) {
            (TransportType::Websocket, _) => self.cut(socket),
            (TransportType::Polling, ProtocolVersion::V4) => {
                self.close_polling(socket.id.as_str(), EngineVersion::Three);
            }
            (TransportType::Polling, ProtocolVersion::V5) => {
                self.close_polling(socket.id.as_str(), EngineVersion::Four);
            }
        }
        is_first
    }

    /// The TCP connection under a websocket that has ended.
    pub(crate) fn take_line(&self, socket: &Socket) -> Option<Line> {
        let upgraded = self.forget(socket).into_iter().flatten().next_back();
        upgraded.or_else(|| first_line(socket).cloned())
    }

    /// Ends a session whose poll broke off, which would stay until the heartbeat fails.
    pub(crate) fn broke_off(&self, session: &str, version: EngineVersion) {
        if let Some(socket) = self.socket(session) {
            socket.extensions.insert(Cut::BrokenOff);
        }
        self.close_polling(session, version);
    }

    fn socket(&self, session: &str) -> Option<SocketRef> {
        let namespace = self.0.io.of(NAMESPACE)?;
        namespace.get_socket(session.parse().ok()?)
    }

    /// A polling session outlives its TCP connections, so it is closed as its client would: by a close packet.
    fn close_polling(&self, session: &str, version: EngineVersion) {
        let (number, close) = match version {
            EngineVersion::Three => (3, "1:1"),
            EngineVersion::Four => (4, "1"),
        };
        let address = format!("{PATH}?EIO={number}&transport=polling&sid={session}");
        let engine = self.0.engine.clone();
        self.0.tracker.spawn(async move {
            if let Ok(request) = Request::post(address).body(Body::from(close)) {
                // Any answer will do: the session is closed, or was closed already.
                let _ = engine.oneshot(request).await;
            }
        });
    }

    fn cut(&self, socket: &Socket) {
        for line in self.lines_of(socket).iter().chain(first_line(socket)) {
            line.hang_up();
        }
    }

    fn lines_of(&self, socket: &Socket) -> Vec<Line> {
        let session = ConnectionId::try_from(socket.id.as_str());
        let lines = session
            .ok()
            .and_then(|session| self.lines().by_session.get(&session).cloned());
        lines.unwrap_or_default()
    }

    fn forget(&self, socket: &Socket) -> Option<Vec<Line>> {
        let session = ConnectionId::try_from(socket.id.as_str()).ok()?;
        self.lines().by_session.remove(&session)
    }

    fn lines(&self) -> MutexGuard<'_, Lines> {
        let lines = self.0.upgraded.lock();
        lines.unwrap_or_else(PoisonError::into_inner)
    }
}

/// The session of a socket.
pub(crate) fn guest(socket: &Socket) -> Option<&Guest> {
    Session::of(socket).map(|session| &session.guest)
}

fn carry(socket: &Socket, line: &Line) {
    if let Some(guest) = guest(socket) {
        line.carries(&guest.backlog);
    }
}

fn first_line(socket: &Socket) -> Option<&Line> {
    Session::of(socket)?.line.as_ref()
}

impl Lines {
    fn insert(&mut self, session: ConnectionId, line: Line) {
        if self.by_session.len() >= self.sweep_at {
            self.by_session
                .retain(|_, lines| lines.iter().any(Line::is_up));
            self.sweep_at = 64 + 2 * self.by_session.len();
        }
        let lines = self.by_session.entry(session).or_default();
        lines.retain(Line::is_up);
        lines.push(line);
    }
}
