//! The command line: flags, commands and their descriptions.
//!
//! Not here: carrying out the commands (`main`).
//! Invariant: the shipped manuals and shell completions say the same as the command line. A test writes them anew when they do not.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueHint};

#[cfg(test)]
mod shipped;

/// Shows call-centre staff who else is viewing the case on their screen.
///
/// Serves browsers over Socket.IO on one listener. Serves staff and the back-end on another listener, which can be bound to
/// loopback and private addresses only. SIGTERM and SIGINT stop the daemon; SIGHUP makes it read its configuration again.
#[derive(Debug, Parser)]
#[command(version, about)]
pub struct Cli {
    /// The command. Without a command, the daemon serves.
    #[command(subcommand)]
    pub command: Option<Command>,

    /// Read this file instead of /etc/cla-socketserver/config.toml; it must exist
    #[arg(long, global = true, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub config: Option<PathBuf>,

    /// Addresses for browsers, e.g. 127.0.0.1:8005; separate several by commas
    #[arg(long, global = true, value_name = "ADDRESS", value_hint = ValueHint::Other)]
    pub public_listen: Vec<String>,

    /// Loopback or private addresses for the admin app, e.g. 127.0.0.1:8006; separate several by commas
    #[arg(long, global = true, value_name = "ADDRESS", value_hint = ValueHint::Other)]
    pub admin_listen: Vec<String>,

    /// Also serve a page for trying presence, at /demo/ of the admin listener
    #[arg(long, global = true)]
    pub demo: bool,
}

/// A command.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Print the effective configuration, or everything that is wrong with it
    ///
    /// Prints the settings that every operator decides, and the settings that differ from their defaults, each with its source.
    /// Prints warnings and notes on standard error. Exits with code 78 if the daemon cannot start with the configuration;
    /// warnings do not change the exit code.
    ///
    /// On a machine with the service, root gets the judgement of the service: with the user, the variables, the directories, the
    /// limits and the sockets of its units. With flags, or as another user, the configuration is judged as the current user.
    Check(CheckArgs),

    /// Make the running service adopt its changed configuration, if nothing is wrong with it; the unit runs this for
    /// systemctl reload
    Reload,
}

/// Flags of `check`.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// Print every setting
    #[arg(long)]
    pub all: bool,

    /// Print only mistakes that keep the daemon from starting
    #[arg(long, conflicts_with = "all")]
    pub quiet: bool,
}
