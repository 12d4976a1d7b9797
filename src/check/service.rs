//! The service as systemd would start it.
//!
//! Lives here: asking systemd about the unit, and running a program as the service, in a unit of its own. The running service
//! is left alone: its runtime and state directories are named to the check, but not handed to it, because systemd would
//! change their owner.

use std::{
    env,
    path::Path,
    process::{Command, Stdio},
};

/// The program that the unit starts. A build of a developer is another one, and not the service.
const PROGRAM: &str = "/usr/bin/cla-socketserver";

const UNIT: &str = "cla-socketserver.service";

/// Is there wherever systemd runs the machine: see `sd_booted(3)`.
const BOOTED: &str = "/run/systemd/system";

/// Says inside the check what `MemoryMax=` of the unit is, and so also that it already runs as the service.
pub(super) const MEMORY_VARIABLE: &str = "SERVICE_MEMORY_MAX";

/// What decides how the service meets its configuration: who it is, which variables it has, which files it may use. The check
/// runs with the same.
const SHARED: [&str; 18] = [
    "DynamicUser",
    "User",
    "Group",
    "SupplementaryGroups",
    "Environment",
    "EnvironmentFiles",
    "PassEnvironment",
    "UnsetEnvironment",
    "LimitNOFILE",
    "ProtectSystem",
    "ProtectHome",
    "PrivateTmp",
    "ReadWritePaths",
    "ReadOnlyPaths",
    "InaccessiblePaths",
    "BindPaths",
    "BindReadOnlyPaths",
    "TemporaryFileSystem",
];

/// What the check is told in variables instead, as systemd tells the service.
const DIRECTORIES: [(&str, &str, &str); 2] = [
    ("RuntimeDirectory", "RUNTIME_DIRECTORY", "/run"),
    ("StateDirectory", "STATE_DIRECTORY", "/var/lib"),
];

/// What systemd knows about the service, a line `Name=value` each.
#[derive(Debug)]
pub(super) struct Service(Vec<(String, String)>);

/// Whether systemd runs this machine, and this process is the program that the unit starts.
pub(super) fn may_be_here() -> bool {
    let is_installed = env::current_exe().is_ok_and(|program| program == Path::new(PROGRAM));
    is_installed && Path::new(BOOTED).is_dir()
}

impl Service {
    /// Asks systemd, which may not know the unit.
    pub(super) fn loaded() -> Option<Self> {
        let asked = ["LoadState", "NeedDaemonReload", "MemoryMax"];
        let directories = DIRECTORIES.map(|(property, _, _)| property);
        let asked = [&asked[..], &directories, &SHARED].concat().join(",");
        let shown = Command::new("systemctl")
            .args(["show", "--property", &asked, UNIT])
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .output()
            .ok()?;
        let service = Self::of(&String::from_utf8_lossy(&shown.stdout));
        (service.property("LoadState") == Some("loaded")).then_some(service)
    }

    fn of(shown: &str) -> Self {
        let lines = shown.lines().filter_map(|line| line.split_once('='));
        Self(
            lines
                .map(|(name, value)| (name.into(), value.into()))
                .collect(),
        )
    }

    /// What is wrong with the units themselves.
    pub(super) fn warnings(&self) -> impl Iterator<Item = &'static str> {
        let stale = self.property("NeedDaemonReload") == Some("yes");
        let warning = "the units have changed since systemd read them: systemctl daemon-reload";
        stale.then_some(warning).into_iter()
    }

    /// Runs the check as the service, with our standard output and error, and returns its exit code: that of systemd where
    /// it could not be run.
    pub(super) fn check(&self, quiet: bool) -> i32 {
        let ran = Command::new("systemd-run")
            .args(self.arguments(quiet))
            .stdin(Stdio::null())
            .status();
        ran.ok().and_then(|status| status.code()).unwrap_or(1)
    }

    /// For `systemd-run`.
    fn arguments(&self, quiet: bool) -> Vec<String> {
        let mut arguments: Vec<String> = ["--quiet", "--wait", "--pipe", "--collect"]
            .map(str::to_owned)
            .into();
        // systemd-run rejects an empty list of paths to bind.
        let shared = self
            .0
            .iter()
            .filter(|(name, value)| SHARED.contains(&name.as_str()) && !value.is_empty());
        arguments.extend(shared.map(|(name, value)| property(name, value)));
        for (name, variable, parent) in DIRECTORIES {
            let names = self.property(name).unwrap_or_default().split_whitespace();
            let paths: Vec<_> = names.map(|name| format!("{parent}/{name}")).collect();
            if !paths.is_empty() {
                arguments.push(format!("--setenv={variable}={}", paths.join(":")));
            }
        }
        let memory = self.property("MemoryMax").unwrap_or_default();
        arguments.push(format!("--setenv={MEMORY_VARIABLE}={memory}"));
        arguments.extend([PROGRAM, "check"].map(str::to_owned));
        arguments.extend(quiet.then(|| "--quiet".to_owned()));
        arguments
    }

    fn property(&self, name: &str) -> Option<&str> {
        let mut found = self.0.iter().filter(|(property, _)| property == name);
        found.next().map(|(_, value)| value.as_str())
    }
}

/// A property as systemd takes it. Files of variables are shown in other words: `/path (ignore_errors=no)`.
fn property(name: &str, value: &str) -> String {
    if name != "EnvironmentFiles" {
        return format!("--property={name}={value}");
    }
    let optional = value.strip_suffix(" (ignore_errors=yes)");
    let file = match (optional, value.strip_suffix(" (ignore_errors=no)")) {
        (Some(path), _) => format!("-{path}"),
        (None, Some(path)) => path.to_owned(),
        (None, None) => value.to_owned(),
    };
    format!("--property=EnvironmentFile={file}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_check_runs_with_what_the_unit_has() {
        let service = Service::of(
            r#"LoadState=loaded
MemoryMax=536870912
DynamicUser=yes
User=cla-socketserver
Environment="CLA_STATSD__PORT=not a port" A=b=c
EnvironmentFiles=/etc/default/one (ignore_errors=yes)
EnvironmentFiles=/etc/default/two (ignore_errors=no)
RuntimeDirectory=cla-socketserver other
StateDirectory=
LimitNOFILE=65536
ReadWritePaths=/srv/places
BindPaths="#,
        );
        let arguments = service.arguments(true).join("\n");
        let expected = r#"--quiet
--wait
--pipe
--collect
--property=DynamicUser=yes
--property=User=cla-socketserver
--property=Environment="CLA_STATSD__PORT=not a port" A=b=c
--property=EnvironmentFile=-/etc/default/one
--property=EnvironmentFile=/etc/default/two
--property=LimitNOFILE=65536
--property=ReadWritePaths=/srv/places
--setenv=RUNTIME_DIRECTORY=/run/cla-socketserver:/run/other
--setenv=SERVICE_MEMORY_MAX=536870912
/usr/bin/cla-socketserver
check
--quiet"#;
        assert_eq!(arguments, expected);
    }

    #[test]
    fn units_that_systemd_has_not_read_yet_are_worth_a_warning() {
        for (answer, expected) in [("yes", 1), ("no", 0)] {
            let service = Service::of(&format!("NeedDaemonReload={answer}"));
            assert_eq!(service.warnings().count(), expected);
        }
    }

    #[test]
    fn a_build_of_a_developer_is_not_the_service() {
        assert!(!may_be_here());
    }
}
