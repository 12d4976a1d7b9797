//! The connections that messages can be sent to.
//!
//! Lives here: finding them, and the way that a message takes to one. Not here: what is sent to whom (`outlet`).
//! Invariant: messages to one connection stay in order. Those that the library has not written yet come first, so the websocket
//! is used directly only once none is left in the library.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use parking_lot::Mutex;
use socketioxide::extract::SocketRef;

use super::session::{Session, SessionRef};
use crate::{
    net::TcpHandle,
    presence::{ConnectionId, Recipients},
};

/// All connections in the namespace that have been told so, or are about to be.
#[derive(Clone, Default)]
pub(super) struct Links(Arc<Mutex<HashMap<ConnectionId, Arc<Link>>>>);

/// A connection that messages can be sent to.
pub(super) struct Link {
    pub(super) socket: SocketRef,
    pub(super) session: SessionRef,
    /// Whether messages go to the websocket, past the library.
    is_direct: AtomicBool,
}

impl Links {
    pub(super) fn insert(&self, conn: ConnectionId, socket: &SocketRef) {
        if let Some(session) = Session::of(socket) {
            let link = Link {
                socket: socket.clone(),
                session: session.clone(),
                is_direct: AtomicBool::new(false),
            };
            self.0.lock().insert(conn, Arc::new(link));
        }
    }

    pub(super) fn remove(&self, conn: ConnectionId) {
        self.0.lock().remove(&conn);
    }

    /// Those of the recipients that are there.
    pub(super) fn of(&self, to: &Recipients) -> Vec<Arc<Link>> {
        let links = self.0.lock();
        match to {
            Recipients::Everyone => links.values().cloned().collect(),
            Recipients::These(connections) => connections
                .iter()
                .filter_map(|conn| links.get(conn).cloned())
                .collect(),
        }
    }
}

impl Link {
    /// The websocket to write a message to. None while the message must go through the library, because the session polls or
    /// the library still has to write something that comes first: it `has_waiting` messages, or the answer to CONNECT.
    pub(super) fn websocket(&self, has_waiting: bool) -> Option<&TcpHandle> {
        let websocket = self.session.websocket()?;
        if !self.is_direct.load(Relaxed) {
            if has_waiting || !self.session.permit.backlog.is_connected() {
                return None;
            }
            self.is_direct.store(true, Relaxed);
        }
        Some(websocket)
    }
}
