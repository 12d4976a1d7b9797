//! The table of keys.
//!
//! Adding a key takes one row here and one field with its default in `values`. Everything else follows from the row: the
//! environment variable, the bounds, the lines in `check`, in the shipped config file and in the manual. Tests name the
//! shipped files to commit and the lists of keys that want another line.

use super::key::Key;
use super::kind::Kind::{
    Addresses, Count, Directory, Format, Host, HostNames, Level, Millis, Networks, Port, Prefix,
    Rate,
};
use super::values::{Config, rate};

/// Every key, in the order of `check` and of the manual. Keys of one tier stand together there.
#[must_use]
pub fn keys() -> &'static [Key] {
    KEYS
}

/// The key with the given name.
pub(super) fn named(name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.name == name)
}

/// A day in milliseconds: long enough for every time-out, and far from the end of any clock.
const DAY: u64 = 24 * HOUR;

const HOUR: u64 = 60 * MINUTE;

const MINUTE: u64 = 60 * 1000;

const MEBIBYTE: usize = 1024 * 1024;

/// Largest value of `limits.sessions`.
pub(crate) const MOST_SESSIONS: usize = 1_000_000;

/// Largest rate of events and handshakes.
const HIGHEST_RATE: u32 = 1_000_000;

static KEYS: &[Key] = &[
    Key::operator(
        "site_hostname",
        HostNames(|c| &mut c.site_hostnames),
        "Host names of the sites whose pages may connect. Pages on loopback names such as `localhost` may always connect.",
    )
    .established("SITE_HOSTNAME"),
    Key::operator(
        "public.listen",
        Addresses(|c| &mut c.public.listen),
        "Addresses of the listener for browsers. It serves Socket.IO and nothing else.",
    )
    .flag(|flags| &flags.public_listen)
    .needs_restart(),
    Key::tuning(
        "public.ping_interval_ms",
        Millis(1..=DAY, |c| &mut c.public.ping_interval),
        "Time between two Engine.IO heartbeats.",
    )
    .needs_restart(),
    Key::tuning(
        "public.ping_timeout_ms",
        Millis(1..=DAY, |c| &mut c.public.ping_timeout),
        "A connection ends when a heartbeat stays unanswered for this time.",
    )
    .needs_restart(),
    Key::tuning(
        "public.merge_interval_ms",
        Millis(0..=10_000, |c| &mut c.public.merge_interval),
        "How long sending the lists of a case may take and still be no reason to wait, at 42 MiB a second. So a case with \
         few viewers gets every list at once, and one with hundreds gets changes that come faster together. 0 sends every \
         list at once.",
    ),
    Key::operator(
        "public.trusted_proxies",
        Networks(0, |c| &mut c.public.trusted_proxies),
        "`X-Real-IP` is honoured only in requests from these addresses. Name every machine that runs nginx.",
    ),
    Key::operator(
        "presence.grace_ms",
        Millis(0..=HOUR, |c| &mut c.presence.grace),
        "The place of a lost connection is kept for this time, so that its browser can come back. 0 keeps no place.",
    ),
    Key::operator(
        "presence.restart_grace_ms",
        Millis(0..=HOUR, |c| &mut c.presence.restart_grace),
        "After a restart of the daemon, the places from before the restart are kept for this time, so that browsers can \
         come back. 0 keeps no place.",
    )
    .needs_restart(),
    Key::operator(
        "presence.state_dir",
        Directory(|c| &mut c.presence.state_dir),
        "Directory in which places are saved for the time after a restart. If it is not set, the `RuntimeDirectory=` of the \
         unit is used. Without any directory, a restart forgets every place.",
    )
    .granted("RUNTIME_DIRECTORY")
    .needs_restart(),
    Key::tuning(
        "drain.spread_ms",
        Millis(0..=MINUTE, |c| &mut c.drain.spread),
        "A stop spreads the closing of connections over this time, so that browsers do not all reconnect at once. \
         Few connections are closed in less time.",
    ),
    Key::operator(
        "admin.listen",
        Addresses(|c| &mut c.admin.listen),
        "Addresses of the listener for the admin app, health checks and metrics. Each must be a loopback address, a private \
         address, or an address in a network that `admin.allow_from` names.",
    )
    .flag(|flags| &flags.admin_listen)
    .needs_restart(),
    Key::operator(
        "admin.hostnames",
        HostNames(|c| &mut c.admin.hostnames),
        "Host names that the admin app answers to. It always answers to IP addresses, loopback names and the host name of \
         the machine.",
    ),
    Key::operator(
        "admin.allow_from",
        Networks(1, |c| &mut c.admin.allow_from),
        "The admin app answers only clients with these addresses.",
    ),
    Key::operator(
        "statsd.host",
        Host(|c| &mut c.statsd.host),
        "Host to which metrics are sent. The daemon works normally when this host is unknown or does not answer.",
    )
    .established("STATSD_HOST")
    .needs_restart(),
    Key::operator(
        "statsd.port",
        Port(|c| &mut c.statsd.port),
        "UDP port to which metrics are sent.",
    )
    .established("STATSD_PORT")
    .needs_restart(),
    Key::operator(
        "statsd.prefix",
        Prefix(|c| &mut c.statsd.prefix),
        "Prefix of every metric name, joined with a dot. Empty means no prefix and no dot.",
    )
    .needs_restart(),
    Key::operator(
        "log.format",
        Format(|c| &mut c.log.format),
        "Format of log lines: `text` for people, `json` for machines.",
    )
    .needs_restart(),
    Key::operator(
        "log.level",
        Level(|c| &mut c.log.level),
        "Least severe level that is logged.",
    ),
    Key::operator(
        "limits.sessions",
        Count(1..=MOST_SESSIONS, |c| &mut c.limits.sessions),
        "Open Engine.IO sessions in total. As many new sessions may arrive at once; in the long run, a tenth of \
         `limits.sessions` may arrive per second, or 1000 if that is more. One client network (IPv4: /24, IPv6: /48) may have \
         half of `limits.sessions` open, or `limits.sessions_per_address` if that is more. At most `limits.sessions` places \
         are kept for lost connections.",
    ),
    Key::operator(
        "limits.sessions_per_address",
        Count(1..=1_000_000, |c| &mut c.limits.sessions_per_address),
        "Open sessions per client address (IPv6: per /64). An office behind NAT counts as one. As many new sessions may \
         arrive from one address at once.",
    ),
    Key::internal(
        "limits.handshakes_per_second",
        Rate(1..=HIGHEST_RATE, |c| &mut c.limits.handshakes_per_second),
        "New sessions per second in total, in the long run.",
    )
    .derived("limits.sessions", handshakes_per_second),
    Key::tuning(
        "limits.handshakes_per_second_per_address",
        Rate(1..=HIGHEST_RATE, |c| &mut c.limits.handshakes_per_second_per_address),
        "New sessions per second and client address, in the long run; `limits.sessions_per_address` may arrive at once. One \
         client network may open half of the new sessions per second that `limits.sessions` allows in total, or as many as \
         one address if that is more.",
    ),
    Key::tuning(
        "limits.identify_timeout_ms",
        Millis(1..=DAY, |c| &mut c.limits.identify_timeout),
        "A new session is closed if it does not join the namespace within this time, or then does not identify within the same \
         time again.",
    )
    .needs_restart(),
    Key::tuning(
        "limits.connections_per_user",
        Count(1..=1_000_000, |c| &mut c.limits.connections_per_user),
        "When a page reconnects, its place is looked for among this many connections of the same user and browser. Lists of \
         viewers are not shortened.",
    ),
    Key::internal(
        "limits.cases",
        Count(1..=1_000_000, |c| &mut c.limits.cases),
        "No effect. Earlier versions limited the number of cases.",
    ),
    Key::tuning(
        "limits.events_per_second",
        Rate(1..=HIGHEST_RATE, |c| &mut c.limits.events_per_second),
        "Events per second that one connection may send, in the long run; ten times as many, and at least 200, may arrive at \
         once. A connection that sends more is closed.",
    ),
    Key::internal(
        "limits.events_burst",
        Rate(1..=HIGHEST_RATE, |c| &mut c.limits.events_burst),
        "Events that one connection may send at once.",
    )
    .derived("limits.events_per_second", events_burst),
    Key::tuning(
        "limits.bytes_per_second",
        Rate(1024..=100 * 1024 * 1024, |c| &mut c.limits.bytes_per_second),
        "Bytes per second that one TCP connection of the public listener may send, in the long run; ten times as many may \
         arrive at once. A connection that sends more is closed.",
    ),
    Key::tuning(
        "limits.queued_bytes",
        Count(1024..=1024 * MEBIBYTE, |c| &mut c.limits.queued_bytes),
        "Bytes that may wait to be sent to one connection. If more bytes or 128 messages wait when another list of viewers is \
         due, the connection is closed.",
    ),
    Key::internal(
        "limits.inbox",
        Count(1..=1_000_000, |c| &mut c.limits.inbox),
        "Events that may wait for the hub.",
    )
    .needs_restart(),
    Key::internal(
        "limits.frames_in_flight",
        Count(1..=65_536, |c| &mut c.limits.frames_in_flight),
        "Frames of one connection that may wait for the hub.",
    ),
    Key::tuning(
        "limits.message_bytes",
        Count(1024..=MEBIBYTE, |c| &mut c.limits.message_bytes),
        "Size in bytes of one websocket message or polling body. A larger message closes its connection; a larger body is \
         answered with status 413.",
    )
    .needs_restart(),
    Key::tuning(
        "limits.admin_body_bytes",
        Count(1024..=16 * MEBIBYTE, |c| &mut c.limits.admin_body_bytes),
        "Size in bytes of one request body of the admin app. A larger body is answered with status 413.",
    ),
    Key::internal(
        "limits.versions",
        Count(1..=1000, |c| &mut c.limits.versions),
        "App versions that metrics name at the same time. Further versions count as `other` until a name is no longer used.",
    )
    .needs_restart(),
    Key::internal(
        "limits.header_timeout_ms",
        Millis(1..=DAY, |c| &mut c.limits.header_timeout),
        "Time in which a client must send its request headers.",
    ),
    Key::internal(
        "limits.request_timeout_ms",
        Millis(1..=DAY, |c| &mut c.limits.request_timeout),
        "Time for the body of a request and for its answer, except for long polls.",
    ),
    Key::internal(
        "limits.admin_connections",
        Count(1..=10_000, |c| &mut c.limits.admin_connections),
        "Open connections to the admin app, divided equally among its addresses. Further connections wait.",
    )
    .needs_restart(),
    Key::tuning(
        "limits.tcp_user_timeout_ms",
        Millis(1..=DAY, |c| &mut c.limits.tcp_user_timeout),
        "A connection ends when data that was sent to it stays unacknowledged for this time.",
    ),
    Key::tuning(
        "limits.shutdown_grace_ms",
        Millis(1..=DAY, |c| &mut c.limits.shutdown_grace),
        "Time for an orderly stop, in addition to `drain.spread_ms`. After this time the daemon exits with code 1.",
    ),
];

/// A tenth of all sessions per second: after a restart, browsers that come back twice are not refused for long.
fn handshakes_per_second(config: &mut Config) {
    const LEAST: u32 = 1000;
    let tenth = u32::try_from(config.limits.sessions / 10).unwrap_or(HIGHEST_RATE);
    config.limits.handshakes_per_second = rate(tenth.max(LEAST));
}

/// Ten seconds of events at once, but at least as many as in the first version, which had a constant.
fn events_burst(config: &mut Config) {
    const LEAST: u32 = 200;
    let tenfold = config.limits.events_per_second.get().saturating_mul(10);
    config.limits.events_burst = rate(tenfold.clamp(LEAST, HIGHEST_RATE));
}
