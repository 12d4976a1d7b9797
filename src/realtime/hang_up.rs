//! Ending a session so that its client comes back by itself.
//!
//! Lives here: closing transports one at a time, which the library offers only for all at once. A Socket.IO
//! disconnect packet is never sent: after it, clients stay away.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use axum::body::Body;
use http::{Request, Uri};
use socketioxide::{ProtocolVersion, TransportType, service::SocketIoService};
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

use super::{PATH, Socket};
use crate::{lifecycle::Line, presence::ConnectionId};

/// The Engine.IO server as an HTTP service; what is not its path is not found.
pub(crate) type Engine = SocketIoService<axum::Router>;

/// Closes the transport of a session.
#[derive(Clone)]
pub(crate) struct HangUp(Arc<Inner>);

struct Inner {
    engine: Engine,
    upgraded: Mutex<Lines>,
    tracker: TaskTracker,
}

/// The TCP connections that sessions moved to when they were upgraded from polling to websocket.
///
/// Grows to at most twice the number of open connections before the closed ones are swept out.
#[derive(Default)]
struct Lines {
    by_session: HashMap<ConnectionId, Line>,
    sweep_at: usize,
}

impl HangUp {
    pub(crate) fn new(engine: Engine, tracker: TaskTracker) -> Self {
        Self(Arc::new(Inner {
            engine,
            upgraded: Mutex::default(),
            tracker,
        }))
    }

    /// Remembers that a session is about to continue as a websocket on `line`.
    pub(crate) fn upgraded(&self, session: ConnectionId, line: Line) {
        self.lines().insert(session, line);
    }

    /// Ends the session of a socket as if the network had.
    pub(crate) fn hang_up(&self, socket: &Socket) {
        match socket.transport_type() {
            TransportType::Websocket => self.cut(socket),
            TransportType::Polling => {
                let version = match socket.protocol() {
                    ProtocolVersion::V4 => 3,
                    ProtocolVersion::V5 => 4,
                };
                let id = socket.id;
                let address = format!("{PATH}?EIO={version}&transport=polling&sid={id}");
                // It is made of harmless characters, so it parses.
                self.close_polling(address.parse().unwrap_or_default());
            }
        }
    }

    fn cut(&self, socket: &Socket) {
        let session = ConnectionId::try_from(socket.id.as_str()).ok();
        let upgraded = session.and_then(|session| self.lines().by_session.remove(&session));
        let line = upgraded.or_else(|| socket.req_parts().extensions.get::<Line>().cloned());
        if let Some(line) = line {
            line.hang_up();
        }
    }

    /// A polling session outlives its TCP connections, so it is closed as its client would: by a close packet, posted
    /// to the address that it polls.
    pub(crate) fn close_polling(&self, address: Uri) {
        let engine = self.0.engine.clone();
        self.0.tracker.spawn(async move {
            let version_3 = address.query().is_some_and(|query| query.contains("EIO=3"));
            let close = if version_3 { "1:1" } else { "1" };
            if let Ok(request) = Request::post(address).body(Body::from(close)) {
                // Any answer will do: the session is closed, or was closed already.
                let _ = engine.oneshot(request).await;
            }
        });
    }

    fn lines(&self) -> std::sync::MutexGuard<'_, Lines> {
        let lines = self.0.upgraded.lock();
        lines.unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lines {
    fn insert(&mut self, session: ConnectionId, line: Line) {
        if self.by_session.len() >= self.sweep_at {
            self.by_session.retain(|_, line| line.is_up());
            self.sweep_at = 64 + 2 * self.by_session.len();
        }
        self.by_session.insert(session, line);
    }
}
