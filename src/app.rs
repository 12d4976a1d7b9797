//! The running daemon.
//!
//! Lives here: wiring, and the order of start and stop. Not here: the environment, the command line, exit codes.

use anyhow::{Context, Result, bail};
use socketioxide::SocketIo;
use tokio::{sync::watch, time::timeout};
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

use crate::{
    config::Config,
    lifecycle::{self, Listeners, Patience, Phase, Server, Signals, Tasks},
    realtime::{HubHandle, Realtime},
    stats::{self, Counters},
};

/// Serves until a signal comes or a task dies.
///
/// # Errors
/// [`Died`](lifecycle::Died) when a task ended that must not; otherwise when the daemon did not stop within its
/// grace period, or was told twice to stop.
pub async fn run(
    config: Config,
    listeners: Listeners,
    mut signals: Signals,
    _demo: bool,
) -> Result<()> {
    let mut tasks = Tasks::new();
    let (phase, _) = watch::channel(Phase::Starting);
    let daemon = Daemon::start(&config, listeners, &tasks, &phase);
    daemon.hub.ping().await?;
    phase.send_replace(Phase::Ready);
    lifecycle::ready();
    info!("ready");

    tokio::select! {
        () = signals.next() => {}
        death = tasks.death() => {
            error!(error = %death, "{death}, ending the daemon");
            return Err(death.into());
        }
    }
    info!("stopping");
    phase.send_replace(Phase::Draining);
    lifecycle::stopping();
    tokio::select! {
        drained = timeout(config.limits.shutdown_grace, daemon.drain(&tasks)) => {
            drained.context("not everything ended within limits.shutdown_grace_ms")
        }
        () = signals.next() => bail!("told twice to stop"),
    }
}

/// What must be stopped, in the order in which it is.
struct Daemon {
    public: CancellationToken,
    hub: HubHandle,
    io: SocketIo,
    rest: CancellationToken,
}

impl Daemon {
    fn start(
        config: &Config,
        listeners: Listeners,
        tasks: &Tasks,
        phase: &watch::Sender<Phase>,
    ) -> Self {
        let counters = Counters::default();
        let realtime = Realtime::new(config, &counters, tasks.tracker());
        let daemon = Self {
            public: CancellationToken::new(),
            hub: realtime.hub,
            io: realtime.io,
            rest: CancellationToken::new(),
        };
        tasks.spawn("hub", realtime.hub_task);
        tasks.spawn(
            "stats",
            stats::report(
                config.statsd.clone(),
                config.limits.versions,
                realtime.census.clone(),
                counters.clone(),
            ),
        );
        let until_the_end = daemon.rest.clone();
        tasks.tracker().spawn(
            until_the_end
                .clone()
                .run_until_cancelled_owned(lifecycle::announce(realtime.census)),
        );
        tasks
            .tracker()
            .spawn(until_the_end.run_until_cancelled_owned(lifecycle::watch(daemon.hub.clone())));

        let server = |stop: &CancellationToken| Server {
            patience: Patience::from(&config.limits),
            tracker: tasks.tracker().clone(),
            counters: counters.clone(),
            stop: stop.clone(),
        };
        let door = realtime.door.service();
        for listener in listeners.public {
            lifecycle::log_listening("public", &listener);
            tasks.spawn(
                "public listener",
                server(&daemon.public).run(listener, door.clone()),
            );
        }
        daemon
    }

    /// Ends everything, browsers first, so that they come back elsewhere or later.
    async fn drain(self, tasks: &Tasks) {
        self.public.cancel();
        // An error means that the hub is gone already, and so it is silent.
        let _ = self.hub.drain().await;
        self.io.close().await;
        self.rest.cancel();
        tasks.finish().await;
    }
}
