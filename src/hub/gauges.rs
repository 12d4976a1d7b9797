//! Publishing how many people are connected.
//!
//! Lives here: the subscriber that does so. Not here: what becomes of the numbers (`stats`, `lifecycle`).

use tokio::{
    sync::{broadcast::error::RecvError, watch},
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;

use super::{feed::Changes, handle::HubHandle};
use crate::{config::Settings, presence::Census};

/// Publishes a census after every change, but at most one per `public.merge_interval_ms`, until the hub has ended and `stop` is
/// cancelled.
///
/// The last census is empty: otherwise dashboards would go on showing people who are connected to another daemon by then.
pub(crate) async fn publish_census(
    hub: HubHandle,
    settings: Settings,
    census: watch::Sender<Census>,
    stop: CancellationToken,
) {
    // A dashboard need not be told of a daemon that starts with nobody.
    let mut has_news = false;
    while let Ok((latest, changes)) = hub.census().await {
        let due = Instant::now() + settings.now().public.merge_interval;
        census.send_if_modified(|known| {
            has_news |= *known != latest;
            *known = latest;
            has_news
        });
        if !is_changed(changes).await {
            break;
        }
        has_news = true;
        let _ = stop.run_until_cancelled(sleep_until(due)).await;
    }
    census.send_replace(Census::default());
    stop.cancelled().await;
}

/// Waits for a change. Returns false if the hub has ended instead.
async fn is_changed(mut changes: Changes) -> bool {
    !matches!(changes.recv().await, Err(RecvError::Closed))
}
