//! When a client must have given a sign of life.
//!
//! Lives here: the pure rule for both versions. Not here: timers (`sweep` for polling, `websocket`).
//!
//! Version 4: the server pings an interval after the last pong, and the pong must come within the time-out. Version 3: the client
//! pings, and the next ping must come within the interval and the time-out.

use engineioxide_core::ProtocolVersion;
use tokio::time::Instant;

use crate::config::EngineIoConfig;

/// The signs of life of one client.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Heartbeat {
    /// When something is to be done unless the client is heard before.
    due: Instant,
    /// Whether the session ends then. Otherwise the client is pinged.
    is_last: bool,
}

/// What is to be done, and when to ask again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Beat {
    /// Nothing.
    Wait(Instant),
    /// The client is to be pinged.
    Ping(Instant),
    /// The session has ended.
    Dead,
}

impl Heartbeat {
    /// The state of a session that begins, and after a sign of life.
    pub(crate) fn heard(now: Instant, version: ProtocolVersion, config: &EngineIoConfig) -> Self {
        match version {
            ProtocolVersion::V3 => Self {
                due: now + config.ping_interval + config.ping_timeout,
                is_last: true,
            },
            ProtocolVersion::V4 => Self {
                due: now + config.ping_interval,
                is_last: false,
            },
        }
    }

    /// Tells what is to be done now. The moment to ask again is early enough whatever is heard meanwhile.
    pub(crate) fn beat(&mut self, now: Instant, config: &EngineIoConfig) -> Beat {
        if now < self.due {
            return Beat::Wait(self.due.min(now + config.ping_interval));
        }
        if self.is_last {
            return Beat::Dead;
        }
        self.due = now + config.ping_timeout;
        self.is_last = true;
        Beat::Ping(self.due.min(now + config.ping_interval))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::config::EngineIoConfigBuilder;

    #[test]
    fn a_client_of_version_4_is_pinged_after_the_interval_and_ends_after_the_time_out() {
        let config = &EngineIoConfig::default();
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut heartbeat = Heartbeat::heard(start, ProtocolVersion::V4, config);
        assert_eq!(heartbeat.beat(at(0), config), Beat::Wait(at(25)));
        assert_eq!(heartbeat.beat(at(25), config), Beat::Ping(at(45)));
        assert_eq!(heartbeat.beat(at(44), config), Beat::Wait(at(45)));
        assert_eq!(heartbeat.beat(at(45), config), Beat::Dead);
        heartbeat = Heartbeat::heard(at(45), ProtocolVersion::V4, config);
        assert_eq!(heartbeat.beat(at(45), config), Beat::Wait(at(70)));
    }

    #[test]
    fn a_pong_is_never_followed_by_a_late_ping() {
        let config = &EngineIoConfigBuilder::new()
            .ping_interval(Duration::from_secs(1))
            .build();
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut heartbeat = Heartbeat::heard(start, ProtocolVersion::V4, config);
        assert_eq!(heartbeat.beat(at(1), config), Beat::Ping(at(2)));
        assert_eq!(heartbeat.beat(at(2), config), Beat::Wait(at(3)));
    }

    #[test]
    fn a_client_of_version_3_pings_by_itself() {
        let config = &EngineIoConfig::default();
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut heartbeat = Heartbeat::heard(start, ProtocolVersion::V3, config);
        assert_eq!(heartbeat.beat(at(44), config), Beat::Wait(at(45)));
        assert_eq!(heartbeat.beat(at(45), config), Beat::Dead);
    }
}
