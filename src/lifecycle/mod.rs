//! The life of the daemon as a process.
//!
//! Lives here: tasks that must not die, signals, systemd, the phase of life. Not here: presence, sockets.
//!
//! | module | what lives there |
//! |---|---|
//! | `tasks` | spawning tasks, and noticing when one dies |
//! | `signals` | SIGTERM, SIGINT, SIGHUP |
//! | `systemd` | telling systemd about readiness, status and the watchdog |
//! | `phase` | starting, ready, draining |
//! | `reload` | asking a running daemon to reload its configuration |

mod phase;
mod reload;
mod signals;
mod systemd;
mod tasks;

pub(crate) use phase::Phase;
pub(crate) use reload::answer_reload;
pub use reload::{ReloadError, ask_for_reload};
pub(crate) use signals::Signal;
pub use signals::Signals;
pub(crate) use systemd::{announce, ready, reloaded, reloading, stopping, watch};
pub use tasks::Died;
pub(crate) use tasks::Tasks;
