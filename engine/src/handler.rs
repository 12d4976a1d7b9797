//! The user of an engine.
//!
//! Lives here: the trait that is told about sockets. Not here: when it is told (`engine`).

use std::{fmt::Debug, sync::Arc};

use bytes::Bytes;
use engineioxide_core::Str;

use crate::{DisconnectReason, Socket};

/// Is told of sockets and of what they receive.
///
/// The packets of one client are handed over one after the other, in the order in which it sent them, and none after its end.
pub trait EngineIoHandler: Debug + Send + Sync + 'static {
    /// What a handler keeps with each socket.
    type Data: Default + Send + Sync + 'static;

    /// A session has begun.
    fn on_connect(self: Arc<Self>, socket: Arc<Socket<Self::Data>>);

    /// A session has ended. This is called exactly once for each session, as soon as the end is known.
    fn on_disconnect(&self, socket: Arc<Socket<Self::Data>>, reason: DisconnectReason);

    /// A client has sent text.
    fn on_message(self: &Arc<Self>, msg: Str, socket: Arc<Socket<Self::Data>>);

    /// A client has sent bytes.
    fn on_binary(self: &Arc<Self>, data: Bytes, socket: Arc<Socket<Self::Data>>);
}
