//! The command `check`: judges the configuration as the service will meet it.
//!
//! Lives here: what `check` says, and as whom it judges. Not here: what a mistake is (`config`).
//! Invariant: what the service cannot start with ends `check` with the exit code for that; what it can start with, but not
//! serve everybody with, is a warning.
//!
//! | module | says |
//! |---|---|
//! | `service` | what systemd gives the service, and how to run the check with the same |
//! | `warnings` | what works, but not as the operator wants it |

mod service;
mod warnings;

use std::io::{self, Write, stderr, stdout};

use rustix::process::geteuid;

use crate::config::{Flags, Loaded};

use self::service::{MEMORY_VARIABLE, Service};
use self::warnings::{Surroundings, warnings};

/// The check could not be run as the service.
#[derive(Debug, thiserror::Error)]
#[error(
    "systemd cannot run the check as the service, and so cannot start the service either; the last lines of journalctl say why"
)]
pub struct NotRun;

/// Runs the check as the service, where that is possible, and returns its exit code. Any other code than that of a check means
/// that systemd could not run it, and so could not start the service either.
///
/// Nothing is returned where the caller has to judge by itself: on a machine without the service, inside the service, without
/// the privileges to run anything as the service, and with flags, which the service is not started with.
pub fn as_service(flags: &Flags, environment: &[(String, String)], quiet: bool) -> Option<i32> {
    let inside = environment.iter().any(|(name, _)| name == MEMORY_VARIABLE);
    if inside || !service::may_be_here() {
        return None;
    }
    // A start of the service checks quietly, without privileges, and needs no explanation.
    let explain = |text: &str| {
        if !quiet {
            say(text);
        }
    };
    if !geteuid().is_root() {
        explain("checked as the current user; as root it is checked as the service would meet it");
        return None;
    }
    if !flags.is_empty() {
        explain("checked as the current user, because the service is started without flags");
        return None;
    }
    let service = Service::loaded()?;
    explain(
        "checked as the service: with the user, variables, directories and limits of cla-socketserver.service",
    );
    if !quiet {
        service.warnings().for_each(warn);
    }
    Some(service.check(quiet))
}

/// Shows the values that are in force, and what is worth a warning.
///
/// # Errors
/// When the values cannot be written.
pub fn show(loaded: &Loaded, environment: &[(String, String)]) -> io::Result<()> {
    writeln!(stdout(), "{}", loaded.effective)?;
    let surroundings = Surroundings::of_this_process(environment, MEMORY_VARIABLE);
    warnings(&loaded.config, &surroundings)
        .into_iter()
        .for_each(warn);
    Ok(())
}

fn warn(warning: impl AsRef<str>) {
    say(&format!("warning: {}", warning.as_ref()));
}

/// To standard error, because standard output has the values and nothing else.
fn say(text: &str) {
    // Nowhere to report to if that is gone.
    let _ = writeln!(stderr(), "{text}");
}
