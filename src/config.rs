//! Configuration: four layers in, one validated [`Config`] out.
//!
//! Lives here: the only reader of files and of the environment, every default, every bound. Not here: acting on a value.
//!
//! | module | says |
//! |---|---|
//! | `keys` | the table: which keys exist, where each one is stored, what it means |
//! | `kind` | how a value of each kind is read, bounded and shown |
//! | `layers` | file, variables and flags, and which of them wins |
//! | `listeners` | what must hold between the addresses of both listeners |
//! | `sockets` | what systemd opens for the daemon |
//! | `problem` | the words in which an operator hears of a mistake |
//! | `reload` | reading the layers again, and which new values a running daemon takes up |
//!
//! Invariants: a [`Config`] that [`load`] returned needs no further check, and a failed [`load`] names every problem at once.
//! A value that a higher layer replaces is not judged: what counts is what would run.

mod keys;
mod kind;
mod layers;
mod listeners;
mod problem;
mod reload;
mod sockets;

#[cfg(test)]
mod tests;

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ipnet::IpNet;

pub(crate) use self::keys::MOST_SESSIONS;
pub use self::keys::{Key, keys};
pub use self::problem::ConfigErrors;
pub use self::reload::{Reload, Settings, Source};
pub use self::sockets::Sockets;

use self::layers::Layers;

/// The file that is read, where it exists, when no other is named.
pub const DEFAULT_PATH: &str = "/etc/cla-socketserver/config.toml";

/// Everything an operator can decide, validated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The Socket.IO listener, for browsers.
    pub public: Public,
    /// How patient presence is with those who are gone.
    pub presence: Presence,
    /// How the daemon takes its leave.
    pub drain: Drain,
    /// The listener of the admin app and health checks.
    pub admin: Admin,
    /// Host names whose pages may connect, in lower case.
    pub site_hostnames: Vec<String>,
    /// Where metrics go.
    pub statsd: Statsd,
    /// What standard error looks like.
    pub log: Log,
    /// How much of the machine strangers may use.
    pub limits: Limits,
}

/// The Socket.IO listener, for browsers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Public {
    /// Addresses to listen on, at least one.
    pub listen: Vec<SocketAddr>,
    /// Time between two heartbeats of Engine.IO.
    pub ping_interval: Duration,
    /// How long a heartbeat may stay unanswered before the connection ends.
    pub ping_timeout: Duration,
    /// The shortest time between two lists of viewers of one case, but for the second one after a quiet time; zero sends
    /// every list.
    pub merge_interval: Duration,
    /// Peers whose word is taken for where a browser connects from.
    pub trusted_proxies: Vec<IpNet>,
}

/// How patient presence is with those who are gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Presence {
    /// How long the place of a lost connection is kept; zero keeps none.
    pub grace: Duration,
    /// The same for places that a daemon has from the one before it.
    pub restart_grace: Duration,
    /// Where places are written for the next daemon, if anywhere.
    pub state_dir: Option<PathBuf>,
}

/// How the daemon takes its leave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drain {
    /// Over how long the closing of connections is spread, at most.
    pub spread: Duration,
}

/// The listener of the admin app and health checks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admin {
    /// Addresses to listen on, at least one, each of them loopback, private, or in a network of `allow_from`.
    pub listen: Vec<SocketAddr>,
    /// Host names in lower case that the admin app answers to, besides IP literals, loopback names and the machine's own.
    pub hostnames: Vec<String>,
    /// Peers that are answered, at least one.
    pub allow_from: Vec<IpNet>,
}

/// Where metrics go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statsd {
    /// Host name or IP address they are sent to; it need not resolve.
    pub host: String,
    /// UDP port they are sent to.
    pub port: u16,
    /// Put before every metric name, with a dot between; may be empty.
    pub prefix: String,
}

/// What standard error looks like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    /// The form of a line.
    pub format: LogFormat,
    /// The least severe level that is written.
    pub level: LogLevel,
}

/// The form of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// For machines: one object a line.
    Json,
}

