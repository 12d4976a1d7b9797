//! The pure core: who has which case open.
//!
//! Lives here: everything that decides. [`Event`]s go in, [`Effect`]s come out as plain data.
//! Not here: async, clocks, I/O, serialisation, logging. Time is an argument.
//! Invariant: the same events at the same moments give the same effects, byte for byte.
//!
//! | module | what lives there |
//! |---|---|
//! | `event`, `effect`, `change`, `view`, `saved` | plain data, by direction: in, out, to subscribers, to readers, to the file |
//! | `id`, `message`, `number`, `time` | the types that this data is made of |
//! | `registry` | what follows from an event |
//! | `place`, `places`, `lost_places` | places and the indexes over them |
//! | `early` | what a connection says before it identifies |
//! | `messages` | posted messages that are kept for lost places |
//! | `mass_cut` | whether an aborted poll was a clean close or a loss |
//! | `pacer` | merging bursts of lists |
//! | `legible`, `network` | text without invisible characters; the networks of an address |

mod change;
mod early;
mod effect;
mod event;
mod id;
mod legible;
mod lost_places;
mod mass_cut;
mod message;
mod messages;
mod network;
mod number;
mod pacer;
mod place;
mod places;
mod registry;
mod saved;
#[cfg(test)]
mod tests;
mod time;
mod view;

pub use change::{Change, Departure};
pub use effect::{Effect, Posting, Recipients};
pub use event::{Ending, Event, Identity};
pub use id::{
    AppVersion, Browser, CaseRef, ConnectionId, InvalidText, PagePath, UserAgent, UserType,
    Username,
};
pub use message::{Audience, Message, NumberedMessage, SystemMessage};
pub(crate) use messages::MOST_BYTES as MOST_KEPT_BYTES;
pub(crate) use network::networks;
pub use number::{Bytes, MessageNumber, Rank};
pub use pacer::Load;
pub use place::Facts;
pub use registry::{Registry, Rules};
pub use saved::{SavedPlace, Snapshot};
pub use time::{Moment, WallTime};
pub use view::{Census, ConnectionView, LossView, PeopleCursor, PeoplePage, Person};
