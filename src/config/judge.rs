//! From merged layers to a validated configuration.
//!
//! Lives here: storing each setting, deriving defaults, and judging the addresses against the sockets of systemd.
//! Invariant: a value that a higher layer replaces is not judged. Only the values that would run count.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use figment::value::Value;

use super::addresses;
use super::effective::{Effective, Line};
use super::key::{Key, Tier};
use super::keys::{keys, named};
use super::layers::{Layers, Setting};
use super::problem::{ConfigErrors, Problem};
use super::shown::shown;
use super::sockets::{Socket, Sockets};
use super::values::Config;

/// A configuration and the sources of its values.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The validated values.
    pub config: Config,
    /// The same values as text, with their sources.
    pub effective: Effective,
    /// A sentence for each key that is set and need not be.
    pub notes: Vec<String>,
}

/// Judges the merged layers.
///
/// # Errors
///
/// Every problem, at once.
pub(super) fn judge(mut layers: Layers, sockets: &Sockets) -> Result<Loaded, ConfigErrors> {
    let mut config = Config::default();
    let mut problems = std::mem::take(&mut layers.problems);
    for key in keys() {
        problems.extend(store(&layers, key, &mut config));
    }
    for key in keys() {
        if let (Some(derived), None) = (&key.derived, layers.setting(key.name)) {
            (derived.apply)(&mut config);
        }
    }
    if let Some(sockets) = sockets.known() {
        problems.extend(judge_addresses(&mut layers, sockets, &mut config));
    }
    match ConfigErrors::of(problems) {
        Some(errors) => Err(errors),
        None => Ok(Loaded {
            effective: effective(&layers, &mut config),
            notes: notes(&layers),
            config,
        }),
    }
}

fn store(layers: &Layers, key: &'static Key, config: &mut Config) -> Vec<Problem> {
    let Some(setting) = layers.setting(key.name) else {
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

/// Judges the configured addresses, then the addresses of the sockets that replace them.
///
/// The order matters: no remedy may offer to open an address that is refused anyway.
fn judge_addresses(layers: &mut Layers, sockets: &[Socket], config: &mut Config) -> Vec<Problem> {
    let is_set = |socket: &&Socket| layers.setting(socket.unit.key).is_some();
    let (set, unset): (Vec<_>, Vec<_>) = sockets.iter().partition(is_set);
    let mut problems = Vec::new();
    for socket in unset {
        problems.extend(adopt(layers, socket, config));
    }
    let mut refused = addresses::problems(config, |key| source(layers, key));
    for Socket { unit, .. } in &set {
        let source = source(layers, unit.key);
        refused.extend(addresses::without_port(unit, config, &source));
    }
    for socket in set {
        problems.extend(contradiction(layers, socket, config, &refused));
        problems.extend(adopt(layers, socket, config));
    }
    let opened = addresses::problems(config, |key| source(layers, key));
    let said: Vec<_> = refused.iter().map(Problem::to_string).collect();
    let is_new = |problem: &Problem| !said.contains(&problem.to_string());
    problems.extend(refused);
    problems.extend(opened.into_iter().filter(is_new));
    problems
}

/// The problem of a setting that disagrees with its socket. A setting that is wrong anyway must be corrected first.
fn contradiction(
    layers: &Layers,
    socket: &Socket,
    config: &Config,
    refused: &[Problem],
) -> Option<Problem> {
    let unit = socket.unit;
    let (key, setting) = (named(unit.key)?, layers.setting(unit.key)?);
    let configured = unit.listen(config);
    let is_refused = refused.iter().any(|problem| problem.concerns(key.name));
    if is_refused || !is_valid(key, setting) || agree(configured, &socket.listen) {
        return None;
    }
    Some(Problem::Contradicted {
        key: key.name,
        value: shown(&setting.value),
        origin: setting.source.clone(),
        unit: unit.name,
        opened: format!("{:?}", socket.listen),
        remedy: unit.remedy(configured),
    })
}

fn is_valid(key: &Key, setting: &Setting) -> bool {
    let mut config = Config::default();
    key.kind.store(&setting.value, &mut config).is_empty()
}

/// True if both lists have the same addresses, in any order.
fn agree(configured: &[SocketAddr], opened: &[String]) -> bool {
    let opened: Option<BTreeSet<SocketAddr>> =
        opened.iter().map(|text| text.parse().ok()).collect();
    opened.is_some_and(|opened| opened == configured.iter().copied().collect())
}

/// Replaces the configured addresses by the addresses of the socket.
fn adopt(layers: &mut Layers, socket: &Socket, config: &mut Config) -> Vec<Problem> {
    let Some(key) = named(socket.unit.key) else {
        return Vec::new();
    };
    let source = format!("ListenStream= of {}", socket.unit.name);
    layers.set(key, Value::from(socket.listen.clone()), source);
    store(layers, key, config)
}

fn source(layers: &Layers, key: &str) -> String {
    layers
        .setting(key)
        .map_or_else(|| "default".to_owned(), |setting| setting.source.clone())
}

fn effective(layers: &Layers, config: &mut Config) -> Effective {
    let line = |key: &Key| {
        let value = key.kind.show(config);
        let setting = layers.setting(key.name);
        let source = match (setting, &key.derived) {
            (Some(setting), _) => setting.source.clone(),
            (None, Some(derived)) => format!("from {}", derived.from),
            (None, None) => "default".to_owned(),
        };
        let is_changed = setting.is_some() && value != key.default_text();
        Line {
            text: format!("{} = {value}  # {source}", key.name),
            is_notable: key.tier == Tier::Operator || is_changed,
        }
    };
    Effective(keys().iter().map(line).collect())
}

fn notes(layers: &Layers) -> Vec<String> {
    let internal = keys().iter().filter(|key| key.tier == Tier::Internal);
    let note = |key: &Key| {
        let Setting { source, .. } = layers.setting(key.name)?;
        let name = key.name;
        Some(format!(
            "{name} ({source}) need not be set; the daemon still accepts it"
        ))
    };
    internal.filter_map(note).collect()
}
