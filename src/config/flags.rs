//! The part of the command line that concerns the configuration.

use std::path::PathBuf;

/// Flags that concern the configuration.
#[derive(Debug, Clone, Default)]
pub struct Flags {
    /// `--config`: the file to read instead of `/etc/cla-socketserver/config.toml`. It must exist.
    pub config: Option<PathBuf>,
    /// `--public-listen`: each item is one address, or several with commas.
    pub public_listen: Vec<String>,
    /// `--admin-listen`: each item is one address, or several with commas.
    pub admin_listen: Vec<String>,
}

impl Flags {
    /// True if no flag is given.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.config.is_none() && self.public_listen.is_empty() && self.admin_listen.is_empty()
    }
}
