//! Reading all layers.

use std::path::Path;

use super::flags::Flags;
use super::judge::{Loaded, judge};
use super::layers::Layers;
use super::problem::ConfigErrors;
use super::sockets::Sockets;

/// The config file that is read, if it exists, when no other file is named.
pub const DEFAULT_PATH: &str = "/etc/cla-socketserver/config.toml";

/// Merges the layers into one configuration. The layers are the defaults, the grants of systemd, the file, variables and flags;
/// a later layer wins, key by key. Where systemd opens the sockets, their addresses hold, and no layer may contradict them.
///
/// The environment is an argument, so that tests can pass any environment.
///
/// # Errors
///
/// Every problem of every layer, at once.
pub fn load(
    flags: &Flags,
    env: impl IntoIterator<Item = (String, String)>,
    sockets: &Sockets,
) -> Result<Loaded, ConfigErrors> {
    load_beside(Path::new(DEFAULT_PATH), flags, env, sockets)
}

/// [`load`] with another default path, for tests.
pub(super) fn load_beside(
    default_path: &Path,
    flags: &Flags,
    env: impl IntoIterator<Item = (String, String)>,
    sockets: &Sockets,
) -> Result<Loaded, ConfigErrors> {
    let env = env.into_iter().collect();
    let mut layers = Layers::default();
    layers.read_grants(&env);
    match &flags.config {
        Some(path) => layers.read_file(path),
        None => layers.read_file_if_present(default_path),
    }
    layers.read_variables(&env);
    layers.read_flags(flags);
    judge(layers, sockets)
}
