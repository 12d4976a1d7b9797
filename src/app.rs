//! The running daemon.
//!
//! Lives here: wiring, and the order of start and stop. Not here: the environment, the command line, exit codes.

mod reload;

use std::sync::Arc;

use anyhow::{Context, Result, bail};
use tokio::{
    sync::{Semaphore, watch},
    time::timeout,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::info;

use self::reload::{Reloader, warn_of};
use crate::{
    admin::{self, Admin, Demo},
    config::{Config, Settings, Source},
    lifecycle::{self, Listeners, Patience, Phase, Server, Shares, Signal, Signals, Tasks},
    logging::Logging,
    presence::Snapshot,
    realtime::{Door, Farewell, HubHandle, Realtime},
    snapshot::{self, Store},
    stats::{self, Page, Sources},
};

/// What a daemon is started with.
#[derive(Debug)]
pub struct App {
    /// The settings.
    pub config: Config,
    /// Where they can be read from again.
    pub source: Source,
    /// The log.
    pub logging: Logging,
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
        let mut tasks = Tasks::new();
        let daemon = self.start(&tasks)?;
        daemon.hub.ping().await?;
        daemon.phase.send_replace(Phase::Ready);
        lifecycle::ready(daemon.sources.census.borrow().people);
        info!(version = env!("CARGO_PKG_VERSION"), "ready");

        loop {
            tokio::select! {
                signal = signals.next() => match signal {
                    Signal::Reload => daemon.reloader.reload().await,
                    Signal::Stop => break,
                },
                death = tasks.death() => return Err(death.into()),
            }
        }
        daemon.phase.send_replace(Phase::Draining);
        info!("stopping");
        let config = daemon.reloader.settings.now();
        let patience = config.drain.spread + config.limits.shutdown_grace;
        lifecycle::stopping(patience);
        tokio::select! {
            drained = timeout(patience, daemon.drain(&config, &tasks)) => {
                drained.context("not everything ended within drain.spread_ms and limits.shutdown_grace_ms")
            }
            () = signals.stop() => bail!("told twice to stop"),
        }
    }

    fn start(mut self, tasks: &Tasks) -> Result<Daemon> {
        let config = &self.config;
        let counters = self.logging.counters().clone();
        let store = store(config);
        let left = store.as_ref().map_or_else(Snapshot::default, |store| {
            store.load(config.presence.restart_grace)
        });
        let settings = Settings::new(config.clone());
        let realtime = Realtime::new(&settings, left, &counters, tasks.tracker());
        let shares = self.shares();
        let reloader = Reloader {
            source: self.source.clone(),
            settings,
            realtime: realtime.reload,
            logging: self.logging.clone(),
            files: self.files,
        };
        let sources = Sources {
            census: realtime.census,
            counters,
            pulse: realtime.pulse,
        };
        warn_of(config, self.files);
        let daemon = Daemon {
            reloader,
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
        let counters = daemon.sources.counters.clone();
        tasks.spawn_until(&daemon.rest, "warnings", stats::warn_of_refusals(counters));
        tasks.spawn_until(&daemon.rest, "watchdog", watchdog);

        self.serve(&daemon, realtime.door, shares, tasks)?;
        Ok(daemon)
    }

    /// Opens the doors.
    fn serve(self, daemon: &Daemon, door: Door, shares: Shares, tasks: &Tasks) -> Result<()> {
        let public = Server {
            settings: daemon.reloader.settings.clone(),
            patience: Patience::public,
            tracker: daemon.conversations.clone(),
            counters: daemon.sources.counters.clone(),
            share: Arc::new(Semaphore::new(shares.public)),
            closed: daemon.closed.clone(),
            stop: daemon.public.clone(),
        };
        let staff = Server {
            patience: Patience::admin,
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
        Shares::among(self.files, staff, self.listeners.admin.len())
    }

    fn admin(&self, daemon: &Daemon) -> Result<Admin> {
        let public = self.listeners.public.first();
        let public = public.context("no public listener")?.local_addr()?;
        Ok(Admin {
            hub: daemon.hub.clone(),
            settings: daemon.reloader.settings.clone(),
            machine: self.machine.clone(),
            metrics: Page::new(daemon.sources.clone(), self.config.limits.versions),
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

/// What runs, and what must be stopped, in the order in which it is.
struct Daemon {
    reloader: Reloader,
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
    async fn drain(self, config: &Config, tasks: &Tasks) {
        self.closed.cancel();
        // An error means that the hub is gone already, and so nothing lapses.
        let _ = self.hub.drain().await;
        self.farewell.say(config.drain.spread).await;
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
            logging: Logging::unread(),
            source: Source::default(),
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
