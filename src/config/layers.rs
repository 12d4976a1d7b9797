//! The layers above the defaults: the grants of systemd, the file, variables, flags.
//!
//! Lives here: reading each layer, and the rule that a later layer wins key by key. Not here: which values are acceptable
//! (`kind`).
//! Invariant: no setting is ignored. A setting that belongs to no key becomes a problem.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

use figment::providers::{Format as _, Toml};
use figment::value::{Dict, Value};

use super::flags::Flags;
use super::key::Key;
use super::keys::{keys, named};
use super::problem::Problem;
use super::shown::{clipped, shown};

/// The environment, sorted, so that problems come in the same order at every start.
pub(super) type Variables = BTreeMap<String, String>;

/// The merged settings of the layers that were read.
#[derive(Default)]
pub(super) struct Layers {
    settings: BTreeMap<&'static str, Setting>,
    /// Mistakes that were found while reading.
    pub(super) problems: Vec<Problem>,
}

/// A value and its source: the highest layer that sets the key.
#[derive(Clone)]
pub(super) struct Setting {
    pub(super) value: Value,
    pub(super) source: String,
}

impl Layers {
    /// Reads the grants of systemd to the unit. The first of several directories counts.
    pub(super) fn read_grants(&mut self, env: &Variables) {
        for key in keys() {
            let granted = key.granted.and_then(|name| env.get_key_value(name));
            if let Some((name, text)) = granted {
                let first = text.split(':').next().unwrap_or_default();
                self.set(key, key.kind.value_of(first), format!("variable {name}"));
            }
        }
    }

    pub(super) fn read_file(&mut self, path: &Path) {
        match fs::read_to_string(path) {
            Ok(text) => self.read_toml(path, &text),
            Err(error) => self.problems.push(unreadable(path, error)),
        }
    }

    pub(super) fn read_file_if_present(&mut self, path: &Path) {
        match fs::read_to_string(path) {
            Ok(text) => self.read_toml(path, &text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => self.problems.push(unreadable(path, error)),
        }
    }

    pub(super) fn read_variables(&mut self, env: &Variables) {
        for key in keys() {
            let established = key
                .established
                .and_then(|name| env.get_key_value(name))
                .filter(|(_, text)| !text.trim().is_empty());
            let own = env.get_key_value(&key.variable());
            for (name, text) in established.into_iter().chain(own) {
                self.set(key, key.kind.value_of(text), format!("variable {name}"));
            }
        }
        self.problems.extend(unknown_variables(env));
    }

    pub(super) fn read_flags(&mut self, flags: &Flags) {
        for key in keys() {
            if let (Some(name), Some(given)) = (key.flag_name(), key.flag)
                && !given(flags).is_empty()
            {
                let value = key.kind.value_of(&given(flags).join(","));
                self.set(key, value, format!("flag {name}"));
            }
        }
    }

    /// The setting of a key, unless the key has its default.
    pub(super) fn setting(&self, key: &str) -> Option<&Setting> {
        self.settings.get(key)
    }

    /// Replaces the setting of a key.
    pub(super) fn set(&mut self, key: &'static Key, value: Value, source: String) {
        self.settings.insert(key.name, Setting { value, source });
    }

    fn read_toml(&mut self, path: &Path, text: &str) {
        let path = clipped(&path.to_string_lossy());
        match Toml::from_str::<Dict>(text) {
            Ok(table) => self.read_table("", table, &format!("file {path}")),
            Err(error) => {
                let start = error.span().map_or(0, |span| span.start);
                let before = text.get(..start).unwrap_or_default();
                self.problems.push(Problem::Syntax {
                    path,
                    line: before.matches('\n').count() + 1,
                    message: clipped(&error.message().replace('\n', ", ")),
                });
            }
        }
    }

    fn read_table(&mut self, prefix: &str, table: Dict, source: &str) {
        for (word, value) in table {
            let name = format!("{prefix}{word}");
            let section = format!("{name}.");
            match (named(&name), value) {
                (Some(key), value) => self.set(key, value, source.to_owned()),
                (None, Value::Dict(_, inner)) if !inner.is_empty() || is_section(&section) => {
                    self.read_table(&section, inner, source);
                }
                (None, value) => self.problems.push(Problem::UnknownKey {
                    key: clipped(&name),
                    value: shown(&value),
                    origin: source.to_owned(),
                    remedy: remedy_for_key(&name),
                }),
            }
        }
    }
}

fn unreadable(path: &Path, error: io::Error) -> Problem {
    Problem::Unreadable {
        path: clipped(&path.to_string_lossy()),
        error,
    }
}

/// Variables that start with `CLA_`, in any case, and belong to no key. They were meant for the daemon, so ignoring them would
/// be worse than not starting.
fn unknown_variables(env: &Variables) -> Vec<Problem> {
    let known: Vec<String> = keys().iter().map(Key::variable).collect();
    env.iter()
        .filter(|(name, _)| name.to_ascii_uppercase().starts_with("CLA_") && !known.contains(name))
        .map(|(name, text)| {
            let nearest = nearest(&name.to_ascii_uppercase(), known.iter().map(String::as_str));
            let remedy = nearest.map_or_else(
                || "unset it; cla-socketserver.toml(5) lists every variable".to_owned(),
                |known| format!("did you mean {known}?"),
            );
            Problem::UnknownVariable {
                variable: clipped(name),
                value: shown(&Value::from(text.as_str())),
                remedy,
            }
        })
        .collect()
}

fn remedy_for_key(name: &str) -> String {
    if is_section(&format!("{name}.")) {
        return "it is a section: write its keys below a line [section]".to_owned();
    }
    nearest(name, keys().iter().map(|key| key.name)).map_or_else(
        || "remove it; cla-socketserver.toml(5) lists every key".to_owned(),
        |known| format!("did you mean {known}?"),
    )
}

fn is_section(prefix: &str) -> bool {
    keys().iter().any(|key| key.name.starts_with(prefix))
}

/// The candidate that differs from `word` by a few typing errors at most.
fn nearest<'a>(word: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    const MAX_ERRORS: usize = 3;
    candidates
        .map(|candidate| (strsim::osa_distance(word, candidate), candidate))
        .filter(|(errors, _)| *errors <= MAX_ERRORS)
        .min()
        .map(|(_, candidate)| candidate)
}
