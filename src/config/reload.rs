//! Adopting a changed configuration while the daemon runs.
//!
//! Lives here: reading the layers again, which keys may change, and the settings that the rest of the daemon reads. Not
//! here: when to reload.
//! Invariant: a key that needs a restart keeps the value with which the daemon was started.

use std::path::Path;
use std::sync::Arc;

use parking_lot::RwLock;

use super::flags::Flags;
use super::judge::Loaded;
use super::keys::keys;
use super::load::load;
use super::problem::ConfigErrors;
use super::sockets::Sockets;
use super::values::Config;

/// All sources of a configuration except the file.
#[derive(Clone, Debug, Default)]
pub struct Source {
    /// The flags of the command line.
    pub flags: Flags,
    /// The environment at the start of the daemon.
    pub env: Vec<(String, String)>,
    /// The sockets that systemd opens.
    pub sockets: Sockets,
}

impl Source {
    /// Reads all layers. The file is read again at each call.
    ///
    /// # Errors
    /// Every problem of every layer, at once.
    pub fn load(&self) -> Result<Loaded, ConfigErrors> {
        load(&self.flags, self.env.iter().cloned(), &self.sockets)
    }

    /// The value of an environment variable.
    #[must_use]
    pub fn variable(&self, name: &str) -> Option<&str> {
        let mut variables = self.env.iter();
        let (_, value) = variables.find(|(known, _)| known == name)?;
        Some(value)
    }

    /// The directory below `/run` that systemd grants to the unit. The first of several directories counts.
    #[must_use]
    pub fn runtime_directory(&self) -> Option<&Path> {
        let granted = self.variable("RUNTIME_DIRECTORY")?;
        granted.split(':').next().map(Path::new)
    }
}

/// Outcome of a reload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reload {
    /// The configuration after the reload.
    pub config: Config,
    /// Keys whose new values are adopted.
    pub changed: Vec<&'static str>,
    /// Keys whose new values need a restart.
    pub needs_restart: Vec<&'static str>,
}

impl Reload {
    /// Adopts each changed value of the `read` configuration that can change while the daemon is `running`.
    #[must_use]
    pub fn new(running: &Config, mut read: Config) -> Self {
        let mut config = running.clone();
        let (mut changed, mut needs_restart) = (Vec::new(), Vec::new());
        for key in keys() {
            if key.kind.show(&mut config) == key.kind.show(&mut read) {
                continue;
            }
            if key.needs_restart {
                needs_restart.push(key.name);
            } else {
                key.kind.copy(&mut read, &mut config);
                changed.push(key.name);
            }
        }
        Self {
            config,
            changed,
            needs_restart,
        }
    }
}

/// The configuration of the running daemon. Each part of the daemon reads the current values when it decides.
#[derive(Clone, Debug)]
pub struct Settings(Arc<RwLock<Arc<Config>>>);

impl Settings {
    /// Settings with the given configuration.
    #[must_use]
    pub fn new(config: Config) -> Self {
        Self(Arc::new(RwLock::new(Arc::new(config))))
    }

    /// The current configuration.
    #[must_use]
    pub fn now(&self) -> Arc<Config> {
        self.0.read().clone()
    }

    /// Replaces the whole configuration.
    pub fn replace(&self, config: Config) {
        *self.0.write() = Arc::new(config);
    }
}

#[cfg(test)]
mod tests {
    use figment::value::Value;

    use super::super::kind::Kind;
    use super::*;

    #[test]
    fn every_key_is_taken_up_or_waits_for_a_restart() {
        for key in keys() {
            let running = Config::default();
            let mut read = Config::default();
            let refused = key.kind.store(&another(&key.kind), &mut read);
            assert!(refused.is_empty(), "{}: {refused:?}", key.name);
            assert_ne!(read, running, "{}", key.name);
            let reload = Reload::new(&running, read.clone());
            let (config, changed, needs_restart) = if key.needs_restart {
                (running, vec![], vec![key.name])
            } else {
                (read, vec![key.name], vec![])
            };
            let expected = Reload {
                config,
                changed,
                needs_restart,
            };
            assert_eq!(reload, expected);
        }
    }

    /// A value that is the default of no key.
    fn another(kind: &Kind) -> Value {
        match kind {
            Kind::Addresses(_) => "127.0.0.2:1".into(),
            Kind::Networks(..) => "10.9.8.0/24".into(),
            Kind::Directory(_) => "/another".into(),
            Kind::HostNames(_) | Kind::Host(_) | Kind::Prefix(_) => "another".into(),
            Kind::Port(_) => 1.into(),
            Kind::Count(range, _) => range.end().to_string().parse::<i128>().unwrap().into(),
            Kind::Rate(range, _) => i128::from(*range.end()).into(),
            Kind::Millis(range, _) => i128::from(*range.end()).into(),
            Kind::Format(_) => "json".into(),
            Kind::Level(_) => "trace".into(),
        }
    }
}
