//! Effects: what follows from an event.
//!
//! Lives here: plain data. Not here: carrying it out (`hub`).

use super::{Change, ConnectionId, Message};

/// Something that the hub must do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Send a message.
    Send {
        /// The receivers.
        to: Recipients,
        /// The message.
        message: Message,
    },
    /// Tell the subscribers of changes.
    Changed(Change),
}

/// The connections that a message goes to: an [`Audience`](super::Audience) worked out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Recipients {
    /// Every connection, also one that the registry has not heard of.
    Everyone,
    /// These connections, each once.
    These(Vec<ConnectionId>),
}

/// What follows from posting a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Posting {
    /// Effects that fell due before the message was posted. They come first.
    pub due: Vec<Effect>,
    /// The connections to send the message to.
    pub to: Recipients,
    /// The number of lost places that keep the message for their browser.
    pub kept: usize,
    /// The change to tell subscribers of, after the message was sent.
    pub change: Change,
}
