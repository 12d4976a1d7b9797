//! The real binary over real sockets, on free ports. `support` has what the tests share.

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
mod docs;
mod faults;
mod handshake;
mod junk;
mod limits;
mod log;
mod losses;
mod order;
mod places_file;
mod presence;
mod process;
mod reload;
mod restart;
mod statsd;
mod support;
mod systemd;
mod upgrade;
