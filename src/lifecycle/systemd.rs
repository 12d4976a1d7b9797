//! Telling systemd about the daemon.
//!
//! Lives here: readiness, status and watchdog by sd-notify. Without systemd all of it does nothing.

use std::time::Duration;

use sd_notify::NotifyState;
use tokio::{
    sync::watch,
    time::{interval, sleep, timeout},
};
use tracing::{debug, warn};

use crate::{hub::HubHandle, presence::Census};

/// The shortest time between two status texts. systemd does not log them, but has to parse each.
const STATUS_PAUSE: Duration = Duration::from_secs(1);

/// Tells systemd that the daemon serves, and the number of people. People of the daemon before this one count.
pub(crate) fn ready(count: usize) {
    notify(&[NotifyState::Ready, NotifyState::Status(&people(count))]);
}

/// Tells systemd that the daemon is reloading its configuration. `systemctl reload` then waits for [`reloaded`].
pub(crate) fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => notify(&[NotifyState::Reloading, now]),
        Err(error) => debug!(%error, "cannot tell the time to systemd: {error}"),
    }
}

/// Tells systemd that the reload is over, and its outcome.
pub(crate) fn reloaded(outcome: &str) {
    notify(&[NotifyState::Ready, NotifyState::Status(outcome)]);
}

/// Tells systemd that the daemon is draining and how long that may take. `systemctl stop` then shows a daemon that drains, not
/// one that hangs.
pub(crate) fn stopping(time: Duration) {
    // The most that the message can hold is more than an hour.
    let time = u32::try_from(time.as_micros()).unwrap_or(u32::MAX);
    notify(&[
        NotifyState::Stopping,
        NotifyState::ExtendTimeoutUsec(time),
        NotifyState::Status("draining"),
    ]);
}

/// Keeps the number of people in `systemctl status` current, until the hub has ended.
pub(crate) async fn announce(mut census: watch::Receiver<Census>) {
    while census.changed().await.is_ok() {
        let status = people(census.borrow_and_update().people);
        notify(&[NotifyState::Status(&status)]);
        sleep(STATUS_PAUSE).await;
    }
}

/// Pings the watchdog of systemd as long as the hub answers. A timer that pings by itself would prove only that a timer works.
///
/// Returns when the hub has ended, or at once if the unit has no watchdog.
pub(crate) async fn watch(hub: HubHandle) {
    if let Some(limit) = sd_notify::watchdog_enabled() {
        ping_while_alive(hub, limit / 3, || notify(&[NotifyState::Watchdog])).await;
    }
}

/// Calls `alive` once in every `pause` in which the hub has answered, until it has ended.
async fn ping_while_alive(hub: HubHandle, pause: Duration, alive: impl Fn()) {
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
    use crate::hub::{Recorder, registry};

    #[tokio::test(start_paused = true)]
    async fn a_hub_that_does_not_answer_stops_the_pings() {
        let (handle, hub, inbox) = Recorder::default().hub(registry());
        let pause = Duration::from_secs(10);
        let pings = Cell::new(0);
        let pinging = ping_while_alive(handle.clone(), pause, || pings.set(pings.get() + 1));
        let hub = async {
            sleep(pause * 5).await;
            assert_eq!(pings.get(), 0, "the hub is stuck");
            hub.run(inbox).await;
        };
        let end = async {
            sleep(pause * 8).await;
            handle.finish().await.unwrap();
        };
        tokio::join!(pinging, hub, end);
        assert_eq!(pings.get(), 3, "the hub answered three times, and ended");
    }
}
