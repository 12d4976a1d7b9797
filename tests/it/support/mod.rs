//! What the tests share. A helper that two test files need stands here, and nowhere else.
//!
//! | module | what lives there |
//! |---|---|
//! | `daemon` | a daemon of its own for each test, and what a test can ask of it |
//! | `systemd` | sockets and notifications the way systemd passes and receives them |
//! | `protocol` | versions of Engine.IO and frames of Socket.IO |
//! | `browser` | a client with a websocket |
//! | `poller` | a client that polls |
//! | `bystander` | a user whose presence must stay undisturbed by other clients |
//! | `http` | HTTP requests and answers as bytes |
//! | `people` | the people map, as tests read it |
//! | `statsd` | a StatsD server |
//! | `places` | the file of places |

pub mod browser;
pub mod bystander;
pub mod daemon;
pub mod http;
pub mod people;
pub mod places;
pub mod poller;
pub mod protocol;
pub mod statsd;
pub mod systemd;

use std::time::Duration;

/// The longest time that a test waits for one thing.
pub const WAIT: Duration = Duration::from_secs(20);
