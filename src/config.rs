//! Configuration: several layers in, one validated [`Config`] out.
//!
//! Lives here: the only reader of configuration files and of the environment, every default, every bound. Not here: acting on
//! a value.
//!
//! | module | contents |
//! |---|---|
//! | `values` | the validated configuration, with its defaults |
//! | `keys`, `key` | the table of keys, and the parts of a key. **A new key is one row in `keys` and one field in `values`** |
//! | `kind` | how a value of each kind is read, bounded and printed |
//! | `admission` | bounds on sessions and handshakes, derived from the limits |
//! | `flags`, `layers`, `load` | file, variables and flags, and which of them wins |
//! | `judge` | from merged layers to a validated configuration |
//! | `addresses`, `claim`, `networks` | rules for the addresses of both listeners |
//! | `sockets` | sockets that systemd opens for the daemon |
//! | `problem`, `shown`, `effective` | messages about mistakes, and the effective configuration as text |
//! | `reload` | reading the layers again, and which new values a running daemon adopts |
//!
//! Invariants: a [`Config`] from [`load`] needs no further check, and a failed [`load`] names every problem at once.

mod addresses;
mod admission;
mod claim;
mod effective;
mod flags;
mod judge;
mod key;
mod keys;
mod kind;
mod layers;
mod load;
mod networks;
mod problem;
mod reload;
mod shown;
mod sockets;
mod values;

#[cfg(test)]
mod tests;

pub use self::admission::{AdmissionBounds, SessionBounds};
pub use self::effective::Effective;
pub use self::flags::Flags;
pub use self::judge::Loaded;
pub use self::key::{Key, Tier};
pub(crate) use self::keys::MOST_SESSIONS;
pub use self::keys::keys;
pub use self::load::{DEFAULT_PATH, load};
pub use self::problem::ConfigErrors;
pub use self::reload::{Reload, Settings, Source};
pub use self::sockets::Sockets;
pub(crate) use self::sockets::{ADMIN_UNIT, PUBLIC_UNIT};
pub use self::values::{
    Admin, Config, Drain, Limits, Log, LogFormat, LogLevel, Presence, Public, Statsd,
};
