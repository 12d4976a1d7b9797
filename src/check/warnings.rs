//! Warnings about settings that work, but hardly as intended.
//!
//! Invariant: the daemon starts with a configuration that gets nothing but warnings.

use std::path::Path;

use rustix::{
    fs::{Access, access},
    io::Errno,
};

use crate::{
    config::Config,
    net::{raise_file_limit, too_few_files},
};

/// Memory of one connection and of the messages that are being sent to it, in bytes.
const SESSION_BYTES: u64 = 23_000;

/// Memory of the daemon without any connection, in bytes.
const OWN_BYTES: u64 = 16 * MEBIBYTE;

const MEBIBYTE: u64 = 1024 * 1024;

/// Resources that the daemon would have.
#[derive(Debug)]
pub(super) struct Surroundings {
    /// Number of files that the daemon may have open.
    files: usize,
    /// Memory that the daemon may use, in bytes, if a limit is known.
    memory: Option<u64>,
    /// Directories that systemd creates for the daemon.
    granted: Vec<String>,
}

impl Surroundings {
    /// The resources of this process. `memory` is the name of the variable with the memory limit.
    pub(super) fn of_this_process(environment: &[(String, String)], memory: &str) -> Self {
        let value = |name: &str| {
            let mut found = environment.iter().filter(|(known, _)| known == name);
            found.next().map_or("", |(_, value)| value.as_str())
        };
        let granted = ["RUNTIME_DIRECTORY", "STATE_DIRECTORY"].map(value);
        let granted = granted.iter().flat_map(|paths| paths.split(':'));
        Self {
            files: raise_file_limit(),
            // systemd writes "infinity" for no limit, which does not parse.
            memory: value(memory).parse().ok(),
            granted: granted
                .filter(|path| !path.is_empty())
                .map(str::to_owned)
                .collect(),
        }
    }
}

/// One sentence per warning. Each says what to do.
pub(super) fn warnings(config: &Config, surroundings: &Surroundings) -> Vec<String> {
    let warnings = [
        config.no_site().map(str::to_owned),
        too_few_files(config, surroundings.files),
        too_little_memory(config, surroundings.memory),
        no_places(config, &surroundings.granted),
    ];
    warnings.into_iter().flatten().collect()
}

fn too_little_memory(config: &Config, memory: Option<u64>) -> Option<String> {
    let sessions = config.limits.sessions;
    let needed = u64::try_from(sessions).ok()?.saturating_mul(SESSION_BYTES) + OWN_BYTES;
    let memory = memory.filter(|memory| *memory < needed)?;
    let (needed, memory) = (needed.div_ceil(MEBIBYTE), memory / MEBIBYTE);
    Some(format!(
        "limits.sessions is {sessions}, which takes about {needed} MiB of memory, but MemoryMax= of the unit is {memory} MiB: raise MemoryMax=, or lower limits.sessions"
    ))
}

/// A warning if places cannot be saved. A directory that systemd creates is fine: it exists once the daemon runs, and the daemon
/// owns it.
fn no_places(config: &Config, granted: &[String]) -> Option<String> {
    let directory = config.presence.state_dir.as_deref()?;
    let is_granted = granted.iter().any(|path| directory.starts_with(path));
    if is_granted || config.presence.restart_grace.is_zero() {
        return None;
    }
    let error = cannot_write(directory)?;
    let directory = directory.display();
    Some(format!(
        "presence.state_dir is {directory}, where the daemon cannot write ({error}), so a restart would forget every place: name the directory in StateDirectory= of the unit, or create it for the user of the service and name it in ReadWritePaths="
    ))
}

