//! What is written about the daemon is true.

use std::path::Path;

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
fn the_core_stays_pure() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/presence");
    for file in std::fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
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
