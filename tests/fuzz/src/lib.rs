//! What the targets that need a whole daemon have in common.
//!
//! | module | what lives there |
//! |---|---|
//! | [`attacker`] | a stranger who follows a script, which is the input |
//! | [`daemon`] | the daemon, in this process, and what it may not do |
//! | [`bystanders`] | two people who mind their own business |
//! | [`websocket`] | websockets by hand, so that they can be wrong |
//! | [`http`] | requests by hand, for the same reason |
//! | [`markup`] | what a page of ours looks like |
//!
//! Whoever is not what it should be panics, which libFuzzer takes for a crash.

pub mod attacker;
pub mod bystanders;
pub mod daemon;
pub mod http;
pub mod markup;
pub mod websocket;

use std::time::Duration;

/// How long anything may take on a machine that has more to do than this.
pub const PATIENCE: Duration = Duration::from_secs(30);
