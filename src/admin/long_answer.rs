//! Answers that list everybody.
//!
//! Lives here: making them apart from the threads that serve browsers. With ten thousand people that takes a while.

use std::sync::Arc;

use axum::response::Response;
use tokio::{sync::Semaphore, task::spawn_blocking};

use super::error::HttpError;
use crate::{hub::HubHandle, presence::Person};

/// The most long answers that are made at a time. An answer is made to its end even if its caller does not wait for it.
const AT_A_TIME: usize = 2;

/// Makes long answers. Clones share the limit.
#[derive(Clone, Debug)]
pub(super) struct LongAnswers {
    hub: HubHandle,
    turns: Arc<Semaphore>,
}

impl LongAnswers {
    pub(super) fn new(hub: HubHandle) -> Self {
        Self {
            hub,
            turns: Arc::new(Semaphore::new(AT_A_TIME)),
        }
    }

    pub(super) fn hub(&self) -> &HubHandle {
        &self.hub
    }

    /// Makes an answer from everybody who has identified.
    pub(super) async fn with_people(
        &self,
        make: impl FnOnce(Vec<Person>) -> Result<Response, HttpError> + Send + 'static,
    ) -> Result<Response, HttpError> {
        // The semaphore is never closed, so there is always a turn.
        let turn = self.turns.clone().acquire_owned().await.ok();
        let people = self.hub.people().await?;
        spawn_blocking(move || {
            let _turn = turn;
            make(people)
        })
        .await?
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

    use axum::response::IntoResponse;
    use futures_util::future::join_all;

    use super::*;
    use crate::hub::{Recorder, registry};

    #[tokio::test(flavor = "multi_thread")]
    async fn few_long_answers_are_made_at_a_time() {
        let (handle, hub, inbox) = Recorder::default().hub(registry());
        let answers = LongAnswers::new(handle);
        let (running, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let counts = Arc::new((running, most));
        let asked = vec![answers; 40].into_iter().map(|answers| {
            let counts = counts.clone();
            async move {
                let make = move |_| {
                    let (running, most) = &*counts;
                    most.fetch_max(running.fetch_add(1, SeqCst) + 1, SeqCst);
                    std::thread::yield_now();
                    running.fetch_sub(1, SeqCst);
                    Ok(().into_response())
                };
                answers.with_people(make).await
            }
        });
        // The hub ends with the last of them.
        let (all, ()) = tokio::join!(join_all(asked), hub.run(inbox));
        assert!(all.iter().all(Result::is_ok));
        let most = counts.1.load(SeqCst);
        assert!((1..=AT_A_TIME).contains(&most), "{most} at a time");
    }
}
