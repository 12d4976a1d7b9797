//! The validated configuration: one struct for each section of the file, with the defaults beside it.
//!
//! Lives here: every field and every default. Not here: names, bounds and descriptions of keys (`keys`).
//! Invariant: no other place in the program knows a default.

use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;

use super::networks::{loopback, not_public};

/// Every setting of the daemon, validated.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Config {
    /// The Socket.IO listener, for browsers.
    pub public: Public,
    /// How long places outlive their connections.
    pub presence: Presence,
    /// How a stop closes connections.
    pub drain: Drain,
    /// The listener of the admin app, health checks and metrics.
    pub admin: Admin,
    /// Host names whose pages may connect, in lower case.
    pub site_hostnames: Vec<String>,
    /// The destination of metrics.
    pub statsd: Statsd,
    /// The form of the log.
    pub log: Log,
    /// Bounds on the resources that clients can use.
    pub limits: Limits,
}

/// The Socket.IO listener, for browsers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Public {
    /// Addresses to listen on, at least one.
    pub listen: Vec<SocketAddr>,
    /// Time between two Engine.IO heartbeats.
    pub ping_interval: Duration,
    /// Time after which an unanswered heartbeat ends the connection.
    pub ping_timeout: Duration,
    /// Least time between two viewer lists of one case, except for the second list after a quiet time. Zero sends every list.
    pub merge_interval: Duration,
    /// Peers whose `X-Real-IP` header is honoured.
    pub trusted_proxies: Vec<IpNet>,
}

impl Default for Public {
    fn default() -> Self {
        Self {
            listen: vec![SocketAddr::from((Ipv4Addr::LOCALHOST, 8005))],
            ping_interval: Duration::from_secs(25),
            // Browsers wake a hidden tab once a minute. With Engine.IO 3, the tab sends its heartbeat only then.
            ping_timeout: Duration::from_secs(45),
            merge_interval: Duration::from_millis(50),
            trusted_proxies: loopback(),
        }
    }
}

/// How long places outlive their connections.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Presence {
    /// Time for which the place of a lost connection is kept. Zero keeps no place.
    pub grace: Duration,
    /// Time for which the places of the previous run are kept after a restart. Zero keeps no place.
    pub restart_grace: Duration,
    /// Directory in which places are saved for the next run, if they are saved.
    pub state_dir: Option<PathBuf>,
}

impl Default for Presence {
    fn default() -> Self {
        Self {
            grace: Duration::from_secs(15),
            restart_grace: Duration::from_mins(1),
            state_dir: None,
        }
    }
}

/// How a stop closes connections.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drain {
    /// Longest time over which the closing of connections is spread.
    pub spread: Duration,
}

impl Default for Drain {
    fn default() -> Self {
        Self {
            spread: Duration::from_secs(2),
        }
    }
}

/// The listener of the admin app, health checks and metrics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admin {
    /// Addresses to listen on, at least one. Each is loopback, private, or in a network of `allow_from`.
    pub listen: Vec<SocketAddr>,
    /// Host names in lower case that the admin app answers to, besides IP addresses, loopback names and the machine's name.
    pub hostnames: Vec<String>,
    /// Client addresses that get an answer, at least one network.
    pub allow_from: Vec<IpNet>,
}

impl Default for Admin {
    fn default() -> Self {
        Self {
            listen: vec![SocketAddr::from((Ipv4Addr::LOCALHOST, 8006))],
            hostnames: Vec::new(),
            allow_from: not_public(),
        }
    }
}

/// The destination of metrics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statsd {
    /// Host name or IP address. It need not resolve.
    pub host: String,
    /// UDP port.
    pub port: u16,
    /// Prefix of every metric name, joined with a dot. May be empty.
    pub prefix: String,
}

impl Default for Statsd {
    fn default() -> Self {
        Self {
            host: Ipv4Addr::LOCALHOST.to_string(),
            port: 8125,
            prefix: String::new(),
        }
    }
}

/// The form of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    /// Form of a line.
    pub format: LogFormat,
    /// Least severe level that is written.
    pub level: LogLevel,
}

impl Default for Log {
    fn default() -> Self {
        Self {
            format: LogFormat::Text,
            level: LogLevel::Info,
        }
    }
}

