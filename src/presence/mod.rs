//! Who has which case open: the pure core.
//!
//! Lives here: everything that decides. [`Event`]s go in, [`Effect`]s come out as plain data.
//! Not here: async, clocks, I/O, serialisation, logging. Time is an argument.
//! Invariant: the same events at the same moments give the same effects, byte for byte.

mod doubt;
mod early;
mod event;
mod id;
mod legible;
mod lost;
mod messages;
mod network;
mod pacer;
mod places;
mod registry;
#[cfg(test)]
mod tests;

pub use event::{
    Audience, Census, Connection, Effect, Ending, Event, Identity, Lost, Message, Moment, Note,
    Person, Posted, Recipients, SavedPlace, Snapshot, SystemMessage,
};
pub use id::{
    AppVersion, Browser, CaseRef, ConnectionId, InvalidText, Page, UserAgent, UserType, Username,
};
pub(crate) use messages::MOST_BYTES as MOST_KEPT_BYTES;
pub(crate) use network::networks;
pub use registry::{PeopleCursor, Registry, Rules};
