//! A load generator: opens pages on a server, makes them switch cases, and prints the cost as a line of JSON.
//!
//! Lives here: the command line. Not here: the workloads (`workload`).
//!
//! It uses one thread, which needs no locks and no wake-ups and leaves the second processor to the server.

mod expectation;
mod meter;
mod page;
mod polling;
mod websocket;
mod workload;

use std::net::SocketAddrV4;

use anyhow::Result;
use clap::{Parser, ValueEnum};
use tokio::{runtime, task::LocalSet};

use page::Engine;

/// Puts load on a presence server and prints one line of JSON: the events sent, the lists received, and the cost.
///
/// `tests/load/compare` starts the servers and runs this program.
#[derive(Debug, Parser)]
struct Options {
    /// Load after all pages are open.
    workload: Workload,
    /// Address of the public listener, on this machine.
    #[arg(long)]
    public: SocketAddrV4,
    /// Address of the admin listener.
    #[arg(long)]
    admin: SocketAddrV4,
    /// Process id of the server.
    #[arg(long)]
    pid: u32,
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    users: u32,
    /// Pages of each user.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100))]
    tabs: u32,
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..))]
    cases: u32,
    /// Switches, changes or notifications per second.
    #[arg(long, default_value_t = 100.0, value_parser = positive)]
    rate: f64,
    /// Duration of the load in seconds.
    #[arg(long, default_value_t = 10.0)]
    seconds: f64,
    /// Pages that connect per second. By default, a hundred pages at a time connect as fast as they can.
    #[arg(long, value_parser = positive)]
    join_rate: Option<f64>,
    /// Version of Engine.IO that the pages use. If both are given, they alternate.
    #[arg(long, value_delimiter = ',', default_value = "4")]
    engine: Vec<Engine>,
    /// Begin each session by polling and move to a websocket, as browsers do.
    #[arg(long)]
    polls_first: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Workload {
    /// No load: the cost of open connections.
    Idle,
    /// No load, but all pages connect at once.
    Storm,
    /// One page after another switches to another case.
    Switch,
    /// All pages view the first case. One after another leaves it and opens it again.
    Hot,
    /// The back-end posts notifications to operators. All users are operators.
    Notify,
    /// Staff request the admin page and the people map while pages switch cases.
    Staff,
}

fn positive(text: &str) -> Result<f64, String> {
    let number = text
        .parse()
        .ok()
        .filter(|number: &f64| number.is_normal() && *number > 0.0);
    number.ok_or_else(|| "must be a number above 0".to_owned())
}

fn main() -> Result<()> {
    let options = Options::parse();
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let line = LocalSet::new().block_on(&runtime, workload::run(options))?;
    #[expect(clippy::print_stdout, reason = "this is the output")]
    {
        println!("{line}");
    }
    Ok(())
}
