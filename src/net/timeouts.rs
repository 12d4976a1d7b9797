//! How long a peer may take, and how fast it may send.
//!
//! Lives here: reading both off the limits. Not here: what happens to a peer that exceeds them (`server`, `stream`).

use std::{num::NonZeroU32, time::Duration};

use governor::Quota;

use crate::config::Limits;

/// The seconds in which an idle connection saves up bytes that it may then send at once.
const BURST_SECONDS: NonZeroU32 = NonZeroU32::MIN.saturating_add(9);

/// The time-outs of one connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Timeouts {
    /// From the start of a connection, or the end of a response, to the end of the next request's headers.
    pub(super) header: Duration,
    /// The age of unacknowledged data at which the connection ends. Without it a browser that stops reading stays for ever.
    pub(super) unacknowledged: Duration,
}

impl Timeouts {
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            header: limits.header_timeout,
            unacknowledged: limits.tcp_user_timeout,
        }
    }
}

/// The rate in bytes at which one connection of the public listener may send.
///
/// Connections of the admin listener have none: the back-end posts large bodies all at once.
pub(crate) fn public_rate(limits: &Limits) -> Quota {
    let rate = limits.bytes_per_second;
    Quota::per_second(rate).allow_burst(rate.saturating_mul(BURST_SECONDS))
}
