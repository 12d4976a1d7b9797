//! The TCP connections under upgraded sessions.
//!
//! Lives here: which TCP connections a session has moved to. Not here: closing them (`close`).

use std::{collections::HashMap, sync::Arc};

use parking_lot::Mutex;

use crate::{net::TcpHandle, presence::ConnectionId};

/// The TCP connections that polling sessions moved to when they were upgraded to a websocket. A session has more than one only
/// if its client tries to hide the one that it uses.
///
/// Each entry uses up an open connection, and entries of ended connections are swept out, so there are never many more entries
/// than connections.
#[derive(Clone, Debug, Default)]
pub(super) struct Transports(Arc<Mutex<BySession>>);

#[derive(Debug, Default)]
struct BySession {
    handles: HashMap<ConnectionId, Vec<TcpHandle>>,
    /// The number of sessions at which ended connections are swept out.
    sweep_at: usize,
}

impl Transports {
    pub(super) fn insert(&self, session: ConnectionId, handle: TcpHandle) {
        let mut all = self.0.lock();
        if all.handles.len() >= all.sweep_at {
            all.handles
                .retain(|_, handles| handles.iter().any(TcpHandle::exists));
            all.sweep_at = 64 + 2 * all.handles.len();
        }
        let handles = all.handles.entry(session).or_default();
        handles.retain(TcpHandle::exists);
        handles.push(handle);
    }

    pub(super) fn of(&self, session: ConnectionId) -> Vec<TcpHandle> {
        let all = self.0.lock();
        all.handles.get(&session).cloned().unwrap_or_default()
    }

    /// Removes and returns the TCP connections of a session.
    pub(super) fn take(&self, session: ConnectionId) -> Vec<TcpHandle> {
        self.0.lock().handles.remove(&session).unwrap_or_default()
    }
}
