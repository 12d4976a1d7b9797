//! The service as systemd would start it.
//!
//! Lives here: running the check as the service, in a transient unit of its own. The running service is left alone: the check
//! learns the names of its runtime and state directories but does not get them, because systemd would change their owner.

use std::process::{Command, Stdio};

use super::{
    report::Report,
    systemd::{self, PROGRAM, Properties},
    units::Units,
};

const UNIT: &str = "cla-socketserver.service";

/// Variable that tells the check the `MemoryMax=` of the unit. Its presence says that the check already runs as the service.
pub(super) const MEMORY_VARIABLE: &str = "SERVICE_MEMORY_MAX";

/// Properties that the check shares with the service: its user, its variables, and the files that it can use.
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

/// Directories of the unit: property, variable with which systemd tells the service, and parent directory. The check only gets
/// the variables.
const DIRECTORIES: [(&str, &str, &str); 2] = [
    ("RuntimeDirectory", "RUNTIME_DIRECTORY", "/run"),
    ("StateDirectory", "STATE_DIRECTORY", "/var/lib"),
];

/// The service and its socket units, as systemd knows them.
#[derive(Debug)]
pub(super) struct Service {
    properties: Properties,
    /// The socket units, where systemd told their addresses.
    units: Option<Units>,
}

impl Service {
    /// Asks systemd. Nothing is returned on a machine without the unit.
    pub(super) fn loaded() -> Option<Self> {
        let asked = ["LoadState", "NeedDaemonReload", "MemoryMax"];
        let directories = DIRECTORIES.map(|(property, _, _)| property);
        let properties = systemd::show(UNIT, &[&asked[..], &directories, &SHARED].concat())?;
        let is_loaded = properties.first("LoadState") == Some("loaded");
        is_loaded.then(|| Self {
            properties,
            units: Units::asked(),
        })
    }

    /// A warning about units that systemd must read again.
    pub(super) fn warnings(&self) -> impl Iterator<Item = &'static str> {
        let sockets_are_stale = self.units.as_ref().is_some_and(|units| units.are_stale);
        let are_stale = self.properties.are_stale() || sockets_are_stale;
        let warning = "the units have changed since systemd read them: systemctl daemon-reload";
        are_stale.then_some(warning).into_iter()
    }

    /// Runs the check as the service, with the standard output and error of this process, and returns its exit code. If systemd
    /// cannot run the check, the exit code is that of `systemd-run`.
    pub(super) fn check(&self, report: Report) -> i32 {
        let ran = Command::new("systemd-run")
            .args(self.arguments(report))
            .stdin(Stdio::null())
            .status();
        ran.ok().and_then(|status| status.code()).unwrap_or(1)
    }

    /// Arguments of `systemd-run`.
    fn arguments(&self, report: Report) -> Vec<String> {
        let options = ["--quiet", "--wait", "--pipe", "--collect"];
        let mut arguments: Vec<String> = options.map(str::to_owned).into();
        // systemd-run rejects an empty list of paths to bind.
        let is_shared = |(name, value): &&(String, String)| {
            SHARED.contains(&name.as_str()) && !value.is_empty()
        };
        let shared = self.properties.0.iter().filter(is_shared);
        arguments.extend(shared.map(|(name, value)| property(name, value)));
        let variables = self.variables().into_iter();
        arguments.extend(variables.map(|(name, value)| format!("--setenv={name}={value}")));
        arguments.extend([PROGRAM, "check"].map(str::to_owned));
        arguments.extend(report.flag().map(str::to_owned));
        arguments
    }

    /// Variables that the check gets in addition to those of the unit.
    fn variables(&self) -> Vec<(&'static str, String)> {
        let paths = |(name, variable, parent)| {
            let names = self.properties.first(name).unwrap_or_default();
            let paths = names.split_whitespace();
            let paths: Vec<_> = paths.map(|name| format!("{parent}/{name}")).collect();
            (!paths.is_empty()).then(|| (variable, paths.join(":")))
        };
        let memory = self.properties.first("MemoryMax").unwrap_or_default();
        let mut variables: Vec<_> = DIRECTORIES.into_iter().filter_map(paths).collect();
        variables.push((MEMORY_VARIABLE, memory.to_owned()));
        variables.extend(self.units.iter().flat_map(Units::variables));
        variables
    }
}

/// A property as `systemd-run` takes it. systemd shows files of variables in another form: `/path (ignore_errors=no)`.
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
        let properties = Properties::of(
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
        let told = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let units = Units::told(&[
            told("SERVICE_PUBLIC_LISTEN", "127.0.0.1:8005"),
            told("SERVICE_ADMIN_LISTEN", "10.0.1.5:8005,127.0.0.1:8006"),
        ]);
        let service = Service { properties, units };
        let arguments = service.arguments(Report::Mistakes).join("\n");
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
--setenv=SERVICE_PUBLIC_LISTEN=127.0.0.1:8005
--setenv=SERVICE_ADMIN_LISTEN=10.0.1.5:8005,127.0.0.1:8006
/usr/bin/cla-socketserver
check
--quiet"#;
        assert_eq!(arguments, expected);
    }

    #[test]
    fn the_check_as_the_service_prints_as_much_as_was_asked_for() {
        for (report, expected) in [
            (Report::Mistakes, "--quiet"),
            (Report::Notable, "check"),
            (Report::Everything, "--all"),
        ] {
            let service = Service {
                properties: Properties::of(""),
                units: None,
            };
            let arguments = service.arguments(report);
            assert_eq!(arguments.last().unwrap(), expected, "{report:?}");
        }
    }

    #[test]
    fn units_that_systemd_has_not_read_yet_are_worth_a_warning() {
        for (answer, expected) in [("yes", 1), ("no", 0)] {
            let properties = Properties::of(&format!("NeedDaemonReload={answer}"));
            let service = Service {
                properties,
                units: None,
            };
            assert_eq!(
                service.warnings().count(),
                expected,
                "NeedDaemonReload={answer}"
            );
        }
    }
}
