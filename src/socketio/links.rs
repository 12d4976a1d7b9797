//! The connections that messages can be sent to.
//!
//! Lives here: finding them, and the way that a message takes to one. Not here: what is sent to whom (`outlet`).
//! Invariant: messages to one connection stay in order. Those that the engine has not written come first, so a message goes past
//! the engine only while none waits in it.

use std::{collections::HashMap, sync::Arc};

use engineioxide::{SessionHandle, Waiting};
use parking_lot::Mutex;
use socketioxide::{TransportType, extract::SocketRef};

use super::{
    close,
    session::{Session, SessionRef},
};
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
    engine: SessionHandle,
    session: SessionRef,
}

impl Links {
    pub(super) fn insert(&self, conn: ConnectionId, socket: &SocketRef) {
        if let (Some(engine), Some(session)) = (close::session(socket), Session::of(socket)) {
            let link = Link {
                socket: socket.clone(),
                engine: engine.clone(),
                session: session.clone(),
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
    /// What waits for the client.
    pub(super) fn waiting(&self) -> Waiting {
        self.session.waiting(&self.engine)
    }

    /// The websocket to write a message to. None where the message must go through the engine.
    pub(super) fn websocket(&self) -> Option<&TcpHandle> {
        let websocket = self.session.websocket()?;
        let is_free = self.engine.waiting().packets == 0;
        let has_moved = self.engine.transport() == TransportType::Websocket;
        (is_free && has_moved).then_some(websocket)
    }
}
