//! Presence daemon for Civil Legal Advice: who else has this case open.
//!
//! | module | what lives there |
//! |---|---|
//! | [`app`] | wiring, and the order of start and stop |
//! | [`check`] | the command `check`: as which user it judges the configuration, and its warnings |
//! | [`cli`] | the command line |
//! | `admin` | the admin app on its own listener |
//! | `socketio` | the Socket.IO edge: frames to events, messages to frames |
//! | `store` | the file of places, which outlives the daemon |
//! | [`lifecycle`] | tasks that must not die, signals, systemd |
//! | `hub` | the one owner of the registry, and the feed of changes |
//! | [`net`] | TCP and HTTP for both listeners |
//! | [`logging`] | the log |
//! | `stats` | metrics |
//! | [`presence`] | the pure core: who is connected, as which user, on which case, and who is told |
//! | [`config`] | several layers in, one validated configuration out; the only reader of the configuration file and the environment |
//!
//! A browser's frame becomes an [`Event`](presence::Event). One task, the hub, applies events one at a time to the
//! [`Registry`](presence::Registry), which returns [`Effect`](presence::Effect)s. The hub carries them out in order: it sends
//! messages, and tells subscribers what has changed. All that decides is synchronous and pure; all that waits is thin.
//!
//! A module imports only from modules below it in this table. `tests/it/architecture.rs` holds that.

mod admin;
pub mod app;
pub mod check;
pub mod cli;
pub mod config;
#[cfg(fuzzing)]
pub mod fuzzing;
mod hub;
pub mod lifecycle;
pub mod logging;
pub mod net;
pub mod presence;
mod socketio;
mod stats;
mod store;
