//! A load generator: opens pages on a server, lets them turn from case to case, and prints what that cost as a line of JSON.
//!
//! Lives here: the command line. Not here: what goes on (`workload`).
//!
//! One thread does it all, so that no lock and no wake-up is paid for and a second processor is left to the server.

mod expectation;
mod meter;
mod page;
mod websocket;
mod workload;

use std::net::SocketAddrV4;

use anyhow::Result;
use clap::{Parser, ValueEnum};
use tokio::{runtime, task::LocalSet};

use page::Engine;

/// Loads a server of presence and prints one line of JSON: what it did, what arrived, and what it cost.
///
/// `tests/load/compare` starts servers and calls this.
#[derive(Debug, Parser)]
struct Options {
    /// What goes on once all pages are open.
    workload: Workload,
    /// Where browsers connect, on this machine.
    #[arg(long)]
    public: SocketAddrV4,
    /// Where the back-end and staff connect.
    #[arg(long)]
    admin: SocketAddrV4,
    /// The server's process.
    #[arg(long)]
    pid: u32,
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    users: u32,
    /// Pages of each user.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100))]
    tabs: u32,
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..))]
    cases: u32,
    /// Switches, changes or notifications a second.
    #[arg(long, default_value_t = 100.0, value_parser = positive)]
    rate: f64,
    /// How long that goes on.
    #[arg(long, default_value_t = 10.0)]
    seconds: f64,
    /// Pages that connect in each second; without it, a hundred are always about to.
    #[arg(long, value_parser = positive)]
    join_rate: Option<f64>,
    /// The version of Engine.IO that pages speak; if both are given, they take turns.
    #[arg(long, value_delimiter = ',', default_value = "4")]
    engine: Vec<Engine>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Workload {
    /// Nothing: what it costs to be connected.
    Idle,
    /// The same, with all pages connecting at once.
    Storm,
    /// One page after the other turns to another case.
    Switch,
    /// All pages are on the first case; one after the other leaves it and comes back.
    Hot,
    /// The back-end posts notifications to operators, which all of them are.
    Notify,
    /// Staff look at the admin page and at peopleMap while pages turn from case to case.
    Staff,
}

fn positive(text: &str) -> Result<f64, String> {
    let number = text
        .parse()
        .ok()
        .filter(|number: &f64| number.is_normal() && *number > 0.0);
    number.ok_or_else(|| "it is to be a number above 0".to_owned())
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
