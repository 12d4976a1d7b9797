//! The command `check`: judges the configuration as the service will find it.
//!
//! Lives here: the output of `check`, and the choice of the user that it runs as. Not here: the rules for a configuration
//! (`config`).
//! Invariant: a configuration that the service cannot start with ends `check` with exit code 78. A configuration that starts, but
//! does not serve everybody, gets a warning.
//!
//! | module | contents |
//! |---|---|
//! | `report` | the extent of the output |
//! | `systemd` | questions to systemd |
//! | `units` | the addresses of the socket units |
//! | `service` | running the check as the service |
//! | `warnings` | settings that work, but hardly as intended |

mod report;
mod service;
mod systemd;
mod units;
mod warnings;

use std::{
    io::{self, Write, stderr, stdout},
    process,
};

use rustix::process::geteuid;

pub use self::report::Report;

use self::{
    service::{MEMORY_VARIABLE, Service},
    systemd::may_have_service,
    units::Units,
    warnings::{Surroundings, warnings},
};
use crate::config::{Flags, Loaded, Sockets};

/// The variable in which systemd names the process that it has started, see `systemd.exec(5)`. Children of that process inherit it.
const EXEC_PID_VARIABLE: &str = "SYSTEMD_EXEC_PID";

/// systemd could not run the check as the service.
#[derive(Debug, thiserror::Error)]
#[error(
    "systemd cannot run the check as the service, and so cannot start the service either; the last lines of journalctl say why"
)]
pub struct NotRun;

/// Runs the check as the service, where that is possible, and returns its exit code. An exit code that is none of a check means
/// that systemd could not run it, and so could not start the service either.
///
/// Nothing is returned if the caller must judge the configuration itself: on a machine without the service, inside the service,
/// without root privileges, and with flags, because the service is started without flags.
pub fn as_service(flags: &Flags, environment: &[(String, String)], report: Report) -> Option<i32> {
    if runs_as_service(environment) || !may_have_service() {
        return None;
    }
    if !geteuid().is_root() {
        explain(
            report,
            "checked as the current user; as root it is checked as the service would meet it",
        );
        return None;
    }
    if !flags.is_empty() {
        explain(
            report,
            "checked as the current user, because the service is started without flags",
        );
        return None;
    }
    let service = Service::loaded()?;
    explain(
        report,
        "checked as the service: with the user, variables, directories and limits of cla-socketserver.service",
    );
    if report != Report::Mistakes {
        service.warnings().for_each(warn);
    }
    Some(service.check(report))
}

/// The sockets that systemd opens for the service. They are unknown in the sandbox of the service: systemd cannot be asked there,
/// and it passes the sockets only to the daemon.
pub fn sockets(environment: &[(String, String)], report: Report) -> Sockets {
    let units = if runs_as_service(environment) {
        Units::told(environment)
    } else if may_have_service() {
        Units::asked()
    } else {
        return Sockets::default();
    };
    units.map_or_else(
        || {
            explain(
                report,
                "the addresses are not checked, because systemd did not tell the addresses of the socket units",
            );
            Sockets::unknown()
        },
        Units::sockets,
    )
}

/// Prints the effective configuration, warnings and notes.
///
/// # Errors
/// When the configuration cannot be written.
pub fn show(loaded: &Loaded, environment: &[(String, String)], report: Report) -> io::Result<()> {
    match report {
        Report::Mistakes => return Ok(()),
        Report::Notable => print(loaded.effective.notable())?,
        Report::Everything => print(loaded.effective.all())?,
    }
    let surroundings = Surroundings::of_this_process(environment, MEMORY_VARIABLE);
    let warnings = warnings(&loaded.config, &surroundings);
    warnings.into_iter().for_each(warn);
    loaded
        .notes
        .iter()
        .for_each(|note| say(&format!("note: {note}")));
    Ok(())
}

/// True in a check that another check runs as the service, and in a process that systemd itself has started, as `ExecStartPre=`
/// does. The sandbox of the service allows no other program there, so nothing may be asked of `systemctl`.
fn runs_as_service(environment: &[(String, String)]) -> bool {
    let own_id = process::id().to_string();
    environment.iter().any(|(name, value)| {
        name == MEMORY_VARIABLE || name == EXEC_PID_VARIABLE && *value == own_id
    })
}

fn print<'a>(mut lines: impl Iterator<Item = &'a str>) -> io::Result<()> {
    let mut stdout = stdout().lock();
    lines.try_for_each(|line| writeln!(stdout, "{line}"))
}

/// The start of the service checks quietly, and an explanation would stand in its log each time.
fn explain(report: Report, text: &str) {
    if report != Report::Mistakes {
        say(text);
    }
}

fn warn(warning: impl AsRef<str>) {
    say(&format!("warning: {}", warning.as_ref()));
}

/// Writes to standard error, because standard output is for the configuration alone.
fn say(text: &str) {
    // A closed standard error cannot be reported anywhere.
    let _ = writeln!(stderr(), "{text}");
}
