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

/// Says that the daemon serves, and so many people: those of the daemon before are still there.
pub(crate) fn ready(count: usize) {
    notify(&[NotifyState::Ready, NotifyState::Status(&people(count))]);
}

/// Says that the daemon reads its configuration again, for which `systemctl reload` then waits.
pub(crate) fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => notify(&[NotifyState::Reloading, now]),
        Err(error) => debug!(%error, "cannot tell the time to systemd: {error}"),
    }
}

/// Says that it has done so, and what came of it.
pub(crate) fn reloaded(outcome: &str) {
    notify(&[NotifyState::Ready, NotifyState::Status(outcome)]);
}

/// Says that the daemon drains, so that `systemctl stop` shows that and not a daemon that hangs, and how long that may take.
pub(crate) fn stopping(patience: Duration) {
    // What is beyond an hour and more, systemd may judge by itself.
    let patience = u32::try_from(patience.as_micros()).unwrap_or(u32::MAX);
    notify(&[
        NotifyState::Stopping,
        NotifyState::ExtendTimeoutUsec(patience),
        NotifyState::Status("draining"),
    ]);
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
    if let Some(limit) = sd_notify::watchdog_enabled() {
        vouch_for(hub, limit / 3, || notify(&[NotifyState::Watchdog])).await;
    }
}

/// Calls `alive` once in every `pause` in which the hub has answered, until it is gone.
async fn vouch_for(hub: HubHandle, pause: Duration, alive: impl Fn()) {
    let mut tick = interval(pause);
    loop {
        tick.tick().await;
        match timeout(pause, hub.ping()).await {
            Ok(Ok(())) => alive(),
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

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::realtime::inbox::{self, Request};

    #[tokio::test(start_paused = true)]
    async fn nobody_vouches_for_a_hub_that_does_not_answer() {
        let (hub, mut requests) = inbox::channel(8);
        let pause = Duration::from_secs(10);
        let vouched = Cell::new(0);
        let vouching = vouch_for(hub, pause, || vouched.set(vouched.get() + 1));
        let hub = async {
            sleep(pause * 5).await;
            assert_eq!(vouched.get(), 0, "stuck");
            while let Some(Request::Ping(pong)) = requests.recv().await
                && vouched.get() < 3
            {
                let _ = pong.send(());
            }
            drop(requests);
        };
        tokio::join!(vouching, hub);
        assert_eq!(vouched.get(), 3, "well again, then gone");
    }
}