fn cannot_write(directory: &Path) -> Option<Errno> {
    let wanted = Access::WRITE_OK | Access::EXEC_OK;
    if directory.is_file() {
        return Some(Errno::NOTDIR);
    }
    access(directory, wanted).err()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_defaults_fit_into_the_shipped_unit() {
        let unit = include_str!("../../systemd/cla-socketserver.service");
        let limit = |name: &str| {
            let mut lines = unit.lines().filter_map(|line| line.strip_prefix(name));
            lines.next().unwrap().to_owned()
        };
        let memory = limit("MemoryMax=").replace('M', "").parse::<u64>().unwrap();
        let surroundings = Surroundings {
            files: limit("LimitNOFILE=").parse().unwrap(),
            memory: Some(memory * MEBIBYTE),
            granted: Vec::new(),
        };
        assert_eq!(warnings(&sound(), &surroundings), Vec::<String>::new());
    }

    #[test]
    fn as_many_files_as_sessions_take_are_enough() {
        for (files, expected) in [(10_255, "LimitNOFILE="), (10_256, "")] {
            let said = said(&sound(), files, None);
            assert!(says(&said, expected), "{files}: {said}");
        }
    }

    #[test]
    fn as_much_memory_as_sessions_take_is_enough() {
        for (sessions, mebibytes, expected) in [
            (100_000, Some(512), "MemoryMax="),
            (100_000, Some(2300), ""),
            (22_000, Some(512), ""),
            (24_000, Some(512), "MemoryMax="),
            (1_000_000, None, ""),
        ] {
            let mut config = sound();
            config.limits.sessions = sessions;
            let said = said(&config, usize::MAX, mebibytes);
            assert!(says(&said, expected), "{sessions}: {said}");
        }
    }

    #[test]
    fn places_need_a_directory_that_can_be_written() {
        let here = std::env::temp_dir();
        for (directory, expected) in [
            ("/nowhere/at/all", "presence.state_dir"),
            ("/etc/passwd", "presence.state_dir"),
            ("/run/given", ""),
            ("/run/given/more", ""),
            (here.to_str().unwrap(), ""),
        ] {
            let mut config = sound();
            config.presence.state_dir = Some(directory.into());
            let warned = said(&config, usize::MAX, None);
            assert!(says(&warned, expected), "{directory}: {warned}");
            config.presence.restart_grace = Duration::ZERO;
            let unused = said(&config, usize::MAX, None);
            assert!(says(&unused, ""), "{directory}: {unused}");
        }
    }

    #[test]
    fn pages_need_a_site() {
        let said = said(&Config::default(), usize::MAX, None);
        assert!(says(&said, "site_hostname"), "{said}");
    }

    #[test]
    fn surroundings_are_told_in_variables_as_systemd_writes_them() {
        for (memory, expected) in [
            ("536870912", Some(536_870_912)),
            ("infinity", None),
            ("", None),
        ] {
            let environment = [
                ("RUNTIME_DIRECTORY", "/run/a:/run/b"),
                ("STATE_DIRECTORY", "/var/lib/a"),
                ("MEMORY", memory),
            ];
            let environment = environment.map(|(name, value)| (name.to_owned(), value.to_owned()));
            let surroundings = Surroundings::of_this_process(&environment, "MEMORY");
            assert_eq!(surroundings.memory, expected, "MEMORY={memory}");
            let granted = ["/run/a", "/run/b", "/var/lib/a"];
            assert_eq!(surroundings.granted, granted, "MEMORY={memory}");
        }
    }

    /// A configuration without any warning.
    fn sound() -> Config {
        Config {
            site_hostnames: vec!["chs.example.org".to_owned()],
            ..Config::default()
        }
    }

    fn said(config: &Config, files: usize, mebibytes: Option<u64>) -> String {
        let surroundings = Surroundings {
            files,
            memory: mebibytes.map(|mebibytes| mebibytes * MEBIBYTE),
            granted: vec!["/run/given".to_owned()],
        };
        warnings(config, &surroundings).join("\n")
    }

    /// True if the part was said. An empty part means that nothing was said.
    fn says(said: &str, part: &str) -> bool {
        said.contains(part) && said.is_empty() == part.is_empty()
    }
}
