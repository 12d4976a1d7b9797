//! The running daemon.
//!
//! Lives here: wiring, and the order of start and stop. Not here: the environment, the command line, exit codes.

use std::{sync::Arc, time::Duration};

use anyhow::{Context, Result, bail};
use tokio::{
    sync::{Semaphore, watch},
    time::timeout,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{info, warn};

use crate::{
    admin::{self, Admin, Demo},
    config::Config,
    lifecycle::{self, Listeners, Patience, Phase, Server, Shares, Signals, Tasks},
    presence::Snapshot,
    realtime::{Door, Farewell, HubHandle, Realtime},
    snapshot::{self, Store},
    stats::{self, Counters, Page, Sources},
};

/// What a daemon is started with.
#[derive(Debug)]
pub struct App {
    /// The settings.
    pub config: Config,
    /// Open sockets.
    pub listeners: Listeners,
    /// The machine's own name, by which staff may call the admin app.
    pub machine: String,
    /// How many files it may have open.
    pub files: usize,
    /// Whether to serve the page for trying presence.
    pub demo: bool,
}

impl App {
    /// Serves until a signal comes or a task dies.
    ///
    /// # Errors
    /// [`Died`](lifecycle::Died) when a task ended that must not; otherwise when the daemon did not stop within its
    /// grace period, or was told twice to stop.
    pub async fn run(self, mut signals: Signals) -> Result<()> {
        let spread = self.config.drain.spread;
        let patience = spread + self.config.limits.shutdown_grace;
        let mut tasks = Tasks::new();
        let daemon = self.start(&tasks)?;
        daemon.hub.ping().await?;
        daemon.phase.send_replace(Phase::Ready);
        lifecycle::ready(daemon.sources.census.borrow().people);
        info!(version = env!("CARGO_PKG_VERSION"), "ready");

        tokio::select! {
            () = signals.next() => {}
            death = tasks.death() => return Err(death.into()),
        }
        daemon.phase.send_replace(Phase::Draining);
        info!("stopping");
        lifecycle::stopping(patience);
        tokio::select! {
            drained = timeout(patience, daemon.drain(spread, &tasks)) => {
                drained.context("not everything ended within drain.spread_ms and limits.shutdown_grace_ms")
            }
            () = signals.next() => bail!("told twice to stop"),
        }
    }

    fn start(mut self, tasks: &Tasks) -> Result<Daemon> {
        let config = &self.config;
        let counters = Counters::default();
        let store = store(config);
        let left = store.as_ref().map_or_else(Snapshot::default, |store| {
            store.load(config.presence.restart_grace)
        });
        let realtime = Realtime::new(config, left, &counters, tasks.tracker());
        let sources = Sources {
            census: realtime.census,
            counters,
            pulse: realtime.pulse,
        };
        let daemon = Daemon {
            phase: watch::Sender::new(Phase::Starting),
            closed: CancellationToken::new(),
            public: CancellationToken::new(),
            conversations: TaskTracker::new(),
            hub: realtime.hub,
            farewell: realtime.farewell,
            rest: CancellationToken::new(),
            sources: sources.clone(),
        };
        let (statsd, versions) = (config.statsd.clone(), config.limits.versions);
        let socket = self.listeners.statsd.take();
        let status = lifecycle::announce(sources.census.clone());
        let watchdog = lifecycle::watch(daemon.hub.clone());
        tasks.spawn("hub", realtime.hub_task);
        tasks.spawn("stats", stats::report(statsd, socket, versions, sources));
        tasks.spawn(
            "snapshot",
            snapshot::keep(
                store,
                daemon.hub.clone(),
                realtime.changed,
                daemon.rest.clone(),
            ),
        );
        tasks.spawn_until(&daemon.rest, "deadlines", realtime.deadlines);
        tasks.spawn_until(&daemon.rest, "status", status);
        tasks.spawn_until(&daemon.rest, "watchdog", watchdog);

        self.serve(&daemon, realtime.door, tasks)?;
        Ok(daemon)
    }

    /// Opens the doors.
    fn serve(self, daemon: &Daemon, door: Door, tasks: &Tasks) -> Result<()> {
        if self.config.site_hostnames.is_empty() {
            info!("site_hostname is not set: only pages of this machine may connect");
        }
        let shares = self.shares();
        let public = Server {
            patience: Patience::from(&self.config.limits),
            tracker: daemon.conversations.clone(),
            counters: daemon.sources.counters.clone(),
            share: Arc::new(Semaphore::new(shares.public)),
            closed: daemon.closed.clone(),
            stop: daemon.public.clone(),
        };
        let staff = Server {
            // Who may knock there posts bodies that are large and come at once.
            patience: Patience {
                pace: None,
                ..public.patience
            },
            tracker: tasks.tracker().clone(),
            closed: daemon.rest.clone(),
            stop: daemon.rest.clone(),
            ..public.clone()
        };
        let door = door.service();
        let admin = admin::router(self.admin(daemon)?);
        if self.demo
            && let Some(listener) = self.listeners.admin.first()
        {
            admin::log_demo(listener.local_addr()?);
        }
        for listener in self.listeners.public {
            lifecycle::log_listening("public", &listener);
            tasks.spawn(
                "public listener",
                public.clone().run(listener, door.clone()),
            );
        }
        for listener in self.listeners.admin {
            lifecycle::log_listening("admin", &listener);
            let staff = Server {
                share: Arc::new(Semaphore::new(shares.admin)),
                ..staff.clone()
            };
            tasks.spawn("admin listener", staff.run(listener, admin.clone()));
        }
        Ok(())
    }

    fn shares(&self) -> Shares {
        let staff = self.config.limits.admin_connections;
        if let Some(warning) = lifecycle::too_few_files(&self.config, self.files) {
            warn!("{warning}");
        }
        Shares::among(self.files, staff, self.listeners.admin.len())
    }

    fn admin(&self, daemon: &Daemon) -> Result<Admin> {
        let public = self.listeners.public.first();
        let public = public.context("no public listener")?.local_addr()?;
        let limits = &self.config.limits;
        Ok(Admin {
            hub: daemon.hub.clone(),
            allow_from: self.config.admin.allow_from.as_slice().into(),
            hostnames: self.config.admin.hostnames.clone(),
            machine: self.machine.clone(),
            body_limit: limits.admin_body_bytes,
            request_timeout: limits.request_timeout,
            metrics: Page::new(daemon.sources.clone(), limits.versions),
            counters: daemon.sources.counters.clone(),
            phase: daemon.phase.subscribe(),
            demo: self.demo.then_some(Demo::new(public)),
        })
    }
}

/// Where places are kept for the next daemon, if anywhere.
fn store(config: &Config) -> Option<Store> {
    let presence = &config.presence;
    let wanted = !presence.restart_grace.is_zero();
    let directory = presence.state_dir.clone().filter(|_| wanted);
    directory.map(Store::new)
}

/// What must be stopped, in the order in which it is.
struct Daemon {
    phase: watch::Sender<Phase>,
    /// No more browsers are let in.
    closed: CancellationToken,
    farewell: Farewell,
    public: CancellationToken,
    /// What is being said on the public listener; websockets are not among it.
    conversations: TaskTracker,
    rest: CancellationToken,
    hub: HubHandle,
    sources: Sources,
}

impl Daemon {
    /// Ends everything: browsers first, so that they come back elsewhere or later, and health checks last.
    async fn drain(self, spread: Duration, tasks: &Tasks) {
        self.closed.cancel();
        // An error means that the hub is gone already, and so nothing lapses.
        let _ = self.hub.drain().await;
        self.farewell.say(spread).await;
        self.public.cancel();
        self.conversations.close();
        self.conversations.wait().await;
        self.rest.cancel();
        tasks.finish().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lifecycle::{Died, Passed};

    #[tokio::test]
    async fn a_hub_that_ends_is_the_death_of_the_daemon() {
        let mut config = Config::default();
        for listen in [&mut config.public.listen, &mut config.admin.listen] {
            *listen = vec![([127, 0, 0, 1], 0).into()];
        }
        let mut tasks = Tasks::new();
        let app = App {
            listeners: Listeners::open(&config, Passed::default()).unwrap(),
            config,
            machine: String::new(),
            files: 1024,
            demo: false,
        };
        let daemon = app.start(&tasks).unwrap();
        daemon.hub.finish().await.unwrap();
        assert_eq!(tasks.death().await, Died("hub"));
    }
}
