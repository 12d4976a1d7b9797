//! Tasks that the daemon cannot live without.
//!
//! Lives here: spawning them. Not here: tasks of single connections, which may end at any time.
//! Invariant: a task that dies ends the daemon. A restart is better than a daemon that looks alive and works no more.

use tokio::sync::mpsc;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// A task ended that must not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("task {0:?} has died")]
pub struct Died(pub &'static str);

/// Spawns tasks and notices when one dies.
#[derive(Debug)]
pub(crate) struct Tasks {
    tracker: TaskTracker,
    /// Has room for one: the first death ends the daemon.
    deaths: (mpsc::Sender<Died>, mpsc::Receiver<Died>),
}

/// Reports the end of the task that holds it, also when that is a panic.
struct Guard {
    name: &'static str,
    deaths: mpsc::Sender<Died>,
}

impl Drop for Guard {
    fn drop(&mut self) {
        // The channel is full when an earlier death is being handled.
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

    /// Spawns a task that lives until `stop`. It may also end by itself, but it may not panic.
    pub(crate) fn spawn_until(
        &self,
        stop: &CancellationToken,
        name: &'static str,
        task: impl Future<Output = ()> + Send + 'static,
    ) {
        let stop = stop.clone();
        self.spawn(name, async move {
            let ended = stop.run_until_cancelled(task).await;
            if ended.is_some() {
                stop.cancelled().await;
            }
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

#[cfg(test)]
mod tests {
    use std::future::pending;

    use super::*;

    #[tokio::test]
    async fn a_task_that_ends_or_panics_is_reported() {
        let mut tasks = Tasks::new();
        tasks.spawn("endless", pending());
        tasks.spawn("short", async {});
        assert_eq!(tasks.death().await, Died("short"));
        tasks.spawn("panicking", async { panic!("expected by a test") });
        assert_eq!(tasks.death().await, Died("panicking"));
    }

    #[tokio::test]
    async fn a_task_with_an_end_may_end_early_but_not_by_panic() {
        let mut tasks = Tasks::new();
        let stop = CancellationToken::new();
        tasks.spawn_until(&stop, "short", async {});
        tasks.spawn_until(&stop, "panicking", async { panic!("expected by a test") });
        assert_eq!(tasks.death().await, Died("panicking"));
        stop.cancel();
        tasks.finish().await;
    }
}
