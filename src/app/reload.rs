//! Taking up a changed configuration.
//!
//! Lives here: reading it, telling everybody who has to know, and the log lines about it. Not here: which keys may change
//! (`config`).
//! Invariants: a configuration with a mistake changes nothing; no connection ends because of a reload.

use tracing::{error, info, warn};

use crate::{
    config::{Config, Reload, Settings, Source},
    lifecycle,
    logging::Logging,
    realtime,
};

/// Reloads the configuration of a running daemon.
pub(super) struct Reloader {
    pub(super) source: Source,
    pub(super) settings: Settings,
    pub(super) realtime: realtime::Reload,
    pub(super) logging: Logging,
    /// How many files may be open.
    pub(super) files: usize,
}

impl Reloader {
    /// Reads the configuration again and takes it up if nothing is wrong with it.
    pub(super) async fn reload(&self) {
        lifecycle::reloading();
        let directory = self.source.runtime_directory();
        match self.source.load() {
            Ok(loaded) => {
                self.take_up(loaded.config).await;
                lifecycle::answer_reload(directory, "");
                lifecycle::reloaded("configuration reloaded");
            }
            Err(errors) => {
                lifecycle::answer_reload(directory, &errors.to_string());
                for problem in errors.lines() {
                    error!(
                        "configuration not reloaded, the daemon goes on with the one it has: {problem}"
                    );
                }
                lifecycle::reloaded(
                    "the changed configuration is wrong, see the log; the daemon goes on with the one it has",
                );
            }
        }
    }

    async fn take_up(&self, read: Config) {
        let Reload {
            config,
            changed,
            needs_restart,
        } = Reload::new(&self.settings.now(), read);
        let before = self.settings.now().log.level;
        // What follows is said whichever way the level changes.
        self.logging.set_level(before.max(config.log.level));
        self.settings.replace(config.clone());
        // An error means that the hub is gone, which ends the daemon.
        let _ = self.realtime.take_up(&config).await;
        if changed.is_empty() {
            info!("configuration reloaded, nothing changed");
        } else {
            info!("configuration reloaded, changed: {}", changed.join(", "));
        }
        if !needs_restart.is_empty() {
            warn!("needs a restart: {}", needs_restart.join(", "));
        }
        warn_of(&config, self.files);
        self.logging.set_level(config.log.level);
    }
}

/// Warns of what is not wrong and yet hardly meant.
pub(super) fn warn_of(config: &Config, files: usize) {
    let no_site = config.no_site().map(str::to_owned);
    for warning in no_site
        .into_iter()
        .chain(lifecycle::too_few_files(config, files))
    {
        warn!("{warning}");
    }
}
