//! What is known of a session as long as it lasts.
//!
//! Lives here: the one thing that the request of a handshake carries. Not here: who may have a session (`admission`).
//! Invariant: the library keeps that request, and everything that it carries, exactly as long as the session.

use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicBool, Ordering::Relaxed},
};

use engineioxide::Waiting;
use http::Extensions;
use parking_lot::Mutex;
use socketioxide::extract::SocketRef;

use super::{admission::SessionPermit, engine::Socket, handshake::Handshake};
use crate::net::{Peer, TcpHandle};

/// A session. It takes the place of everything else that its request carried, which would be kept just as long.
pub(super) struct Session {
    pub(super) permit: SessionPermit,
    pub(super) handshake: Handshake,
    /// The TCP connection of the websocket that the session is, or has moved to.
    websocket: OnceLock<TcpHandle>,
    has_identified: AtomicBool,
    /// What to do once the socket that was let into the namespace is connected. The lock is held to put it in or take it out.
    on_connected: Mutex<Option<OnConnected>>,
}

struct OnConnected(Box<dyn FnOnce(&SocketRef) + Send>);

/// A session, as the request carries it.
pub(super) type SessionRef = Arc<Session>;

impl Session {
    pub(super) fn new(permit: SessionPermit, handshake: Handshake) -> Self {
        Self {
            permit,
            handshake,
            websocket: OnceLock::new(),
            has_identified: AtomicBool::new(false),
            on_connected: Mutex::default(),
        }
    }

    /// The session of a socket, if there was a handshake.
    pub(super) fn of(socket: &Socket) -> Option<&SessionRef> {
        socket.req_parts().extensions.get()
    }

    /// Records that the session is a websocket over `tcp`.
    pub(super) fn is_websocket(&self, tcp: TcpHandle) {
        // It moves only once.
        let _ = self.websocket.set(tcp);
    }

    /// The TCP connection of the websocket, if the session is one.
    pub(super) fn websocket(&self) -> Option<&TcpHandle> {
        self.websocket.get()
    }

    /// What waits for the client: in the engine, and past it.
    pub(super) fn waiting(&self, engine: &engineioxide::Session) -> Waiting {
        let queued = engine.waiting();
        let direct = self.websocket().map(TcpHandle::waiting).unwrap_or_default();
        Waiting {
            packets: queued.packets + direct.frames,
            bytes: queued.bytes + direct.bytes,
        }
    }

    /// Keeps `action` until the socket is connected. The library could keep it too, but for as long as the socket lasts, and in
    /// a map that takes ten times as much memory.
    pub(super) fn when_connected(&self, action: impl FnOnce(&SocketRef) + Send + 'static) {
        *self.on_connected.lock() = Some(OnConnected(Box::new(action)));
    }

    /// Records that the socket is connected.
    pub(super) fn connected(&self, socket: &SocketRef) {
        let action = self.on_connected.lock().take();
        if let Some(OnConnected(action)) = action {
            action(socket);
        }
    }

    /// Records that the connection has identified.
    pub(super) fn identified(&self) {
        self.has_identified.store(true, Relaxed);
    }

    pub(super) fn has_identified(&self) -> bool {
        self.has_identified.load(Relaxed)
    }

    /// Adds the session to what a request carries.
    pub(super) fn go_with(self, extensions: &mut Extensions) {
        extensions.insert(Arc::new(self));
    }
}

/// Removes from a request its peer and its TCP connection.
pub(super) fn take_peer(extensions: &mut Extensions) -> Option<(Peer, TcpHandle)> {
    extensions.remove().zip(extensions.remove())
}
