//! The table of keys.
//!
//! Lives here: which keys exist, in the order operators see them. A new key is a field in [`Config`], its
//! default, and a row here; the name of its variable, its bounds, its place in `check` and in the docs follow.

use super::kind::Kind::{
    self, Addresses, Count, Directory, Format, Host, HostNames, Level, Millis, Networks, Port,
    Prefix, Rate,
};
use super::{Config, Flags};

/// One thing that an operator can set.
#[derive(Debug)]
pub struct Key {
    /// The name in the config file, such as `public.listen`.
    pub name: &'static str,
    /// What it decides, in one line.
    pub doc: &'static str,
    /// A variable of the earlier server that still counts, below the one called [`Key::variable`].
    pub established: Option<&'static str>,
    /// A variable in which systemd names what it grants to the unit. It counts below the file.
    pub(super) granted: Option<&'static str>,
    /// Whether a new value takes effect at the next start only; others do at a reload.
    pub needs_restart: bool,
    /// What its values look like and where they are stored.
    pub(super) kind: Kind,
    /// Its flag, where it has one.
    pub(super) flag: Option<fn(&Flags) -> &[String]>,
}

/// Every key, in the order of the shipped config file.
#[must_use]
pub fn keys() -> &'static [Key] {
    KEYS
}

/// A day: long enough for every time-out, and far from the end of any clock.
const DAY: u64 = 24 * 60 * 60 * 1000;

const HOUR: u64 = 60 * 60 * 1000;

const MINUTE: u64 = 60 * 1000;

const MEBIBYTE: usize = 1024 * 1024;

/// As many sessions as can be allowed.
pub(crate) const MOST_SESSIONS: usize = 1_000_000;

