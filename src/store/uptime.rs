//! How long the machine has been running: a clock that nobody can set.
//!
//! Lives here: reading it, and comparing two readings. Not here: what is made of it (`store`).

use std::{fs, time::Duration};

use rustix::time::{ClockId, clock_gettime};

/// The id of this boot. The sandbox of the unit hides it.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// Goes on while the machine is suspended.
#[cfg(target_os = "linux")]
const CLOCK: ClockId = ClockId::Boottime;

#[cfg(not(target_os = "linux"))]
const CLOCK: ClockId = ClockId::Monotonic;

/// A reading of that clock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Uptime {
    /// The boot that it counts from, if that can be told.
    pub(super) boot: Option<String>,
    pub(super) time: Duration,
}

impl Uptime {
    pub(super) fn now() -> Self {
        let time = clock_gettime(CLOCK);
        let boot = fs::read_to_string(BOOT_ID).ok();
        Self {
            boot: boot.map(|id| id.trim().to_owned()),
            time: time.try_into().unwrap_or_default(),
        }
    }

    /// The time from `then` until this reading, given the time by the clock on the wall, which somebody may have set. The
    /// machine may have been started again in between.
    pub(super) fn since(&self, then: &Self, by_wall: Duration) -> Duration {
        match self.time.checked_sub(then.time) {
            Some(time) if self.boot == then.boot && self.boot.is_some() => time,
            // A time that is shorter than both clocks say keeps nobody from coming back.
            Some(time) if self.boot.is_none() || then.boot.is_none() => time.min(by_wall),
            Some(_) | None => by_wall,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_clock_on_the_wall_counts_across_a_boot_and_only_the_other_one_within_it() {
        let reading = |(boot, seconds): (&str, u64)| Uptime {
            boot: (!boot.is_empty()).then(|| boot.to_owned()),
            time: Duration::from_secs(seconds),
        };
        for (then, now, by_wall, expected) in [
            (("a", 100), ("a", 105), 5, 5),
            (("a", 100), ("a", 105), 9000, 5),
            (("a", 100), ("a", 105), 0, 5),
            (("a", 100), ("b", 105), 9000, 9000),
            (("a", 100), ("b", 10), 9000, 9000),
            (("", 100), ("", 105), 9000, 5),
            (("", 100), ("", 9100), 5, 5),
            (("", 100), ("", 10), 9000, 9000),
            (("a", 100), ("", 105), 9000, 5),
        ] {
            let [earlier, later] = [then, now].map(reading);
            let since = later.since(&earlier, Duration::from_secs(by_wall));
            assert_eq!(since.as_secs(), expected, "{then:?}, {now:?}, {by_wall}");
        }
    }
}
