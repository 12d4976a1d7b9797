//! The daemon as its neighbours meet it: the real binary, real sockets, free ports.

mod daemon;
mod http;
mod junk;
mod order;
mod presence;
mod process;
mod statsd;
mod wire;
