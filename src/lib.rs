//! Presence daemon for Civil Legal Advice: who else has this case open.
//!
//! | module | what lives there |
//! |---|---|
//! | [`cli`] | the command line |
//! | [`check`] | the command `check`: as whom it judges, and what it warns of |
//! | [`config`] | four layers in, one validated configuration out; the only reader of files and environment |
//! | [`app`] | wiring, and the order of start and stop |
//! | [`logging`] | the log |
//! | [`lifecycle`] | listeners, the HTTP server, systemd, signals, tasks that must not die |
//! | `realtime` | the Socket.IO edge: frames to events, effects to frames, and the hub that owns presence |
//! | `admin` | the admin app on its own listener |
//! | `stats` | what StatsD is told |
//! | `snapshot` | what a restart shall not lose, on disk |
//! | [`presence`] | the pure core: who is connected, as whom, viewing what, and who is told |
//!
//! A browser's frame becomes an [`Event`](presence::Event); one task, the hub, applies events one at a time to the
//! [`Registry`](presence::Registry); that returns [`Effect`](presence::Effect)s, which the hub performs in order.
//! All that decides is synchronous and pure; all that waits is thin.
//!
//! Who is to be told is answered by the registry alone. No room of the library outlives the sending of one message: rooms
//! for cases would be a second copy of who views what, with names that strangers choose.

mod admin;
pub mod app;
pub mod check;
pub mod cli;
pub mod config;
#[cfg(fuzzing)]
pub mod fuzzing;
pub mod lifecycle;
pub mod logging;
pub mod presence;
mod realtime;
mod snapshot;
mod stats;
