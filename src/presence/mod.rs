//! Who has which case open: the pure core.
//!
//! Lives here: everything that decides. [`Event`]s go in, [`Effect`]s come out as plain data.
//! Not here: async, clocks, I/O, serialisation, logging. Time is an argument.
//! Invariant: the same events at the same moments give the same effects, byte for byte.

mod event;
mod id;
mod pacer;
mod registry;
#[cfg(test)]
mod tests;

pub use event::{
    Audience, Census, Connection, Effect, Event, Identity, Message, Moment, Person, Recipients,
    SystemMessage,
};
pub use id::{AppVersion, CaseRef, ConnectionId, InvalidText, UserType, Username};
pub use registry::Registry;
