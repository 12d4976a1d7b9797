//! Messages about mistakes in the configuration.
//!
//! Invariant: a problem is one line without control characters, and it says what to do.

use std::fmt;
use std::io;

use thiserror::Error;

use super::claim::Claim;

/// Everything that is wrong with a configuration: at least one problem, one line each.
#[derive(Debug, Error)]
pub struct ConfigErrors(Vec<Problem>);

/// One mistake.
#[derive(Debug, Error)]
pub(super) enum Problem {
    // The error is not a `source`: the list is printed as it is, and nothing follows its causes.
    #[error(
        "config file {path}: {error}; \
         make it readable for the daemon, or name another file with --config"
    )]
    Unreadable { path: String, error: io::Error },
    #[error("config file {path}, line {line}: {message}; correct the TOML there")]
    Syntax {
        path: String,
        line: usize,
        message: String,
    },
    #[error("{key} = {value} ({origin}): there is no such key; {remedy}")]
    UnknownKey {
        key: String,
        value: String,
        origin: String,
        remedy: String,
    },
    #[error("{variable} = {value} (environment): there is no such variable; {remedy}")]
    UnknownVariable {
        variable: String,
        value: String,
        remedy: String,
    },
    #[error("{key} = {value} ({origin}): must be {accepts}")]
    Invalid {
        key: &'static str,
        value: String,
        origin: String,
        accepts: String,
    },
    #[error(
        "{claim}: would open the admin app to other networks; \
         bind 127.0.0.1 or the machine's private address, and reach it over an SSH tunnel{}",
        exception(claim)
    )]
    Exposed { claim: Claim },
    #[error("{claim}: names no port, but systemd needs one to open the socket; name the port")]
    WithoutPort { claim: Claim },
    #[error(
        "{key} = {value} ({origin}): systemd opens this listener, and {unit} says {opened}; \
         remove the setting, or change the unit with: {remedy}"
    )]
    Contradicted {
        key: &'static str,
        value: String,
        origin: String,
        unit: &'static str,
        opened: String,
        remedy: String,
    },
    #[error("{claim}: collides with {earlier}; give each its own address or port")]
    Collision { claim: Claim, earlier: Claim },
}

impl ConfigErrors {
    /// The problems as one error, or nothing if there is no problem.
    pub(super) fn of(problems: Vec<Problem>) -> Option<Self> {
        (!problems.is_empty()).then_some(Self(problems))
    }

    /// Each problem, on one line.
    pub fn lines(&self) -> impl Iterator<Item = String> {
        self.0.iter().map(Problem::to_string)
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<String> = self.lines().collect();
        f.write_str(&lines.join("\n"))
    }
}

impl Problem {
    /// True if the problem is a mistake in an address of the given key.
    pub(super) fn concerns(&self, key: &str) -> bool {
        match self {
            Self::Exposed { claim } | Self::WithoutPort { claim } => claim.is_of(key),
            Self::Collision { claim, earlier } => claim.is_of(key) || earlier.is_of(key),
            Self::Unreadable { .. }
            | Self::Syntax { .. }
            | Self::UnknownKey { .. }
            | Self::UnknownVariable { .. }
            | Self::Invalid { .. }
            | Self::Contradicted { .. } => false,
        }
    }
}

/// Advice that makes an address acceptable, if any does.
fn exception(claim: &Claim) -> &'static str {
    if claim.can_be_declared_private() {
        "; if its network is private, name that network in admin.allow_from"
    } else {
        ""
    }
}
