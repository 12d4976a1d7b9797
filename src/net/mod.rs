//! TCP and HTTP for both listeners.
//!
//! Lives here: listening sockets, accepted connections, time-outs, the limit of open connections. Not here: what is served,
//! and Socket.IO.
//!
//! | module | what lives there |
//! |---|---|
//! | `listeners` | binding addresses, or taking sockets over from systemd |
//! | `budget` | how many connections each listener may have open |
//! | `server` | accepting connections and speaking HTTP over them |
//! | `timeouts` | how long a peer may take, and how fast it may send |
//! | `stream` | one TCP connection for its server: reading and writing |
//! | `handle` | one TCP connection for others: what is known about it, and sending frames over it |
//! | `frames` | frames that others write between those of the server |

mod budget;
mod frames;
mod handle;
mod listeners;
mod server;
mod stream;
mod timeouts;

pub use budget::raise_file_limit;
pub(crate) use budget::{ConnectionBudget, too_few_files};
pub(crate) use handle::TcpHandle;
pub(crate) use listeners::log_listening;
pub use listeners::{ListenError, Listeners, Passed};
pub(crate) use server::{FINISH_TIMEOUT, HttpService, Peer, Server};
pub(crate) use stream::WriteErrors;
pub(crate) use timeouts::public_rate;
