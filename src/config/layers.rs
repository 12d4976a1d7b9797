//! The layers above the defaults: a file, variables, flags.
//!
//! Lives here: reading each layer, and that a later one wins key by key. Not here: what a value may be (`kind`).
//! Invariant: nothing an operator wrote is ignored; what maps to no key becomes a problem.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::Path;

use figment::providers::{Format as _, Toml};
use figment::value::{Dict, Value};

use super::problem::{Problem, clipped, shown};
use super::sockets::Socket;
use super::{Config, ConfigErrors, Effective, Flags, Key, Loaded, Sockets, keys, listeners};

/// The environment, sorted, so that problems come in the same order on every start.
type Variables = BTreeMap<String, String>;

/// What the layers that were read so far come to.
#[derive(Default)]
pub(super) struct Layers {
    settings: BTreeMap<&'static str, Setting>,
    problems: Vec<Problem>,
}

/// The value that the highest layer gave, and which layer that was.
struct Setting {
    value: Value,
    source: String,
}

impl Layers {
    /// What systemd grants to the unit. It may name several directories; the first is ours.
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

    /// Judges what the layers came to.
    pub(super) fn into_config(mut self, sockets: &Sockets) -> Result<Loaded, ConfigErrors> {
        let mut config = Config::default();
        let mut problems = std::mem::take(&mut self.problems);
        problems.extend(keys().iter().flat_map(|key| self.store(key, &mut config)));
        problems.extend(self.addresses(sockets, &mut config));
        match ConfigErrors::of(problems) {
            Some(errors) => Err(errors),
            None => Ok(Loaded {
                effective: self.effective(&mut config),
                config,
            }),
        }
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
            match (Key::named(&name), value) {
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

    fn set(&mut self, key: &'static Key, value: Value, source: String) {
        self.settings.insert(key.name, Setting { value, source });
    }

    fn store(&self, key: &'static Key, config: &mut Config) -> Vec<Problem> {
        let Some(setting) = self.settings.get(key.name) else {
            return Vec::new();
        };
        let refused = key.kind.store(&setting.value, config);
        let problem = |value| Problem::Invalid {
            key: key.name,
            value,
            origin: setting.source.clone(),
            accepts: key.accepts(),
        };
        refused.into_iter().map(problem).collect()
    }

    /// Judges the addresses that the layers ask for, then those that systemd opens instead.
    ///
    /// In this order, so that no unit is advised to open what is refused anyway.
    fn addresses(&mut self, sockets: &Sockets, config: &mut Config) -> Vec<Problem> {
        let (asked, unasked): (Vec<_>, Vec<_>) = sockets
            .iter()
            .partition(|socket| self.settings.contains_key(socket.unit.key));
        let mut problems = Vec::new();
        for socket in unasked {
            problems.extend(self.defer_to(socket, config, &[]));
        }
        let mut refused = listeners::problems(config, |key| self.source(key));
        for Socket { unit, .. } in &asked {
            let source = self.source(unit.key);
            refused.extend(listeners::without_port(unit, config, &source));
        }
        for socket in asked {
            problems.extend(self.defer_to(socket, config, &refused));
        }
        let opened = listeners::problems(config, |key| self.source(key));
        let said: Vec<_> = refused.iter().map(Problem::to_string).collect();
        let is_new = |problem: &Problem| !said.contains(&problem.to_string());
        problems.extend(refused);
        problems.extend(opened.into_iter().filter(is_new));
        problems
    }

    /// The socket holds, and a setting that says otherwise is a problem: one of them is not what the operator means.
    ///
    /// Nothing is said of a setting that is `refused`: it has to change before the unit can agree with it.
    fn defer_to(
        &mut self,
        socket: &Socket,
        config: &mut Config,
        refused: &[Problem],
    ) -> Vec<Problem> {
        let Some(key) = Key::named(socket.unit.key) else {
            return Vec::new();
        };
        let configured = socket.unit.listen(config).clone();
        let opened = Setting {
            value: Value::from(socket.listen.clone()),
            source: format!("ListenStream= of {}", socket.unit.name),
        };
        let setting = self.settings.insert(key.name, opened);
        let sound = |setting: &Setting| {
            key.kind
                .store(&setting.value, &mut Config::default())
                .is_empty()
                && !refused.iter().any(|problem| problem.concerns(key.name))
        };
        let mut problems = self.store(key, config);
        let opened = socket.unit.listen(config);
        if let Some(setting) = setting.filter(sound)
            && !same(&configured, opened)
        {
            problems.push(Problem::Overruled {
                key: key.name,
                value: shown(&setting.value),
                origin: setting.source,
                unit: socket.unit.name,
                opened: format!("{:?}", socket.listen),
                remedy: socket.unit.remedy(&configured),
            });
        }
        problems
    }

    fn source(&self, key: &str) -> String {
        self.settings
            .get(key)
            .map_or_else(|| "default".to_owned(), |setting| setting.source.clone())
    }

    fn effective(&self, config: &mut Config) -> Effective {
        let line = |key: &Key| {
            let value = key.kind.show(config);
            format!("{} = {value}  # {}", key.name, self.source(key.name))
        };
        Effective(keys().iter().map(line).collect())
    }
}

/// The order of addresses means nothing.
fn same(one: &[SocketAddr], other: &[SocketAddr]) -> bool {
    let [one, other] = [one, other].map(BTreeSet::from_iter);
    one == other
}

fn unreadable(path: &Path, error: io::Error) -> Problem {
    Problem::Unreadable {
        path: clipped(&path.to_string_lossy()),
        error,
    }
}

/// `CLA_` in any case is ours: a variable that was meant for us and does nothing is worse than a daemon that does not start.
fn unknown_variables(env: &Variables) -> Vec<Problem> {
    let known: Vec<String> = keys().iter().map(Key::variable).collect();
    env.iter()
        .filter(|(name, _)| name.to_ascii_uppercase().starts_with("CLA_") && !known.contains(name))
        .map(|(name, text)| {
            let nearest = nearest(&name.to_ascii_uppercase(), known.iter().map(String::as_str));
            let remedy = nearest.map_or_else(
                || "unset it; the man page lists every variable".to_owned(),
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
        || "remove it; the man page lists every key".to_owned(),
        |known| format!("did you mean {known}?"),
    )
}

fn is_section(prefix: &str) -> bool {
    keys().iter().any(|key| key.name.starts_with(prefix))
}

/// The candidate that a slip of the hand could have turned into `word`.
fn nearest<'a>(word: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    const MAX_SLIPS: usize = 3;
    candidates
        .map(|candidate| (strsim::osa_distance(word, candidate), candidate))
        .filter(|(slips, _)| *slips <= MAX_SLIPS)
        .min()
        .map(|(_, candidate)| candidate)
}
