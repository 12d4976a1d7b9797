//! What is written about the daemon is true.

use std::path::{Path, PathBuf};

use cla_socketserver::config;

const README: &str = include_str!("../../README.md");

#[test]
fn the_readme_lists_every_key_as_it_is() {
    let rows: String = config::keys()
        .iter()
        .map(|key| {
            let established = key.established.map(|name| format!(", `{name}`"));
            format!(
                "| `{}` | `{}` | `{}`{} | {}; {} |\n",
                key.name,
                key.default_text(),
                key.variable(),
                established.unwrap_or_default(),
                key.doc,
                key.accepts(),
            )
        })
        .collect();
    assert!(
        README.contains(&rows),
        "README.md should have this table:\n{rows}"
    );
}

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

fn files_below(folder: &Path) -> Vec<PathBuf> {
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