/// Form of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// Text for people.
    Text,
    /// One JSON object per line.
    Json,
}

impl LogFormat {
    pub(super) const ALL: [Self; 2] = [Self::Text, Self::Json];

    /// Name of the format in the configuration.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Json => "json",
        }
    }
}

/// Least severe level that is written. The order is from the fewest lines to the most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// A human must act.
    Error,
    /// The daemon carries on, but something is degraded.
    Warn,
    /// Start, stop and messages sent.
    Info,
    /// Every frame.
    Debug,
    /// Everything.
    Trace,
}

impl LogLevel {
    pub(super) const ALL: [Self; 5] = [
        Self::Error,
        Self::Warn,
        Self::Info,
        Self::Debug,
        Self::Trace,
    ];

    /// Name of the level in the configuration.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }
}

/// Bounds on the resources that clients can use. [`Limits::admission`] derives the bounds on sessions and handshakes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Open Engine.IO sessions in total.
    pub sessions: usize,
    /// Open sessions per client address.
    pub sessions_per_address: usize,
    /// New sessions per second in total, in the long run.
    pub handshakes_per_second: NonZeroU32,
    /// New sessions per second and client address, in the long run.
    pub handshakes_per_second_per_address: NonZeroU32,
    /// Time in which a new session must join the namespace and identify.
    pub identify_timeout: Duration,
    /// Connections of one user from one browser that are searched when a page reconnects.
    pub connections_per_user: usize,
    /// No effect. Older configuration files set it.
    pub cases: usize,
    /// Events per second that one connection may send, in the long run.
    pub events_per_second: NonZeroU32,
    /// Events that one connection may send at once.
    pub events_burst: NonZeroU32,
    /// Bytes per second that one TCP connection of the public listener may send, in the long run.
    pub bytes_per_second: NonZeroU32,
    /// Bytes that may wait to be sent to one connection. A viewer list that finds more waiting closes the connection.
    pub queued_bytes: usize,
    /// Events that may wait for the hub.
    pub inbox: usize,
    /// Frames of one connection that may wait for the hub.
    pub frames_in_flight: usize,
    /// Size of one websocket message or polling body, in bytes.
    pub message_bytes: usize,
    /// Size of one request body of the admin app, in bytes.
    pub admin_body_bytes: usize,
    /// App versions that metrics name at the same time. Further versions count as `other`.
    pub versions: usize,
    /// Time in which a client must send its request headers.
    pub header_timeout: Duration,
    /// Time for the rest of a request and for its answer, except for long polls.
    pub request_timeout: Duration,
    /// Open connections to the admin app, on all of its addresses together.
    pub admin_connections: usize,
    /// Age of unacknowledged data at which a connection ends.
    pub tcp_user_timeout: Duration,
    /// Time for an orderly stop. Connections that are still open then are cut.
    pub shutdown_grace: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            sessions: 10_000,
            sessions_per_address: 2500,
            handshakes_per_second: rate(1000),
            handshakes_per_second_per_address: rate(250),
            identify_timeout: Duration::from_secs(30),
            connections_per_user: 100,
            cases: 20_000,
            events_per_second: rate(20),
            events_burst: rate(200),
            bytes_per_second: rate(64 * 1024),
            queued_bytes: 256 * 1024,
            inbox: 16_384,
            frames_in_flight: 256,
            message_bytes: 16 * 1024,
            admin_body_bytes: 256 * 1024,
            versions: 100,
            header_timeout: Duration::from_secs(10),
            request_timeout: Duration::from_secs(20),
            admin_connections: 128,
            tcp_user_timeout: Duration::from_secs(30),
            shutdown_grace: Duration::from_secs(10),
        }
    }
}

pub(super) const fn rate(per_second: u32) -> NonZeroU32 {
    match NonZeroU32::new(per_second) {
        Some(rate) => rate,
        None => NonZeroU32::MIN,
    }
}

impl Config {
    /// A warning, if only pages of this machine may connect.
    pub(crate) fn no_site(&self) -> Option<&'static str> {
        let warning = "site_hostname is not set: only pages of this machine may connect; set it to the host name that browsers show";
        self.site_hostnames.is_empty().then_some(warning)
    }
}
