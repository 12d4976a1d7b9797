//! What systemd is told.
//!
//! Lives here: sd-notify. Without systemd all of it does nothing.

use std::time::Duration;

use sd_notify::NotifyState;
use tokio::{
    sync::watch,
    time::{interval, sleep, timeout},
};
use tracing::{debug, warn};

use crate::{presence::Census, realtime::HubHandle};

/// The shortest time between two status texts: systemd logs nothing of them, but parsing them is work.
const STATUS_PAUSE: Duration = Duration::from_secs(1);

/// Says that the daemon serves.
pub(crate) fn ready() {
    notify(&[NotifyState::Ready, NotifyState::Status(&people(0))]);
}

/// Says that the daemon drains, so that `systemctl stop` shows that and not a daemon that hangs.
pub(crate) fn stopping() {
    notify(&[NotifyState::Stopping, NotifyState::Status("draining")]);
}

/// Keeps `systemctl status` telling how many people are connected, until the hub is done.
pub(crate) async fn announce(mut census: watch::Receiver<Census>) {
    while census.changed().await.is_ok() {
        let status = people(census.borrow_and_update().people);
        notify(&[NotifyState::Status(&status)]);
        sleep(STATUS_PAUSE).await;
    }
}

/// Pings the watchdog as long as the hub answers; a timer that pings by itself proves that a timer works.
///
/// Returns at once when systemd watches nothing, and when the hub is gone.
pub(crate) async fn watch(hub: HubHandle) {
    let Some(limit) = sd_notify::watchdog_enabled() else {
        return;
    };
    let mut tick = interval(limit / 3);
    loop {
        tick.tick().await;
        match timeout(limit / 3, hub.ping()).await {
            Ok(Ok(())) => notify(&[NotifyState::Watchdog]),
            Ok(Err(_gone)) => return,
            Err(_late) => warn!("the hub does not answer; systemd will restart the daemon"),
        }
    }
}

fn people(count: usize) -> String {
    match count {
        1 => "1 person connected".to_owned(),
        count => format!("{count} people connected"),
    }
}

fn notify(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        debug!(%error, "cannot notify systemd: {error}");
    }
}
