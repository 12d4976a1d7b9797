//! Questions to systemd.

use std::{
    env,
    path::Path,
    process::{Command, Stdio},
};

/// Program that the unit starts. A developer's build has another path, so it is not the service.
pub(super) const PROGRAM: &str = "/usr/bin/cla-socketserver";

/// Directory that exists on every machine that systemd runs: see `sd_booted(3)`.
const BOOTED: &str = "/run/systemd/system";

/// Properties of one unit, as systemd knows them.
#[derive(Debug)]
pub(super) struct Properties(pub(super) Vec<(String, String)>);

/// True if systemd runs this machine and this process is the program that the unit starts.
pub(super) fn may_have_service() -> bool {
    let is_installed = env::current_exe().is_ok_and(|program| program == Path::new(PROGRAM));
    is_installed && Path::new(BOOTED).is_dir()
}

/// Asks systemd for properties of a unit. Nothing is returned where systemd cannot be asked, as in the sandbox of the service.
pub(super) fn show(unit: &str, properties: &[&str]) -> Option<Properties> {
    let shown = Command::new("systemctl")
        .args(["show", "--property", &properties.join(","), unit])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()?;
    let text = String::from_utf8_lossy(&shown.stdout);
    shown.status.success().then(|| Properties::of(&text))
}

impl Properties {
    /// Reads lines of the form `Name=value`.
    pub(super) fn of(shown: &str) -> Self {
        let lines = shown.lines().filter_map(|line| line.split_once('='));
        Self(
            lines
                .map(|(name, value)| (name.into(), value.into()))
                .collect(),
        )
    }

    /// The first value of a property.
    pub(super) fn first(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    /// Every value of a property.
    pub(super) fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        let found = self.0.iter().filter(move |(property, _)| property == name);
        found.map(|(_, value)| value.as_str())
    }

    /// True if the files of the unit have changed since systemd read them.
    pub(super) fn are_stale(&self) -> bool {
        self.first("NeedDaemonReload") == Some("yes")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_build_of_a_developer_is_not_the_service() {
        assert!(!may_have_service());
    }
}