static KEYS: &[Key] = &[
    Key::new(
        "site_hostname",
        HostNames(|c| &mut c.site_hostnames),
        "host names whose pages may connect, besides loopback names",
    )
    .established("SITE_HOSTNAME"),
    Key::new(
        "public.listen",
        Addresses(|c| &mut c.public.listen),
        "addresses for browsers: Socket.IO and nothing else",
    )
    .flag(|flags| &flags.public_listen)
    .needs_restart(),
    Key::new(
        "public.ping_interval_ms",
        Millis(1..=DAY, |c| &mut c.public.ping_interval),
        "time between two heartbeats",
    )
    .needs_restart(),
    Key::new(
        "public.ping_timeout_ms",
        Millis(1..=DAY, |c| &mut c.public.ping_timeout),
        "how long a heartbeat may stay unanswered before the connection ends",
    )
    .needs_restart(),
    Key::new(
        "public.merge_interval_ms",
        Millis(0..=10_000, |c| &mut c.public.merge_interval),
        "after the first two changes of a quiet case, at most one list of viewers in this time; 0 sends every list",
    ),
    Key::new(
        "public.trusted_proxies",
        Networks(0, |c| &mut c.public.trusted_proxies),
        "addresses of nginx: who connects from there is taken at the word of X-Real-IP for where a browser is",
    ),
    Key::new(
        "presence.grace_ms",
        Millis(0..=HOUR, |c| &mut c.presence.grace),
        "how long the place of a lost connection is kept for its browser to come back; 0 keeps none",
    ),
    Key::new(
        "presence.restart_grace_ms",
        Millis(0..=HOUR, |c| &mut c.presence.restart_grace),
        "the same after a restart of the daemon; 0 forgets everybody at a restart",
    )
    .needs_restart(),
    Key::new(
        "presence.state_dir",
        Directory(|c| &mut c.presence.state_dir),
        "where places are written for the next daemon, instead of RuntimeDirectory= of the unit; with neither, a restart forgets everybody",
    )
    .granted("RUNTIME_DIRECTORY")
    .needs_restart(),
    Key::new(
        "drain.spread_ms",
        Millis(0..=MINUTE, |c| &mut c.drain.spread),
        "a stop closes connections spread over this time, or faster if they are few, so that browsers do not all return at once",
    ),
    Key::new(
        "admin.listen",
        Addresses(|c| &mut c.admin.listen),
        "addresses for the admin app and health checks: loopback, private, or in a network that admin.allow_from names",
    )
    .flag(|flags| &flags.admin_listen)
    .needs_restart(),
    Key::new(
        "admin.hostnames",
        HostNames(|c| &mut c.admin.hostnames),
        "host names the admin app answers to, besides IP addresses, loopback names and the machine's own name",
    ),
    Key::new(
        "admin.allow_from",
        Networks(1, |c| &mut c.admin.allow_from),
        "who may use the admin app, by address",
    ),
    Key::new(
        "statsd.host",
        Host(|c| &mut c.statsd.host),
        "where StatsD listens; an unknown or silent host harms nobody",
    )
    .established("STATSD_HOST")
    .needs_restart(),
    Key::new(
        "statsd.port",
        Port(|c| &mut c.statsd.port),
        "the UDP port of StatsD",
    )
    .established("STATSD_PORT")
    .needs_restart(),
    Key::new(
        "statsd.prefix",
        Prefix(|c| &mut c.statsd.prefix),
        "put before every metric name, with a dot between",
    )
    .needs_restart(),
    Key::new(
        "log.format",
        Format(|c| &mut c.log.format),
        "text for people, json for machines",
    )
    .needs_restart(),
    Key::new(
        "log.level",
        Level(|c| &mut c.log.level),
        "the least severe level that is written",
    ),
    Key::new(
        "limits.sessions",
        Count(1..=MOST_SESSIONS, |c| &mut c.limits.sessions),
        "open Engine.IO sessions",
    ),
    Key::new(
        "limits.sessions_per_address",
        Count(1..=1_000_000, |c| &mut c.limits.sessions_per_address),
        "open sessions of one client address (IPv6: /64), as an office behind NAT has; its network (IPv4: /24, IPv6: /48) may have half of limits.sessions, or as many as one address if that is more",
    ),
    Key::new(
        "limits.handshakes_per_second",
        Rate(1..=1_000_000, |c| &mut c.limits.handshakes_per_second),
        "new sessions a second in the long run; limits.sessions may come at once",
    ),
    Key::new(
        "limits.handshakes_per_second_per_address",
        Rate(1..=1_000_000, |c| &mut c.limits.handshakes_per_second_per_address),
        "new sessions a second of one client address, and limits.sessions_per_address at once; its network may have half of limits.handshakes_per_second, or as many as one address if that is more",
    ),
    Key::new(
        "limits.identify_timeout_ms",
        Millis(1..=DAY, |c| &mut c.limits.identify_timeout),
        "time that a new session has to join the namespace and to say who it is",
    )
    .needs_restart(),
    Key::new(
        "limits.connections_per_user",
        Count(1..=1_000_000, |c| &mut c.limits.connections_per_user),
        "connections of one user from one browser that are searched when a page reconnects and looks for its place; all connections are listed, however many claim the name",
    ),
    Key::new(
        "limits.cases",
        Count(1..=1_000_000, |c| &mut c.limits.cases),
        "no effect: every connection can view a case, so limits.sessions is the bound; accepted so that older configuration files stay valid",
    ),
    Key::new(
        "limits.events_per_second",
        Rate(1..=1_000_000, |c| &mut c.limits.events_per_second),
        "events a second that one connection may send in the long run; beyond that it is closed",
    ),
    Key::new(
        "limits.events_burst",
        Rate(1..=1_000_000, |c| &mut c.limits.events_burst),
        "events that one connection may send at once",
    ),
    Key::new(
        "limits.bytes_per_second",
        Rate(1024..=100 * 1024 * 1024, |c| &mut c.limits.bytes_per_second),
        "bytes a second that one TCP connection may send in the long run, and ten times as many at once; beyond that it is closed",
    ),
    Key::new(
        "limits.queued_bytes",
        Count(1024..=1024 * MEBIBYTE, |c| &mut c.limits.queued_bytes),
        "bytes that may wait for one connection when it is sent a list; with more, or with 128 messages, it is closed",
    ),
    Key::new(
        "limits.inbox",
        Count(1..=1_000_000, |c| &mut c.limits.inbox),
        "events for which there is always room to wait for the hub",
    )
    .needs_restart(),
    Key::new(
        "limits.frames_in_flight",
        Count(1..=65_536, |c| &mut c.limits.frames_in_flight),
        "frames of one connection that wait for the hub",
    ),
    Key::new(
        "limits.message_bytes",
        Count(1024..=MEBIBYTE, |c| &mut c.limits.message_bytes),
        "size of one websocket message or polling body",
    )
    .needs_restart(),
    Key::new(
        "limits.admin_body_bytes",
        Count(1024..=16 * MEBIBYTE, |c| &mut c.limits.admin_body_bytes),
        "size of one body that is posted to the admin app",
    ),
    Key::new(
        "limits.versions",
        Count(1..=1000, |c| &mut c.limits.versions),
        "names of app versions in metrics at the same time; further versions count as `other` until a name is no longer used",
    )
    .needs_restart(),
    Key::new(
        "limits.header_timeout_ms",
        Millis(1..=DAY, |c| &mut c.limits.header_timeout),
        "time a client has for sending its request headers",
    ),
    Key::new(
        "limits.request_timeout_ms",
        Millis(1..=DAY, |c| &mut c.limits.request_timeout),
        "time for the body of a request and the answer to it, but for long polls",
    ),
    Key::new(
        "limits.admin_connections",
        Count(1..=10_000, |c| &mut c.limits.admin_connections),
        "connections to the admin app at once, shared out equally among its addresses; further ones wait",
    )
    .needs_restart(),
    Key::new(
        "limits.tcp_user_timeout_ms",
        Millis(1..=DAY, |c| &mut c.limits.tcp_user_timeout),
        "a connection ends when data it was sent stays unacknowledged for this long",
    ),
    Key::new(
        "limits.shutdown_grace_ms",
        Millis(1..=DAY, |c| &mut c.limits.shutdown_grace),
        "time for an orderly stop, beyond drain.spread_ms; after that the daemon exits 1",
    ),
];

