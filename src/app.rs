//! The running daemon.
//!
//! Lives here: wiring, and the order of start and stop. Not here: the environment, the command line, exit codes.

mod reload;

use std::sync::Arc;

use anyhow::{Context, Result, bail};
use tokio::{
    sync::{Semaphore, watch},
    task::unconstrained,
    time::timeout,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::info;

use self::reload::{Reloader, rules, warn_of};
use crate::{
    admin::{self, Admin, Demo},
    config::{Config, Settings, Source},
    hub::{self, Hub, HubHandle, Inbox},
    lifecycle::{self, Phase, Signal, Signals, Tasks},
    logging::Logging,
    net::{ConnectionBudget, Listeners, Server, WriteErrors, log_listening, public_rate},
    presence::{Census, Registry, Snapshot},
    socketio::{Drain, Edge, PublicApp, Sockets},
    stats::{self, OpenMetrics, Sources},
    store::{self, Store},
};

/// What a daemon is started with.
#[derive(Debug)]
pub struct App {
    /// The settings.
    pub config: Config,
    /// Where the settings are read from again at a reload.
    pub source: Source,
    /// The log.
    pub logging: Logging,
    /// Open sockets.
    pub listeners: Listeners,
    /// The name of the machine, by which staff may call the admin app.
    pub machine: String,
    /// The limit of open files.
    pub files: usize,
    /// Whether to serve the demonstration page.
    pub demo: bool,
}

impl App {
    /// Serves until a signal comes or a task dies.
    ///
    /// # Errors
    /// [`Died`](lifecycle::Died) when a task ended that must not. Otherwise when the daemon did not stop within its grace
    /// period, or when a second signal came during the stop.
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
        let time = config.drain.spread + config.limits.shutdown_grace;
        lifecycle::stopping(time);
        tokio::select! {
            drained = timeout(time, daemon.drain(&config, &tasks)) => {
                drained.context("not everything ended within drain.spread_ms and limits.shutdown_grace_ms")
            }
            () = signals.stop() => bail!("second signal during shutdown"),
        }
    }

    fn start(mut self, tasks: &Tasks) -> Result<Daemon> {
        let config = &self.config;
        let counters = self.logging.counters().clone();
        let settings = Settings::new(config.clone());
        let (hub, inbox) = hub::open(config.limits.inbox);
        let edge = Edge::new(&settings, &hub, &counters);
        let census_sender = watch::Sender::new(Census::default());
        warn_of(config, self.files);
        let daemon = Daemon {
            reloader: Reloader {
                source: self.source.clone(),
                settings,
                admission: edge.admission,
                hub: hub.clone(),
                logging: self.logging.clone(),
                files: self.files,
            },
            phase: watch::Sender::new(Phase::Starting),
            closed: CancellationToken::new(),
            public: CancellationToken::new(),
            requests: TaskTracker::new(),
            hub,
            drain: edge.drain,
            rest: CancellationToken::new(),
            sources: Sources {
                census: census_sender.subscribe(),
                counters,
                gauges: edge.gauges,
            },
        };
        self.spawn_hub(&daemon, edge.sockets, census_sender, inbox, tasks);
        tasks.spawn_until(&daemon.rest, "deadlines", edge.deadlines);
        self.spawn_reports(&daemon, tasks);
        self.serve(&daemon, edge.app, tasks)?;
        Ok(daemon)
    }

    /// Spawns the hub with the places of the daemon before this one, and the task that keeps places for the next one.
    fn spawn_hub(
        &self,
        daemon: &Daemon,
        sockets: Sockets,
        census: watch::Sender<Census>,
        inbox: Inbox,
        tasks: &Tasks,
    ) {
        let config = &self.config;
        let grace = config.presence.restart_grace;
        let store = store(config);
        let left = store
            .as_ref()
            .map_or_else(Snapshot::default, |store| store.load(grace));
        let registry = Registry::restored(rules(config), left, grace);
        let counters = daemon.sources.counters.clone();
        let hub = Hub::new(registry, sockets, census, counters);
        // It goes on as long as requests wait, so that the connections that cause them do not run before it.
        tasks.spawn("hub", unconstrained(hub.run(inbox)));
        let keep = store::keep(store, daemon.hub.clone(), daemon.rest.clone());
        tasks.spawn("store", keep);
    }

    /// Spawns the tasks that tell others how the daemon is.
    fn spawn_reports(&mut self, daemon: &Daemon, tasks: &Tasks) {
        let (statsd, versions) = (self.config.statsd.clone(), self.config.limits.versions);
        let socket = self.listeners.statsd.take();
        let sources = daemon.sources.clone();
        let status = lifecycle::announce(sources.census.clone());
        let warnings = stats::warn_of_refusals(sources.counters.clone());
        let watchdog = lifecycle::watch(daemon.hub.clone());
        tasks.spawn("stats", stats::report(statsd, socket, versions, sources));
        tasks.spawn_until(&daemon.rest, "status", status);
        tasks.spawn_until(&daemon.rest, "warnings", warnings);
        tasks.spawn_until(&daemon.rest, "watchdog", watchdog);
    }

    /// Serves both listeners.
    fn serve(self, daemon: &Daemon, app: PublicApp, tasks: &Tasks) -> Result<()> {
        let budget = self.budget();
        let public = Server {
            settings: daemon.reloader.settings.clone(),
            rate: Some(public_rate),
            write_errors: WriteErrors::FoundByReading,
            tracker: daemon.requests.clone(),
            counters: daemon.sources.counters.clone(),
            permits: Arc::new(Semaphore::new(budget.public)),
            closed: daemon.closed.clone(),
            stop: daemon.public.clone(),
        };
        let staff = Server {
            rate: None,
            write_errors: WriteErrors::Reported,
            tracker: tasks.tracker().clone(),
            closed: daemon.rest.clone(),
            stop: daemon.rest.clone(),
            ..public.clone()
        };
        let app = app.service();
        let admin = admin::router(self.admin(daemon)?);
        if self.demo
            && let Some(listener) = self.listeners.admin.first()
        {
            admin::log_demo(listener.local_addr()?);
        }
        for listener in self.listeners.public {
            log_listening("public", &listener);
            tasks.spawn("public listener", public.clone().run(listener, app.clone()));
        }
        for listener in self.listeners.admin {
            log_listening("admin", &listener);
            let staff = Server {
                permits: Arc::new(Semaphore::new(budget.admin)),
                ..staff.clone()
            };
            tasks.spawn("admin listener", staff.run(listener, admin.clone()));
        }
        Ok(())
    }

    fn budget(&self) -> ConnectionBudget {
        let admin = self.config.limits.admin_connections;
        ConnectionBudget::divide(self.files, admin, self.listeners.admin.len())
    }

    fn admin(&self, daemon: &Daemon) -> Result<Admin> {
        let public = self.listeners.public.first();
        let public = public.context("no public listener")?.local_addr()?;
        Ok(Admin {
            hub: daemon.hub.clone(),
            settings: daemon.reloader.settings.clone(),
            machine: self.machine.clone(),
            metrics: OpenMetrics::new(daemon.sources.clone(), self.config.limits.versions),
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

/// What runs, and has to be stopped.
struct Daemon {
    reloader: Reloader,
    phase: watch::Sender<Phase>,
    /// Cancelled when the public listener shall accept no more connections.
    closed: CancellationToken,
    drain: Drain,
    /// Cancelled when connections of the public listener shall end.
    public: CancellationToken,
    /// Tracks connections of the public listener while HTTP is spoken over them. Websockets are not among them.
    requests: TaskTracker,
    /// Cancelled when everything else shall end.
    rest: CancellationToken,
    hub: HubHandle,
    sources: Sources,
}

impl Daemon {
    /// Ends everything: sessions of browsers first, so that they come back elsewhere or later, and health checks last.
    async fn drain(self, config: &Config, tasks: &Tasks) {
        self.closed.cancel();
        // An error means that the hub has ended already. Then nothing lapses either.
        let _ = self.hub.drain().await;
        self.drain.run(config.drain.spread).await;
        self.public.cancel();
        self.requests.close();
        self.requests.wait().await;
        self.rest.cancel();
        tasks.finish().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{lifecycle::Died, net::Passed};

    #[tokio::test]
    async fn a_hub_that_ends_stops_the_daemon() {
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
