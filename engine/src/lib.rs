//! Engine.IO 3 and 4 over polling and websockets, in place of the crate `engineioxide` below `socketioxide`.
//!
//! | module | what lives there |
//! |---|---|
//! | [`service`] | the engine as a service of tower and hyper |
//! | [`handler`], [`socket`] | the user of an engine; a session for it |
//! | [`config`] | limits and times |
//! | `requests`, `query`, `response` | HTTP: what a request is, and how it is answered |
//! | `polling`, `upgrade`, `websocket` | a session on each transport, and on its way from one to the other |
//! | `engine`, `session`, `queue` | all sessions; one session; what waits for its client |
//! | `heartbeat`, `sweep` | the rule; the timers of polling sessions |
//! | `packet`, `payload`, `frames` | what goes over the wire |
//! | `ended`, `hooks` | why a session has ended; what may be put into a request |
//! | `spawn` | tasks |

pub mod config;
mod ended;
mod engine;
mod frames;
pub mod handler;
mod heartbeat;
mod hooks;
mod packet;
mod payload;
mod polling;
mod query;
mod queue;
mod requests;
mod response;
pub mod service;
mod session;
pub mod socket;
mod spawn;
mod sweep;
mod upgrade;
mod websocket;

pub use engineioxide_core::{ProtocolVersion, Str, TransportType};

pub use self::{
    ended::{DisconnectReason, Ended},
    hooks::{OnProbed, Probed, Probing, Rewrite},
    query::{Query, Refusal},
    queue::Waiting,
    session::{Session, SessionHandle},
    socket::Socket,
};
