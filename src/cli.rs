//! The command line: what can be asked of the daemon.
//!
//! Lives here: flags, commands and the words that explain them. Not here: doing what they say (`main`).
//! Invariant: the man page and the shell completions that are shipped say the same; a test writes them anew when they do not.

use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueHint};

#[cfg(test)]
mod shipped;

/// Tells call-centre staff who else has the case open that is on their screen.
///
/// Serves browsers over Socket.IO on one listener, and staff and the back-end on another that is only ever bound to
/// loopback or private addresses. Stops on SIGTERM or SIGINT; reads its configuration again on SIGHUP.
#[derive(Debug, Parser)]
#[command(version, about)]
pub struct Cli {
    /// What to do instead of serving, if anything.
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

    /// Also serve a page to try presence with, at /demo/ of the admin listener
    #[arg(long, global = true)]
    pub demo: bool,
}

/// What to do instead of serving.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Print the effective configuration with the source of each value, or everything that is wrong with it
    ///
    /// As root, on a machine with the service, it is judged as the service would meet it: with the user, the variables, the
    /// directories and the limits of cla-socketserver.service. With flags, or as another user, it is judged as whoever runs
    /// the check. Exits 78 for what the daemon cannot start with; warnings change nothing about that.
    Check {
        /// Print only what the daemon cannot start with: neither values nor warnings
        #[arg(long)]
        quiet: bool,
    },

    /// Have the running service take up its changed configuration if nothing is wrong with it; the unit runs this for
    /// systemctl reload
    Reload,
}
