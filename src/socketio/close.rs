//! Closing sessions so that their clients come back by themselves.
//!
//! Lives here: closing the transport of one session, which the library offers only for all sessions at once. Not here: why a
//! session is closed. A Socket.IO disconnect packet is never sent, because a client stays away after it.

use std::sync::Arc;

use axum::body::Body;
use http::Request;
use socketioxide::{ProtocolVersion, SocketIo, TransportType, extract::SocketRef};
use tokio::time::Instant;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

use super::{
    engine::{Engine, EngineVersion, NAMESPACE, PATH, Socket},
    session::{Session, permit},
    transports::Transports,
};
use crate::{
    net::TcpHandle,
    presence::{Bytes, ConnectionId},
};

/// Why a session ends that its client has not closed cleanly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CloseReason {
    /// The daemon closes it, because of what its client did or failed to do.
    Misbehaved,
    /// The daemon closes it, because the daemon stops.
    Draining,
    /// Its page was closed or left, although no connection of its own says so.
    PageGone,
    /// Its poll was aborted at that moment: by the network, or because the page is gone.
    PollAborted(Instant),
}

/// Closes sessions.
#[derive(Clone)]
pub(super) struct Closer(Arc<Inner>);

struct Inner {
    engine: Engine,
    io: SocketIo,
    transports: Transports,
    tracker: TaskTracker,
}

impl Closer {
    pub(super) fn new(engine: Engine, io: SocketIo, tracker: TaskTracker) -> Self {
        Self(Arc::new(Inner {
            engine,
            io,
            transports: Transports::default(),
            tracker,
        }))
    }

    /// Records that a session continues as a websocket over `tcp`.
    pub(super) fn upgraded(&self, session: ConnectionId, tcp: &TcpHandle) {
        self.0.transports.insert(session, tcp.clone());
        // A socket can be found once it has joined a namespace; until then, `joined` does the same later.
        if let Some(socket) = self.socket(session.as_str()) {
            attach_backlog(&socket, tcp);
        }
    }

    /// Records that a socket has joined the namespace, and can be found from now on.
    pub(super) fn joined(&self, socket: &Socket) {
        for tcp in self.upgraded_transports(socket) {
            attach_backlog(socket, &tcp);
        }
    }

    /// Records that a session was sent `taken` by polling.
    pub(super) fn polled(&self, session: &str, taken: Bytes) {
        let socket = self.socket(session);
        if let Some(permit) = socket.as_deref().and_then(permit) {
            permit.backlog.shrink(taken);
        }
    }

    /// Closes the session of a socket because of what its client did, and returns whether it was not being closed already.
    pub(super) fn close(&self, socket: &Socket) -> bool {
        self.close_for(socket, CloseReason::Misbehaved)
    }

    /// Closes the session of a socket because the daemon stops.
    pub(super) fn close_for_stop(&self, socket: &Socket) {
        self.close_for(socket, CloseReason::Draining);
    }

    /// Ends a session whose poll was aborted. Otherwise it would stay until its heartbeat fails.
    pub(super) fn poll_aborted(&self, session: &str, version: EngineVersion) {
        if let Some(socket) = self.socket(session) {
            socket
                .extensions
                .insert(CloseReason::PollAborted(Instant::now()));
        }
        self.close_polling(session, version);
    }

    /// Ends a polling session whose page is gone.
    pub(super) fn page_gone(&self, session: &str, version: EngineVersion) {
        if let Some(socket) = self.socket(session) {
            socket.extensions.insert(CloseReason::PageGone);
        }
        self.close_polling(session, version);
    }

    /// Removes and returns the TCP connection under a websocket that has ended.
    pub(super) fn take_transport(&self, socket: &Socket) -> Option<TcpHandle> {
        let session = ConnectionId::try_from(socket.id.as_str()).ok();
        let upgraded = session.map(|session| self.0.transports.take(session));
        let last = upgraded.into_iter().flatten().next_back();
        last.or_else(|| first_transport(socket).cloned())
    }

    fn close_for(&self, socket: &Socket, reason: CloseReason) -> bool {
        let is_first = socket.extensions.insert(reason).is_none();
        match (socket.transport_type(), socket.protocol()) {
            (TransportType::Websocket, _) => self.close_websocket(socket),
            (TransportType::Polling, ProtocolVersion::V4) => {
                self.close_polling(socket.id.as_str(), EngineVersion::Three);
            }
            (TransportType::Polling, ProtocolVersion::V5) => {
                self.close_polling(socket.id.as_str(), EngineVersion::Four);
            }
        }
        is_first
    }

    fn close_websocket(&self, socket: &Socket) {
        let upgraded = self.upgraded_transports(socket);
        for tcp in upgraded.iter().chain(first_transport(socket)) {
            tcp.close();
        }
    }

    /// A polling session outlives its TCP connections, so it is closed as its client would close it: by a close packet.
    fn close_polling(&self, session: &str, version: EngineVersion) {
        let (number, close) = match version {
            EngineVersion::Three => (3, "1:1"),
            EngineVersion::Four => (4, "1"),
        };
        let address = format!("{PATH}?EIO={number}&transport=polling&sid={session}");
        let engine = self.0.engine.clone();
        self.0.tracker.spawn(async move {
            if let Ok(request) = Request::post(address).body(Body::from(close)) {
                // Whatever the response is, the session is closed now or was closed before.
                let _ = engine.oneshot(request).await;
            }
        });
    }

    fn socket(&self, session: &str) -> Option<SocketRef> {
        let namespace = self.0.io.of(NAMESPACE)?;
        namespace.get_socket(session.parse().ok()?)
    }

    fn upgraded_transports(&self, socket: &Socket) -> Vec<TcpHandle> {
        let session = ConnectionId::try_from(socket.id.as_str());
        session.map_or_else(|_| Vec::new(), |session| self.0.transports.of(session))
    }
}

/// The TCP connection of a session that was a websocket from the start.
fn first_transport(socket: &Socket) -> Option<&TcpHandle> {
    Session::of(socket)?.tcp.as_ref()
}

fn attach_backlog(socket: &Socket, tcp: &TcpHandle) {
    if let Some(permit) = permit(socket) {
        tcp.report_writes_to(&permit.backlog);
    }
}