/// The least severe level that is written, the least talkative first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// A human must act.
    Error,
    /// Degraded but carrying on.
    Warn,
    /// Start, stop, notification sent.
    Info,
    /// Every frame.
    Debug,
    /// Everything.
    Trace,
}

/// How much of the machine strangers may use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Open Engine.IO sessions.
    pub sessions: usize,
    /// Open sessions of one client address; its network may have half of `sessions`, or this if it is more.
    pub sessions_per_address: usize,
    /// New sessions a second in the long run; `sessions` may come at once.
    pub handshakes_per_second: NonZeroU32,
    /// Those of one client address; `sessions_per_address` may come at once.
    pub handshakes_per_second_per_address: NonZeroU32,
    /// Time that a new session has to join the namespace and to identify.
    pub identify_timeout: Duration,
    /// Connections of one user from one browser that are searched when a page reconnects.
    pub connections_per_user: usize,
    /// No effect. Older configuration files set it.
    pub cases: usize,
    /// Events a second that one connection may send in the long run.
    pub events_per_second: NonZeroU32,
    /// Events that it may send at once.
    pub events_burst: NonZeroU32,
    /// Bytes a second that one TCP connection of the public listener may send in the long run.
    pub bytes_per_second: NonZeroU32,
    /// Bytes that wait for one connection before a list for it is one too many.
    pub queued_bytes: usize,
    /// Events that can wait for the hub, at least.
    pub inbox: usize,
    /// Frames of one connection that wait for the hub.
    pub frames_in_flight: usize,
    /// Size of one websocket message or polling body.
    pub message_bytes: usize,
    /// Size of one body that is posted to the admin app.
    pub admin_body_bytes: usize,
    /// Names of app versions that metrics carry at the same time; further ones count as `other`.
    pub versions: usize,
    /// Time a client has for sending its request headers.
    pub header_timeout: Duration,
    /// Time for the rest of a request, and its answer; long polls excepted.
    pub request_timeout: Duration,
    /// Connections to the admin app at once, on all of its addresses together.
    pub admin_connections: usize,
    /// Age of unacknowledged data at which a connection ends.
    pub tcp_user_timeout: Duration,
    /// Time for an orderly stop; what is left then is cut off.
    pub shutdown_grace: Duration,
}

/// What the command line says about configuration.
#[derive(Debug, Clone, Default)]
pub struct Flags {
    /// `--config`: read this file, which must exist, instead of [`DEFAULT_PATH`].
    pub config: Option<PathBuf>,
    /// `--public-listen`: each item one address or several with commas.
    pub public_listen: Vec<String>,
    /// `--admin-listen`: each item one address or several with commas.
    pub admin_listen: Vec<String>,
}

impl Flags {
    /// Whether the command line says nothing about configuration.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.config.is_none() && self.public_listen.is_empty() && self.admin_listen.is_empty()
    }
}

/// A configuration and where its values came from.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The validated values.
    pub config: Config,
    /// The same values for people, with their sources.
    pub effective: Effective,
}

/// Every key with its value and its source, one line each, in the syntax of the config file.
#[derive(Debug, Clone)]
pub struct Effective(Vec<String>);

/// Merges the layers into one configuration: defaults, what systemd grants, file, variables, flags; a later one wins,
/// key by key.
/// Where systemd opens the sockets, their addresses hold, and no layer may say otherwise.
///
/// The environment is an argument, so that a test is as good as a machine.
///
/// # Errors
///
/// Every problem of every layer, at once.
pub fn load(
    flags: &Flags,
    env: impl IntoIterator<Item = (String, String)>,
    sockets: &Sockets,
) -> Result<Loaded, ConfigErrors> {
    load_beside(Path::new(DEFAULT_PATH), flags, env, sockets)
}

/// [`load`] with another default path, for tests.
fn load_beside(
    default_path: &Path,
    flags: &Flags,
    env: impl IntoIterator<Item = (String, String)>,
    sockets: &Sockets,
) -> Result<Loaded, ConfigErrors> {
    let env = env.into_iter().collect();
    let mut layers = Layers::default();
    layers.read_grants(&env);
    match &flags.config {
        Some(path) => layers.read_file(path),
        None => layers.read_file_if_present(default_path),
    }
    layers.read_variables(&env);
    layers.read_flags(flags);
    layers.into_config(sockets)
}

