//! Answers with everybody in them.
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
