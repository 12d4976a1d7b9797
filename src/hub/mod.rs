//! The one owner of presence.
//!
//! Lives here: the task that owns the registry, the ways to reach it, and the feed of changes. Not here: deciding (`presence`),
//! Socket.IO, HTTP, systemd.
//! Invariant: the registry is never shared, so lists leave in the order in which their events arrived.
//!
//! | module | what lives there |
//! |---|---|
//! | `task` | the hub: applies events one at a time and carries out their effects |
//! | `inbox` | the bounded queue of requests to the hub |
//! | `handle` | what the rest of the daemon can ask of the hub |
//! | `outlet` | the way out to browsers: a trait, with the sockets (`socketio`) and a recorder behind it |
//! | `feed` | telling subscribers of changes |
//! | `clock` | the clock on the wall, for times that outlive the daemon |
//! | `census` | publishing how many people are connected |

mod census;
mod clock;
mod feed;
mod handle;
mod inbox;
mod outlet;
#[cfg(test)]
mod recorder;
mod task;
#[cfg(test)]
mod tests;

pub(crate) use clock::wall_time;
pub(crate) use handle::{EndPermit, HubGone, HubHandle, InboxFull, open};
pub(crate) use inbox::Inbox;
pub(crate) use outlet::{Delivery, Outlet};
#[cfg(test)]
pub(crate) use recorder::{Recorder, registry};
pub(crate) use task::Hub;
