//! The clock on the wall.

use std::time::SystemTime;

use crate::presence::WallTime;

/// The time now. A clock set before 1970 counts as 1970.
#[expect(
    clippy::disallowed_methods,
    reason = "times that outlive the daemon are told by the clock on the wall"
)]
pub(crate) fn wall_time() -> WallTime {
    let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    WallTime(since_1970.unwrap_or_default())
}
