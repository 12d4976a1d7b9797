//! Code shared by the targets that need a whole daemon.
//!
//! | module | contents |
//! |---|---|
//! | [`attacker`] | an attacker who follows a script, which is the input |
//! | [`daemon`] | the daemon, in this process, and the log lines that it must not write |
//! | [`bystanders`] | two ordinary users, who must not notice the attacker |
//! | [`websocket`] | websockets without a library, so that frames can be invalid |
//! | [`http`] | requests without a library, for the same reason |
//! | [`markup`] | a parser for the pages of the admin app |
//!
//! A failed check panics, which libFuzzer reports as a crash.

pub mod attacker;
pub mod bystanders;
pub mod daemon;
pub mod http;
pub mod markup;
pub mod websocket;

use std::time::Duration;

/// Time-out of every wait, long enough for a busy machine.
pub const TIMEOUT: Duration = Duration::from_secs(30);
