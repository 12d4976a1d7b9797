//! The Socket.IO edge: from frames to events and from effects to frames.
//!
//! Lives here: everything that knows sockets. Not here: deciding who is told what (`presence`).
//! Invariant: one task, the hub, owns the registry and alone sends.

pub(crate) mod inbox;

pub use inbox::{HubGone, HubHandle};
