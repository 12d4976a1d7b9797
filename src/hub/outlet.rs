//! The way out to browsers.
//!
//! Lives here: the trait. Not here: its implementations, which are the sockets (`socketio`) and the recorder of the tests.

use crate::presence::{Load, Message, Recipients};

/// A way to send messages to connections.
pub(crate) trait Outlet: Send + Sync + 'static {
    /// Sends a message to connections and returns how many it is for. It must not wait for the network.
    fn send(&self, to: &Recipients, message: &Message, load: Load) -> Delivery;
}

/// The numbers of connections that a message is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Delivery {
    /// Connections that the message is on its way to.
    pub(crate) reached: usize,
    /// Lost connections that the message is kept for.
    pub(crate) kept: usize,
}
