//! The daemon as its neighbours meet it: the real binary, real sockets, free ports.

#![expect(
    unreachable_pub,
    clippy::format_collect,
    clippy::format_push_string,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::needless_pass_by_value,
    reason = "a test may fail loudly, spawn, and read a clock"
)]

mod architecture;
mod command_line;
mod daemon;
mod docs;
mod faults;
mod handshake;
mod http;
mod junk;
mod limits;
mod log;
mod losses;
mod order;
mod places;
mod presence;
mod process;
mod reload;
mod restart;
mod statsd;
mod upgrade;
mod wire;
