//! A session, for its handler.
//!
//! Lives here: sending and closing. Not here: what happens to what is sent (`session`).

use std::{collections::VecDeque, fmt, future::poll_fn, iter::once, sync::Arc};

use bytes::Bytes;
use engineioxide_core::{ProtocolVersion, Str, TransportType};
use http::request::Parts;
use tokio::sync::mpsc::error::TrySendError;

pub use engineioxide_core::Sid;

pub use crate::ended::DisconnectReason;
use crate::{packet::Packet, session::Session};

/// A session. It stays the same when its transport changes.
pub struct Socket<D>
where
    D: Default + Send + Sync + 'static,
{
    /// The id of the session.
    pub id: Sid,
    /// The version of the protocol that its client speaks.
    pub protocol: ProtocolVersion,
    /// What the handler keeps with it.
    pub data: D,
    /// The request of the handshake, and a [`SessionHandle`](crate::SessionHandle) among its extensions. It is a copy, so it
    /// holds no buffer of the connection, and has no headers of a websocket's handshake.
    pub req_parts: Parts,
    pub(crate) session: Arc<Session>,
}

/// A place in the queue of a socket, for one message.
pub struct Permit<'a> {
    pub(crate) session: &'a Session,
}

impl<D> Socket<D>
where
    D: Default + Send + Sync + 'static,
{
    pub(crate) fn new(session: Arc<Session>, req_parts: Parts) -> Self {
        Self {
            id: session.id,
            protocol: session.version,
            data: D::default(),
            req_parts,
            session,
        }
    }

    /// The transport that the client uses now.
    #[must_use]
    pub fn transport_type(&self) -> TransportType {
        self.session.transport()
    }

    /// A place for one message.
    ///
    /// # Errors
    /// When too many packets wait, or the session has ended.
    pub fn reserve(&self) -> Result<Permit<'_>, TrySendError<()>> {
        self.session.reserve()
    }

    /// Sends text.
    ///
    /// # Errors
    /// With the text, when too many packets wait, or the session has ended.
    pub fn emit(&self, msg: impl Into<Str>) -> Result<(), TrySendError<Str>> {
        let msg = msg.into();
        match self.reserve() {
            Ok(permit) => permit.emit(msg),
            Err(error) => return Err(with(error, msg)),
        }
        Ok(())
    }

    /// Sends bytes.
    ///
    /// # Errors
    /// With the bytes, when too many packets wait, or the session has ended.
    pub fn emit_binary<B: Into<Bytes>>(&self, data: B) -> Result<(), TrySendError<Bytes>> {
        let data = data.into();
        match self.reserve() {
            Ok(permit) => permit.emit_binary(data),
            Err(error) => return Err(with(error, data)),
        }
        Ok(())
    }

    /// Sends text if nothing waits and the client can take it at once. Returns whether it was sent.
    pub fn emit_volatile(&self, msg: impl Into<Str>) -> bool {
        self.session.push_volatile([Packet::Message(msg.into())])
    }

    /// Sends bytes if nothing waits and the client can take them at once. Returns whether they were sent.
    pub fn emit_binary_volatile<B: Into<Bytes>>(&self, data: B) -> bool {
        self.session.push_volatile([Packet::Binary(data.into())])
    }

    /// Sends text and the bytes that belong to it if nothing waits and the client can take them at once. Returns whether they
    /// were sent.
    pub fn emit_many_volatile(&self, msg: Str, data: VecDeque<Bytes>) -> bool {
        self.session.push_volatile(many(Packet::Message(msg), data))
    }

    /// Ends the session at once, whatever its client does or does not do. The handler is told.
    pub fn close(&self, reason: DisconnectReason) {
        self.session.close(reason);
    }

    /// Whether the session has ended.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.session.ended().is_some()
    }

    /// Waits until the session has ended and the handler has been told.
    pub async fn closed(&self) {
        poll_fn(|cx| self.session.poll_reported(cx)).await;
    }
}

impl Permit<'_> {
    /// Sends text.
    pub fn emit(self, msg: Str) {
        self.session.push([Packet::Message(msg)]);
    }

    /// Sends bytes.
    pub fn emit_binary(self, data: Bytes) {
        self.session.push([Packet::Binary(data)]);
    }

    /// Sends text and the bytes that belong to it, with nothing in between.
    pub fn emit_many(self, msg: Str, data: VecDeque<Bytes>) {
        self.session.push(many(Packet::Message(msg), data));
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        self.session.release();
    }
}

fn with<T>(error: TrySendError<()>, unsent: T) -> TrySendError<T> {
    match error {
        TrySendError::Full(()) => TrySendError::Full(unsent),
        TrySendError::Closed(()) => TrySendError::Closed(unsent),
    }
}

fn many(first: Packet, rest: impl IntoIterator<Item = Bytes>) -> impl Iterator<Item = Packet> {
    once(first).chain(rest.into_iter().map(Packet::Binary))
}

impl<D> fmt::Debug for Socket<D>
where
    D: Default + Send + Sync + 'static,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Socket {}", self.id)
    }
}