impl Key {
    /// The key with that name.
    pub(super) fn named(name: &str) -> Option<&'static Self> {
        KEYS.iter().find(|key| key.name == name)
    }

    /// Its variable, such as `CLA_PUBLIC__LISTEN`.
    ///
    /// Two underscores for a dot: with one, nothing could tell it from the underscore inside a word.
    #[must_use]
    pub fn variable(&self) -> String {
        format!("CLA_{}", self.name.replace('.', "__").to_uppercase())
    }

    /// Its flag, such as `--public-listen`, where it has one.
    #[must_use]
    pub fn flag_name(&self) -> Option<String> {
        self.flag
            .map(|_| format!("--{}", self.name.replace(['.', '_'], "-")))
    }

    /// Its default, as the config file would say it.
    #[must_use]
    pub fn default_text(&self) -> String {
        self.kind.show(&mut Config::default())
    }

    /// What it accepts, as the end of the sentence "it must be …".
    #[must_use]
    pub fn accepts(&self) -> String {
        self.kind.accepts()
    }

    /// What it decides and what it accepts, as the manuals say it.
    #[must_use]
    pub fn manual(&self) -> String {
        let restart = if self.needs_restart {
            "; a change needs a restart"
        } else {
            ""
        };
        format!("{}; {}{restart}", self.doc, self.accepts())
    }

    const fn new(name: &'static str, kind: Kind, doc: &'static str) -> Self {
        Self {
            name,
            doc,
            established: None,
            granted: None,
            needs_restart: false,
            kind,
            flag: None,
        }
    }

    const fn established(mut self, variable: &'static str) -> Self {
        self.established = Some(variable);
        self
    }

    const fn granted(mut self, variable: &'static str) -> Self {
        self.granted = Some(variable);
        self
    }

    const fn needs_restart(mut self) -> Self {
        self.needs_restart = true;
        self
    }

    const fn flag(mut self, given: fn(&Flags) -> &[String]) -> Self {
        self.flag = Some(given);
        self
    }
}
