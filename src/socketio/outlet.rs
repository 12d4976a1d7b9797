//! Sending messages to connections.
//!
//! Lives here: the outlet that the hub sends through. Not here: deciding who is sent what (`presence`), and whether a message
//! goes through the library (`links`).

use axum::body::Bytes as Frame;
use socketioxide::{SendError, SocketError};
use tracing::{debug, error};

use super::{
    close::{CloseReason, close},
    engine::QUEUED_MESSAGES,
    links::{Link, Links},
    wire::{self, Outgoing},
};
use crate::{
    config::Settings,
    hub::{Delivery, Outlet},
    presence::{Bytes, Load, MOST_KEPT_BYTES, Message, Recipients},
    stats::{Counter, Counters},
};

/// The most connections that a message is written to at once, without waiting for their tasks. The hub does nothing else
/// meanwhile.
const AT_ONCE: usize = 64;

/// The most bytes that may wait for one connection when it is sent a posted message. All messages that were kept for a browser
/// must find room when it comes back, or it would be closed again and again; on the wire, text can be three times as long.
const POSTED: Bytes = Bytes(3 * MOST_KEPT_BYTES.0);

/// The sockets of all browsers.
pub(crate) struct Sockets {
    pub(super) links: Links,
    pub(super) counters: Counters,
    pub(super) settings: Settings,
}

/// A message on its way.
struct Sending {
    outgoing: Outgoing,
    /// The same for a websocket.
    frame: Frame,
    /// The most bytes that may wait for a connection already.
    most_waiting: Bytes,
    at_once: bool,
}

impl Outlet for Sockets {
    fn send(&self, to: &Recipients, message: &Message, load: Load) -> Delivery {
        let outgoing = match wire::encode(message) {
            Ok(outgoing) => outgoing,
            Err(error) => {
                error!(%error, "a message could not be encoded: {error}");
                return Delivery::default();
            }
        };
        self.counters.count(match message {
            Message::PeopleViewing(_) => Counter::PeopleViewing,
            Message::System(_) => Counter::SystemMessage,
            Message::Notification(_) => Counter::Notification,
        });
        let links = self.links.of(to);
        let sending = Sending {
            frame: outgoing.frame(),
            outgoing,
            most_waiting: self.most_waiting(message),
            at_once: links.len() <= AT_ONCE && load == Load::Light,
        };
        let reached = links.iter().filter(|link| self.send_to(link, &sending));
        let reached = reached.count();
        Delivery {
            reached,
            kept: links.len() - reached,
        }
    }
}

impl Sockets {
    /// The most bytes that may wait for a connection before it is sent this message.
    fn most_waiting(&self, message: &Message) -> Bytes {
        let for_lists = Bytes(self.settings.now().limits.queued_bytes);
        match message {
            Message::PeopleViewing(_) => for_lists,
            Message::System(_) | Message::Notification(_) => for_lists.max(POSTED),
        }
    }

    /// Sends a message to a connection, and returns whether it took it. A connection without room would keep a stale list, so it
    /// is closed and its browser comes back. What it missed is kept for it until then.
    fn send_to(&self, link: &Link, sending: &Sending) -> bool {
        let waiting = link.waiting();
        if waiting.packets >= QUEUED_MESSAGES {
            self.close(link, Counter::SlowReader);
            return false;
        }
        if Bytes(waiting.bytes) > sending.most_waiting {
            self.close(link, Counter::QueueFull);
            return false;
        }
        if let Some(websocket) = link.websocket() {
            websocket.send(sending.frame.clone(), sending.at_once);
            return true;
        }
        self.emit(link, &sending.outgoing)
    }

    /// Sends a message through the library.
    fn emit(&self, link: &Link, outgoing: &Outgoing) -> bool {
        let Ok(payload) = outgoing.payload() else {
            return false;
        };
        let sent = link.socket.emit(outgoing.event, &payload);
        if let Err(SendError::Socket(SocketError::InternalChannelFull)) = sent {
            self.close(link, Counter::SlowReader);
        }
        sent.is_ok()
    }

    fn close(&self, link: &Link, reason: Counter) {
        if close(&link.socket, CloseReason::Misbehaved) {
            debug!(conn.id = %link.socket.id, "connection closed: it does not read");
            self.counters.count(reason);
        }
    }
}
