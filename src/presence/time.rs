//! Moments and times. The core gets them as arguments and never reads a clock.

use std::time::Duration;

/// Time since the daemon started.
pub type Moment = Duration;

/// A time on the clock on the wall, since the beginning of 1970 (UTC). It means the same to the next daemon.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct WallTime(pub Duration);

impl WallTime {
    /// This time and `moment` together.
    pub(super) fn after(self, moment: Moment) -> Self {
        Self(self.0.saturating_add(moment))
    }
}
