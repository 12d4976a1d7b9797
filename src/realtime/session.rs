//! What is known of a session as long as it lasts.
//!
//! Lives here: the one thing that the request of a handshake carries. Not here: who may have a session (`guests`).
//! Invariant: the library keeps that request, and all that it carries, exactly as long as the session.

use std::{
    mem,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use http::Extensions;

use super::{Socket, guests::Guest, handlers::Speaker, visit::Visit};
use crate::lifecycle::{Line, Peer};

/// A session. Whatever else a request carried would be kept just as long, so this is put in its place.
pub(crate) struct Session {
    pub(crate) guest: Guest,
    pub(crate) visit: Visit,
    /// The TCP connection of a websocket that was one from the start. One that was polling may lend its first to others since.
    pub(crate) line: Option<Line>,
    /// Whether it has said whose it is.
    named: AtomicBool,
    /// Who was let into the namespace and whose socket is not connected yet. The lock is held to put somebody in or out.
    newcomer: Mutex<Option<Speaker>>,
}

impl Session {
    pub(crate) fn new(guest: Guest, visit: Visit, line: Option<Line>) -> Self {
        Self {
            guest,
            visit,
            line,
            named: AtomicBool::new(false),
            newcomer: Mutex::default(),
        }
    }

    /// The session of a socket, if there was a handshake.
    pub(crate) fn of(socket: &Socket) -> Option<&Self> {
        let session = socket.req_parts().extensions.get::<Arc<Self>>();
        session.map(Arc::as_ref)
    }

    /// Keeps who is let into the namespace until its socket is connected. The library would do so too, for as long as
    /// the socket is there, in a map that takes ten times as much.
    pub(crate) fn let_in(&self, speaker: Speaker) {
        self.swap(Some(speaker));
    }

    /// Who was let in last.
    pub(crate) fn take_newcomer(&self) -> Option<Speaker> {
        self.swap(None)
    }

    /// It has said whose it is.
    pub(crate) fn named(&self) {
        self.named.store(true, Relaxed);
    }

    pub(crate) fn has_a_name(&self) -> bool {
        self.named.load(Relaxed)
    }

    /// Travels with a request from now on.
    pub(crate) fn go_with(self, extensions: &mut Extensions) {
        extensions.insert(Arc::new(self));
    }

    fn swap(&self, newcomer: Option<Speaker>) -> Option<Speaker> {
        let mut known = self.newcomer.lock().unwrap_or_else(PoisonError::into_inner);
        mem::replace(&mut known, newcomer)
    }
}

/// Takes off a request where it came from.
pub(crate) fn came_from(extensions: &mut Extensions) -> Option<(Peer, Line)> {
    extensions.remove().zip(extensions.remove())
}
