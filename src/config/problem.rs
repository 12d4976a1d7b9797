//! The words in which an operator hears of a mistake.
//!
//! Invariant: one problem is one line, free of control characters, and ends with what to do.

use std::fmt;
use std::io;

use figment::value::Value;
use thiserror::Error;

use super::listeners::Claim;

/// More of a value than this helps nobody to find it.
const MAX_SHOWN_CHARS: usize = 200;

/// Everything that is wrong with a configuration: at least one problem, one line each.
#[derive(Debug, Error)]
pub struct ConfigErrors(Vec<Problem>);

/// One mistake.
#[derive(Debug, Error)]
pub(super) enum Problem {
    // Not `source`: the list is printed as it is, nobody walks its causes.
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
        way_round(claim)
    )]
    Exposed { claim: Claim },
    #[error("{claim}: names no port, and systemd opens the sockets; name the port")]
    WithoutPort { claim: Claim },
    #[error(
        "{key} = {value} ({origin}): systemd opens the sockets, and {unit} opens {opened}; \
         remove the setting, or have the unit open the same: {remedy}"
    )]
    Overruled {
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
    /// Nothing, when nothing is wrong.
    pub(super) fn of(problems: Vec<Problem>) -> Option<Self> {
        (!problems.is_empty()).then_some(Self(problems))
    }

    /// Each problem, on one line.
    pub fn lines(&self) -> impl Iterator<Item = String> {
        self.0.iter().map(Problem::to_string)
    }
}

impl Problem {
    /// Whether it is a mistake in an address of that key.
    pub(super) fn concerns(&self, key: &str) -> bool {
        match self {
            Self::Exposed { claim } | Self::WithoutPort { claim } => claim.is_of(key),
            Self::Collision { claim, earlier } => claim.is_of(key) || earlier.is_of(key),
            Self::Unreadable { .. }
            | Self::Syntax { .. }
            | Self::UnknownKey { .. }
            | Self::UnknownVariable { .. }
            | Self::Invalid { .. }
            | Self::Overruled { .. } => false,
        }
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<String> = self.lines().collect();
        f.write_str(&lines.join("\n"))
    }
}

/// What makes one address acceptable, where anything does.
fn way_round(claim: &Claim) -> &'static str {
    if claim.can_be_declared_private() {
        "; if its network is private, name that network in admin.allow_from"
    } else {
        ""
    }
}

/// A value as an operator may have written it.
pub(super) fn shown(value: &Value) -> String {
    clipped(&serde_json::to_string(value).unwrap_or_default())
}

/// A text that is safe to print: on one line, without control characters, and not endless.
pub(super) fn clipped(text: &str) -> String {
    let mut printable = text.chars().filter(|c| !c.is_control());
    let mut clipped: String = printable.by_ref().take(MAX_SHOWN_CHARS).collect();
    if printable.next().is_some() {
        clipped.push('…');
    }
    clipped
}
