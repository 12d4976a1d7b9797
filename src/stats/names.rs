//! The table of every metric.
//!
//! Lives here: names, labels and what they mean, once for StatsD and for the page. StatsD knows no labels, so there the
//! value of a label follows the name after a dot. Not here: values.

/// Declares [`Counter`] and [`FAMILIES`].
macro_rules! counters {
    ($($family:literal by $label:literal, $help:literal { $($(#[doc = $doc:literal])+ $name:ident = $value:literal,)+ })+) => {
        /// Things that happen. What strangers can make happen is counted and not logged.
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

/// Counters that differ in one label.
pub(super) struct Family {
    pub(super) name: &'static str,
    pub(super) label: &'static str,
    pub(super) help: &'static str,
    /// Each with the value of its label.
    pub(super) members: &'static [(Counter, &'static str)],
}

/// A number that is read rather than counted.
pub(super) struct Gauge {
    pub(super) name: &'static str,
    pub(super) help: &'static str,
}

pub(super) const PEOPLE: Gauge = Gauge {
    name: "people_connected",
    help: "Distinct users",
};

/// Labelled by version.
pub(super) const VERSIONS: Gauge = Gauge {
    name: "fe_version",
    help: "Connections by version of the app",
};

/// Labelled by transport and protocol.
pub(super) const CONNECTIONS: Gauge = Gauge {
    name: "connections",
    help: "Connections in the namespace by transport and version of Engine.IO",
};

pub(super) const SESSIONS: Gauge = Gauge {
    name: "sessions",
    help: "Open sessions, in the namespace or not",
};

pub(super) const QUEUE_DEPTH: Gauge = Gauge {
    name: "queue_depth",
    help: "What waits for the hub",
};

/// A timer of StatsD, which the page does not show.
pub(super) const STALENESS: &str = "presence.staleness";

/// A histogram of the page, which StatsD is not sent: it would be one datagram for each frame.
pub(super) const HUB_LATENCY: Gauge = Gauge {
    name: "hub_latency_seconds",
    help: "From the arrival of a frame until everybody has been sent what follows from it",
};

counters! {
    "events" by "event", "Frames of browsers that were handed to the hub" {
        /// A browser said whose it is.
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
    "presence" by "event", "What became of connections that ended without a goodbye" {
        /// A connection was lost, and its place kept.
        PlaceLost = "lost",
        /// A browser came back to its place.
        PlaceResumed = "resumed",
        /// Others never saw somebody vanish and come back.
        FlickerSuppressed = "flicker_suppressed",
        /// Nobody came back to a place in time.
        PlaceLapsed = "lapsed",
    }
    "frame_rejected" by "reason", "Frames of browsers that were dropped" {
        /// A frame was not what the protocol says.
        FrameMalformed = "malformed",
        /// A frame named an event that does not exist.
        FrameUnknown = "unknown_event",
        /// A frame came with binary attachments.
        FrameBinary = "binary",
    }
    "connection_closed" by "reason", "Connections that the daemon closed because of what they did" {
        /// A connection sent events faster than one may.
        EventFlood = "events_per_second",
        /// A connection sent bytes faster than one may.
        ByteFlood = "bytes_per_second",
        /// Too many frames of a connection were waiting for the hub.
        FrameFlood = "frames_in_flight",
        /// Too many frames of all connections were.
        InboxFull = "inbox",
        /// A connection did not take what it was sent, so many messages of it.
        SlowReader = "slow_reader",
        /// A connection did not take what it was sent, so many bytes of it.
        QueueFull = "queued_bytes",
        /// What came over a websocket was too long, or no websocket frame.
        Unreadable = "unreadable",
        /// What came was no packet of Engine.IO or Socket.IO.
        BadPacket = "bad_packet",
        /// A client did not send its headers in time, or asked for nothing.
        HeaderTimeout = "header_timeout",
    }
    "session_refused" by "reason", "Handshakes that were refused" {
        /// A page of a foreign origin asked to connect.
        OriginRefused = "origin",
        /// There were as many sessions as there may be.
        SessionsFull = "sessions",
        /// There were as many of the client's address.
        AddressFull = "sessions_per_address",
        /// There were as many of the client's network.
        NetworkFull = "sessions_per_network",
        /// Handshakes came faster than they may.
        HandshakeFlood = "handshakes_per_second",
        /// Those of the client's address did.
        AddressFlood = "handshakes_per_second_per_address",
        /// Those of the client's network did.
        NetworkFlood = "handshakes_per_second_per_network",
    }
    "upgrade" by "outcome", "Websockets that clients of polling sessions have tried" {
        /// A session has moved to a websocket.
        UpgradeCompleted = "completed",
        /// Nothing got through, or not what belongs there: the session stays on polling.
        UpgradeFailed = "failed",
    }
    "x_real_ip" by "outcome", "Handshakes with an X-Real-IP that was not honoured" {
        /// Their sender is not a trusted proxy.
        ProxyUntrusted = "untrusted",
    }
    "session_closed" by "reason", "Sessions that were closed because they stayed strangers" {
        /// A session did not join the namespace in time.
        NeverJoined = "not_joined",
        /// A connection did not say in time whose it is.
        NeverIdentified = "not_identified",
    }
    "request_refused" by "reason", "Requests to the public listener that were refused" {
        /// What came is no HTTP, or its headers are too large.
        BadHead = "bad_head",
        /// A body was too large.
        BodyTooLarge = "message_bytes",
        /// A body took too long to arrive.
        BodyTimeout = "request_timeout",
    }
    "admin_refused" by "reason", "Requests to the admin app that were refused" {
        /// The peer is none of those who may use it.
        AdminAddress = "address",
        /// The request was for a host name that is not ours.
        AdminHost = "host",
        /// A page of another site made the request.
        AdminOrigin = "origin",
        /// The body was too large.
        AdminBody = "admin_body_bytes",
        /// The body took too long to arrive.
        AdminTimeout = "request_timeout",
    }
    "log" by "outcome", "Lines of the log" {
        /// A line was lost, because it could not be written in time or at all.
        LogLost = "lost",
    }
    "accept" by "outcome", "Connections that could not be accepted at once" {
        /// A connection could not be accepted.
        AcceptFailed = "failed",
        /// As many connections were open as there may be, and the next had to wait.
        AcceptDelayed = "delayed",
    }
}
