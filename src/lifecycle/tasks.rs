//! Tasks that the daemon cannot live without.
//!
//! Lives here: the only place that spawns. Invariant: a task that dies ends the daemon; a restart is better than a
//! daemon that looks alive and tells operators nothing.

use tokio::sync::mpsc;
use tokio_util::task::TaskTracker;

/// A task ended that should not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("task {0:?} has died")]
pub struct Died(pub &'static str);

/// Spawns tasks and hears of their death.
#[derive(Debug)]
pub(crate) struct Tasks {
    tracker: TaskTracker,
    /// One place is enough: the first death ends the daemon.
    deaths: (mpsc::Sender<Died>, mpsc::Receiver<Died>),
}

/// Reports the end of the task that holds it, also when that is a panic.
struct Guard {
    name: &'static str,
    deaths: mpsc::Sender<Died>,
}

impl Drop for Guard {
    fn drop(&mut self) {
        // Full means that an earlier death is being handled.
        let _ = self.deaths.try_send(Died(self.name));
    }
}

impl Tasks {
    pub(crate) fn new() -> Self {
        Self {
            tracker: TaskTracker::new(),
            deaths: mpsc::channel(1),
        }
    }

    /// For short-lived tasks, which may end.
    pub(crate) fn tracker(&self) -> &TaskTracker {
        &self.tracker
    }

    /// Spawns a task that must live until the daemon drains.
    pub(crate) fn spawn(
        &self,
        name: &'static str,
        task: impl Future<Output = ()> + Send + 'static,
    ) {
        let guard = Guard {
            name,
            deaths: self.deaths.0.clone(),
        };
        self.tracker.spawn(async move {
            let _guard = guard;
            task.await;
        });
    }

    /// Waits for the first death.
    pub(crate) async fn death(&mut self) -> Died {
        // The sender beside it keeps the channel open.
        let death = self.deaths.1.recv().await;
        death.unwrap_or(Died("supervisor"))
    }

    /// Waits until every task has ended.
    pub(crate) async fn finish(&self) {
        self.tracker.close();
        self.tracker.wait().await;
    }
}