/// The defaults. No other place in the program knows one.
impl Default for Config {
    fn default() -> Self {
        Self {
            public: Public {
                listen: vec![SocketAddr::from((Ipv4Addr::LOCALHOST, 8005))],
                ping_interval: Duration::from_secs(25),
                // Browsers wake hidden tabs once a minute, and only then do those with Engine.IO 3 send their heartbeat.
                ping_timeout: Duration::from_secs(45),
                merge_interval: Duration::from_millis(50),
                trusted_proxies: networks(LOOPBACK),
            },
            presence: Presence {
                grace: Duration::from_secs(15),
                restart_grace: Duration::from_mins(1),
                state_dir: None,
            },
            drain: Drain {
                spread: Duration::from_secs(2),
            },
            admin: Admin {
                listen: vec![SocketAddr::from((Ipv4Addr::LOCALHOST, 8006))],
                hostnames: Vec::new(),
                allow_from: not_public(),
            },
            site_hostnames: Vec::new(),
            statsd: Statsd {
                host: Ipv4Addr::LOCALHOST.to_string(),
                port: 8125,
                prefix: String::new(),
            },
            log: Log {
                format: LogFormat::Text,
                level: LogLevel::Info,
            },
            limits: Limits {
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
                inbox: 4096,
                frames_in_flight: 256,
                message_bytes: 16 * 1024,
                admin_body_bytes: 256 * 1024,
                versions: 100,
                header_timeout: Duration::from_secs(10),
                request_timeout: Duration::from_secs(20),
                admin_connections: 128,
                tcp_user_timeout: Duration::from_secs(30),
                shutdown_grace: Duration::from_secs(10),
            },
        }
    }
}

impl Config {
    /// The warning for a configuration that lets no page connect but those of this machine.
    pub(crate) fn no_site(&self) -> Option<&'static str> {
        let warning = "site_hostname is not set: only pages of this machine may connect; set it to the host name that browsers show";
        self.site_hostnames.is_empty().then_some(warning)
    }
}

/// This machine.
const LOOPBACK: [(IpAddr, u8); 2] = [
    (IpAddr::V4(Ipv4Addr::new(127, 0, 0, 0)), 8),
    (IpAddr::V6(Ipv6Addr::LOCALHOST), 128),
];

/// Networks that the internet cannot route to (RFC 1918, RFC 6598, RFC 4193). AWS lets VPCs have networks of RFC 6598.
const PRIVATE: [(IpAddr, u8); 5] = [
    (IpAddr::V4(Ipv4Addr::new(10, 0, 0, 0)), 8),
    (IpAddr::V4(Ipv4Addr::new(100, 64, 0, 0)), 10),
    (IpAddr::V4(Ipv4Addr::new(172, 16, 0, 0)), 12),
    (IpAddr::V4(Ipv4Addr::new(192, 168, 0, 0)), 16),
    (IpAddr::V6(Ipv6Addr::new(0xfc00, 0, 0, 0, 0, 0, 0, 0)), 7),
];

/// Where staff and the back-end can be.
fn not_public() -> Vec<IpNet> {
    networks(LOOPBACK.into_iter().chain(PRIVATE))
}

fn networks(networks: impl IntoIterator<Item = (IpAddr, u8)>) -> Vec<IpNet> {
    let networks = networks.into_iter();
    networks
        .map(|(address, prefix)| IpNet::new_assert(address, prefix))
        .collect()
}

const fn rate(per_second: u32) -> NonZeroU32 {
    match NonZeroU32::new(per_second) {
        Some(rate) => rate,
        None => NonZeroU32::MIN,
    }
}

impl LogFormat {
    const ALL: [Self; 2] = [Self::Text, Self::Json];

    /// The word for it in the configuration.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Json => "json",
        }
    }
}

impl LogLevel {
    const ALL: [Self; 5] = [
        Self::Error,
        Self::Warn,
        Self::Info,
        Self::Debug,
        Self::Trace,
    ];

    /// The word for it in the configuration.
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

impl fmt::Display for Effective {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}
