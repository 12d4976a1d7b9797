//! Reloading the configuration.
//!
//! Lives here: reading it, telling every part that keeps a copy of a setting, and logging the outcome. Not here: which keys may
//! change (`config`).
//! Invariants: a configuration with a mistake changes nothing; no connection ends because of a reload.

use tracing::{error, info, warn};

use crate::{
    config::{Config, Reload, Settings, Source},
    hub::HubHandle,
    lifecycle,
    logging::Logging,
    net::too_few_files,
    presence::Rules,
    socketio::Admission,
};

/// Reloads the configuration of a running daemon.
pub(super) struct Reloader {
    pub(super) source: Source,
    pub(super) settings: Settings,
    pub(super) admission: Admission,
    pub(super) hub: HubHandle,
    pub(super) logging: Logging,
    /// The limit of open files.
    pub(super) files: usize,
}

impl Reloader {
    /// Reads the configuration again, and uses it if it has no mistake.
    pub(super) async fn reload(&self) {
        lifecycle::reloading();
        let directory = self.source.runtime_directory();
        match self.source.load() {
            Ok(loaded) => {
                self.use_from_now_on(loaded.config).await;
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

    async fn use_from_now_on(&self, read: Config) {
        let Reload {
            config,
            changed,
            needs_restart,
        } = Reload::new(&self.settings.now(), read);
        let before = self.settings.now().log.level;
        // The lines below are logged whether the level rises or falls.
        self.logging.set_level(before.max(config.log.level));
        self.settings.replace(config.clone());
        self.admission.reload(&config.limits);
        // An error means that the hub has ended, which ends the daemon.
        let _ = self.hub.reload(rules(&config)).await;
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

/// Logs warnings about settings that are valid but hardly intended.
pub(super) fn warn_of(config: &Config, files: usize) {
    let no_site = config.no_site().map(str::to_owned);
    for warning in no_site.into_iter().chain(too_few_files(config, files)) {
        warn!("{warning}");
    }
}

/// The settings of the registry.
pub(super) fn rules(config: &Config) -> Rules {
    Rules {
        merge_interval: config.public.merge_interval,
        grace: config.presence.grace,
        lost_places: config.limits.admission().lost_places,
        tabs_per_browser: config.limits.connections_per_user,
    }
}
