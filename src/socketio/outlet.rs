//! Sending messages to connections.
//!
//! Lives here: the outlet that the hub sends through. Not here: deciding who is sent what (`presence`).
//! Invariant: no room of the library outlives the sending of one message. Rooms for cases would be a second copy of who views
//! what, under names that clients choose.

use socketioxide::{BroadcastError, SendError, SocketError, SocketIo, extract::SocketRef};
use tracing::{debug, error};

use super::{
    close::Closer,
    engine::{NAMESPACE, QUEUED_MESSAGES},
    session::permit,
    wire::{self, Outgoing},
};
use crate::{
    config::Settings,
    hub::{Delivery, Outlet},
    net::Full,
    presence::{Bytes, MOST_KEPT_BYTES, Message, Recipients},
    stats::{Counter, Counters},
};

/// A room of the library for the receivers of one message.
const AUDIENCE: &str = "audience";

/// The most bytes that may wait for one connection when it is sent a posted message. All messages that were kept for a browser
/// must find room when it comes back, or it would be closed again and again; on the wire, text can be three times as long.
const POSTED: Bytes = Bytes(3 * MOST_KEPT_BYTES.0);

/// The sockets of all browsers.
pub(crate) struct Sockets {
    pub(super) io: SocketIo,
    pub(super) closer: Closer,
    pub(super) counters: Counters,
    pub(super) settings: Settings,
}

impl Outlet for Sockets {
    /// Does not really wait: the library's local adapter is done at once.
    async fn send(&self, to: &Recipients, message: &Message) -> Delivery {
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
        let most = self.most_waiting(message);
        // A client cannot understand a message before it has been told that it is connected.
        let connected = self.sockets(to).into_iter();
        let connected = connected.filter(|socket| socket.connected());
        let (ready, slow): (Vec<_>, Vec<_>) =
            connected.partition(|socket| self.has_room(socket, outgoing.bytes(), most));
        Delivery {
            reached: self.emit(&ready, &outgoing).await,
            kept: slow.len(),
        }
    }
}

impl Sockets {
    fn sockets(&self, to: &Recipients) -> Vec<SocketRef> {
        let Some(namespace) = self.io.of(NAMESPACE) else {
            return Vec::new();
        };
        match to {
            Recipients::Everyone => namespace.sockets(),
            Recipients::These(connections) => connections
                .iter()
                .filter_map(|conn| namespace.get_socket(conn.as_str().parse().ok()?))
                .collect(),
        }
    }

    /// The most bytes that may wait for a connection before it is sent this message.
    fn most_waiting(&self, message: &Message) -> Bytes {
        let for_lists = Bytes(self.settings.now().limits.queued_bytes);
        match message {
            Message::PeopleViewing(_) => for_lists,
            Message::System(_) | Message::Notification(_) => for_lists.max(POSTED),
        }
    }

    /// Whether a socket can be sent `size` more. A socket without room would keep a stale list, so it is closed and its browser
    /// comes back. What it missed is kept for it until then.
    fn has_room(&self, socket: &SocketRef, size: Bytes, most: Bytes) -> bool {
        let Some(permit) = permit(socket) else {
            return true;
        };
        let Err(full) = permit.backlog.grow(size, most, QUEUED_MESSAGES) else {
            return true;
        };
        self.close(
            socket,
            match full {
                Full::Bytes => Counter::QueueFull,
                Full::Messages => Counter::SlowReader,
            },
        );
        false
    }

    /// Sends a message, encoded once, to all of `sockets`, and returns the number of sockets that took it.
    async fn emit(&self, sockets: &[SocketRef], outgoing: &Outgoing) -> usize {
        let Some(namespace) = self.io.of(NAMESPACE) else {
            return 0;
        };
        // The library encodes once only for a room, so there is one for the moment.
        for socket in sockets {
            socket.join(AUDIENCE);
        }
        let audience = namespace.within(AUDIENCE);
        let sent = audience.emit(outgoing.event, &outgoing.payload).await;
        for socket in sockets {
            socket.leave_all();
        }
        match sent {
            Ok(()) => sockets.len(),
            Err(BroadcastError::Socket(errors)) => {
                let full = |error: &SocketError| matches!(error, SocketError::InternalChannelFull);
                if errors.iter().any(full) {
                    return self.emit_to_each(sockets, outgoing);
                }
                sockets.len() - errors.len()
            }
            Err(error) => {
                error!(%error, "a message could not be sent: {error}");
                0
            }
        }
    }

    /// Sends to one socket after the other, because the error does not tell whose queue was full: what the library sends by
    /// itself, in answer to packets that are no events, is in no backlog. The other sockets get the message twice, which changes
    /// nothing on their screens.
    fn emit_to_each(&self, sockets: &[SocketRef], outgoing: &Outgoing) -> usize {
        let takes = |socket: &&SocketRef| {
            if let Some(permit) = permit(socket) {
                // The message may wait twice now. No connection is closed because of that.
                let unbounded = Bytes(usize::MAX);
                let _ = permit.backlog.grow(outgoing.bytes(), unbounded, usize::MAX);
            }
            let sent = socket.emit(outgoing.event, &outgoing.payload);
            if let Err(SendError::Socket(SocketError::InternalChannelFull)) = sent {
                self.close(socket, Counter::SlowReader);
            }
            sent.is_ok()
        };
        sockets.iter().filter(takes).count()
    }

    fn close(&self, socket: &SocketRef, reason: Counter) {
        if self.closer.close(socket) {
            debug!(conn.id = %socket.id, "connection closed: it does not read");
            self.counters.count(reason);
        }
    }
}
