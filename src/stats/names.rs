//! The table of all metrics.
//!
//! Lives here: names, labels and descriptions, once for StatsD and for OpenMetrics. StatsD has no labels, so there the value of the
//! label follows the name after a dot. Not here: values.

/// Declares [`Counter`] and [`FAMILIES`].
macro_rules! counters {
    ($($family:literal by $label:literal, $help:literal { $($(#[doc = $doc:literal])+ $name:ident = $value:literal,)+ })+) => {
        /// Events that are counted. What any client can cause is counted instead of logged.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Counter {
            $($($(#[doc = $doc])+ $name,)+)+
        }

        impl Counter {
            pub(super) const COUNT: usize = [$($($value,)+)+].len();
        }

        /// All counters, in the order of the page.
        pub(super) static FAMILIES: &[Family] = &[$(Family {
            name: $family,
            label: $label,
            help: $help,
            members: &[$((Counter::$name, $value),)+],
        },)+];
    };
}

/// Counters that differ in the value of one label.
pub(super) struct Family {
    pub(super) name: &'static str,
    pub(super) label: &'static str,
    pub(super) help: &'static str,
    /// Each counter with the value of its label.
    pub(super) members: &'static [(Counter, &'static str)],
}

/// A metric that is no counter.
pub(super) struct Metric {
    pub(super) name: &'static str,
    pub(super) help: &'static str,
}

pub(super) const PEOPLE: Metric = Metric {
    name: "people_connected",
    help: "Distinct users",
};

/// Labelled by version.
pub(super) const VERSIONS: Metric = Metric {
    name: "fe_version",
    help: "Connections by version of the app",
};

/// Labelled by transport and protocol.
pub(super) const CONNECTIONS: Metric = Metric {
    name: "connections",
    help: "Connections in the namespace by transport and version of Engine.IO",
};

pub(super) const SESSIONS: Metric = Metric {
    name: "sessions",
    help: "Open sessions, in the namespace or not",
};

pub(super) const QUEUE_DEPTH: Metric = Metric {
    name: "queue_depth",
    help: "Requests that wait for the hub",
};

/// A timer of StatsD. OpenMetrics does not have it.
pub(super) const STALENESS: &str = "presence.staleness";

/// A histogram of OpenMetrics. StatsD does not have it, because it would take one datagram for each frame.
pub(super) const HUB_LATENCY: Metric = Metric {
    name: "hub_latency_seconds",
    help: "Time from receiving a frame until the messages that are due at once have been queued",
};

counters! {
    "events" by "event", "Frames of browsers that were handed to the hub" {
        /// A browser sent `identify`.
        Identify = "identify",
        /// A browser opened a case.
        StartViewing = "start_viewing_case",
        /// A browser left its case.
        StopViewing = "stop_viewing_case",
    }
    "broadcasts" by "message", "Messages that were sent, each to one connection or many" {
        /// Who views a case.
        PeopleViewing = "people_viewing",
        /// An announcement of an administrator.
        SystemMessage = "system_message",
        /// What the back-end posted.
        Notification = "notification",
    }
    "presence" by "event", "Places of connections that were not closed cleanly" {
        /// A connection was lost, and its place kept.
        PlaceLost = "lost",
        /// A browser came back to its place.
        PlaceResumed = "resumed",
        /// A browser came back while others were viewing its case, who would have seen its user vanish and come back.
        FlickerSuppressed = "flicker_suppressed",
        /// A place ended because its browser did not come back in time.
        PlaceLapsed = "lapsed",
    }
    "frame_rejected" by "reason", "Frames of browsers that were dropped" {
        /// A frame was not as the protocol says.
        FrameMalformed = "malformed",
        /// A frame named an event that does not exist.
        FrameUnknown = "unknown_event",
        /// A frame came with binary attachments.
        FrameBinary = "binary",
    }
    "connection_closed" by "reason", "Connections that the daemon closed" {
        /// A connection sent events too fast.
        EventFlood = "events_per_second",
        /// A connection sent bytes too fast.
        ByteFlood = "bytes_per_second",
        /// Too many frames of a connection were waiting for the hub.
        FrameFlood = "frames_in_flight",
        /// Too many frames of all connections were waiting for the hub.
        InboxFull = "inbox",
        /// Too many messages waited for a client to read them.
        SlowReader = "slow_reader",
        /// Too many bytes waited for a client to read them.
        QueueFull = "queued_bytes",
        /// A websocket message was too long, or data was no websocket frame.
        Unreadable = "unreadable",
        /// A packet was not one of Engine.IO or Socket.IO.
        BadPacket = "bad_packet",
        /// A client did not send a request, or not all of its headers, in time.
        HeaderTimeout = "header_timeout",
    }
    "session_refused" by "reason", "Handshakes that were refused" {
        /// A page of another site tried to connect.
        OriginRefused = "origin",
        /// As many sessions were open as there may be.
        SessionsFull = "sessions",
        /// As many sessions of the client's address were open as there may be.
        AddressFull = "sessions_per_address",
        /// As many sessions of the client's network were open as there may be.
        NetworkFull = "sessions_per_network",
        /// Handshakes came too fast.
        HandshakeFlood = "handshakes_per_second",
        /// Handshakes of the client's address came too fast.
        AddressFlood = "handshakes_per_second_per_address",
        /// Handshakes of the client's network came too fast.
        NetworkFlood = "handshakes_per_second_per_network",
    }
    "upgrade" by "outcome", "Websockets that clients of polling sessions have tried" {
        /// A session has moved to a websocket.
        UpgradeCompleted = "completed",
        /// A websocket carried nothing, or not the right packets. The session stays on polling.
        UpgradeFailed = "failed",
    }
    "x_real_ip" by "outcome", "Handshakes with an X-Real-IP that was not honoured" {
        /// Their sender is not a trusted proxy.
        ProxyUntrusted = "untrusted",
    }
    "session_closed" by "reason", "Sessions that did not join or identify in time" {
        /// A session did not join the namespace in time.
        NeverJoined = "not_joined",
        /// A connection did not identify in time.
        NeverIdentified = "not_identified",
    }
    "request_refused" by "reason", "Requests that were refused; bad_head counts both listeners" {
        /// A request was not HTTP, or its headers were too large.
        BadHead = "bad_head",
        /// A body was too large.
        BodyTooLarge = "message_bytes",
        /// A body took too long to arrive.
        BodyTimeout = "request_timeout",
    }
    "admin_refused" by "reason", "Requests to the admin app that were refused" {
        /// The address of the peer is not allowed.
        AdminAddress = "address",
        /// The host name of the request is not allowed.
        AdminHost = "host",
        /// A page of another site made the request.
        AdminOrigin = "origin",
        /// The body was too large.
        AdminBody = "admin_body_bytes",
        /// The request took too long to arrive or to be answered.
        AdminTimeout = "request_timeout",
    }
    "log" by "outcome", "Lines of the log" {
        /// A line was lost, because it could not be written in time or at all.
        LogLost = "lost",
    }
    "accept" by "outcome", "Connections that could not be accepted at once" {
        /// A connection could not be accepted.
        AcceptFailed = "failed",
        /// As many connections were open as there may be, so the next one had to wait.
        AcceptDelayed = "delayed",
    }
}
