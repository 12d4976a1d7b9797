//! What is written about the daemon is true.

mod pages;

use std::path::{Path, PathBuf};

const README: &str = include_str!("../../README.md");

#[test]
fn the_readme_asks_for_the_rust_that_is_needed() {
    let asked: Vec<&str> = README
        .split("Rust ")
        .skip(1)
        .filter_map(|text| text.split_once(" or later"))
        .map(|(version, _)| version)
        .filter(|version| version.starts_with(|first: char| first.is_ascii_digit()))
        .collect();
    assert!(!asked.is_empty());
    for version in asked {
        assert_eq!(version, env!("CARGO_PKG_RUST_VERSION"));
    }
}

#[test]
fn the_core_stays_pure() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/presence");
    for path in files_below(&folder) {
        let code = std::fs::read_to_string(&path).unwrap();
        let code = code
            .lines()
            .filter(|line| !line.trim_start().starts_with("//"));
        for line in code {
            for foreign in [
                "async ",
                "await",
                "tokio",
                "socketioxide",
                "serde",
                "tracing",
                "Instant",
                "SystemTime",
                "std::env",
                "crate::",
            ] {
                assert!(
                    !line.contains(foreign),
                    "{foreign} in {}: {line}",
                    path.display()
                );
            }
        }
    }
}

/// Whoever has a Mac can build the daemon and try it: `tests/run style` does, where Rust is prepared for that.
#[test]
fn what_only_linux_has_is_compiled_only_there() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = 0;
    for path in files_below(&folder) {
        let code = std::fs::read_to_string(&path).unwrap();
        let lines: Vec<&str> = code.lines().collect();
        for (at, line) in lines.iter().enumerate() {
            if !LINUX_ONLY.iter().any(|name| line.contains(name)) {
                continue;
            }
            found += 1;
            let item = lines[..at].iter().rposition(|line| line.starts_with("#["));
            let guard = item.map_or("", |item| lines[item]);
            assert_eq!(
                guard,
                r#"#[cfg(target_os = "linux")]"#,
                "{}:{}",
                path.display(),
                at + 1
            );
        }
    }
    assert!(found > 0, "the list names nothing that is used");
}

/// Parts of what the crates that are used here offer on Linux, and not on macOS.
const LINUX_ONLY: [&str; 14] = [
    "set_tcp_user_timeout",
    "tcp_quickack",
    "tcp_thin_linear_timeouts",
    "bind_device",
    "freebind",
    "set_mark",
    "set_cloexec",
    "accept4",
    "Accept4",
    "os::linux",
    "os::android",
    "MemfdFlags",
    "epoll",
    "prlimit",
];

pub fn files_below(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap();
    let below = |path: PathBuf| {
        if path.is_dir() {
            files_below(&path)
        } else {
            vec![path]
        }
    };
    entries
        .flat_map(|entry| below(entry.unwrap().path()))
        .collect()
}
