//! Claims about the table of keys.

use std::collections::BTreeSet;
use std::time::Duration;

use super::super::key::{Key, Tier};
use super::super::keys::{keys, named};
use super::super::values::{
    Admin, Config, Drain, Limits, Log, LogFormat, LogLevel, Presence, Public, Statsd, rate,
};
use super::case::Case;

#[test]
fn the_table_gives_every_key_a_default_that_it_accepts_a_variable_and_a_line_of_doc() {
    let mut variables = BTreeSet::new();
    for key in keys() {
        let text = format!("{} = {}", key.name, key.default_text());
        assert_eq!(Case::new().file(&text).load().config, Config::default());
        assert!(!key.doc.is_empty() && !key.accepts().is_empty());
        assert!(variables.insert(key.variable()), "{}", key.name);
    }
    let listen = named("public.listen").unwrap();
    assert_eq!(listen.variable(), "CLA_PUBLIC__LISTEN");
    assert_eq!(listen.flag_name().unwrap(), "--public-listen");
    assert_eq!(listen.default_text(), r#"["127.0.0.1:8005"]"#);
}

#[test]
fn every_field_can_be_set_by_its_variable() {
    let variables = [
        (
            "CLA_SITE_HOSTNAME",
            "Cases.Example.org:8443, other.example.org",
        ),
        ("CLA_PUBLIC__LISTEN", "127.0.0.1:1,[::1]:1"),
        ("CLA_PUBLIC__PING_INTERVAL_MS", "2"),
        ("CLA_PUBLIC__PING_TIMEOUT_MS", "3"),
        ("CLA_PUBLIC__MERGE_INTERVAL_MS", "0"),
        ("CLA_PUBLIC__TRUSTED_PROXIES", "10.0.1.10, fd00::/8"),
        ("CLA_PRESENCE__GRACE_MS", "13"),
        ("CLA_PRESENCE__RESTART_GRACE_MS", "14"),
        ("CLA_PRESENCE__STATE_DIR", "/var/lib/presence"),
        ("CLA_DRAIN__SPREAD_MS", "15"),
        ("CLA_ADMIN__LISTEN", "10.0.0.1:4"),
        ("CLA_ADMIN__HOSTNAMES", "Socketserver"),
        ("CLA_ADMIN__ALLOW_FROM", "10.0.2.0/24"),
        ("CLA_STATSD__HOST", "metrics.internal."),
        ("CLA_STATSD__PORT", "5"),
        ("CLA_STATSD__PREFIX", "cla.live-1_"),
        ("CLA_LOG__FORMAT", "json"),
        ("CLA_LOG__LEVEL", "trace"),
        ("CLA_LIMITS__SESSIONS", "6"),
        ("CLA_LIMITS__SESSIONS_PER_ADDRESS", "16"),
        ("CLA_LIMITS__HANDSHAKES_PER_SECOND", "17"),
        ("CLA_LIMITS__HANDSHAKES_PER_SECOND_PER_ADDRESS", "18"),
        ("CLA_LIMITS__IDENTIFY_TIMEOUT_MS", "19"),
        ("CLA_LIMITS__CONNECTIONS_PER_USER", "20"),
        ("CLA_LIMITS__CASES", "21"),
        ("CLA_LIMITS__EVENTS_PER_SECOND", "22"),
        ("CLA_LIMITS__EVENTS_BURST", "23"),
        ("CLA_LIMITS__BYTES_PER_SECOND", "1028"),
        ("CLA_LIMITS__QUEUED_BYTES", "1027"),
        ("CLA_LIMITS__INBOX", "7"),
        ("CLA_LIMITS__FRAMES_IN_FLIGHT", "8"),
        ("CLA_LIMITS__MESSAGE_BYTES", "1025"),
        ("CLA_LIMITS__ADMIN_BODY_BYTES", "1026"),
        ("CLA_LIMITS__VERSIONS", "9"),
        ("CLA_LIMITS__HEADER_TIMEOUT_MS", "10"),
        ("CLA_LIMITS__REQUEST_TIMEOUT_MS", "25"),
        ("CLA_LIMITS__ADMIN_CONNECTIONS", "26"),
        ("CLA_LIMITS__TCP_USER_TIMEOUT_MS", "11"),
        ("CLA_LIMITS__SHUTDOWN_GRACE_MS", "12"),
    ];
    assert_eq!(
        variables.map(|(name, _)| name).to_vec(),
        keys().iter().map(Key::variable).collect::<Vec<_>>()
    );
    let case = variables
        .into_iter()
        .fold(Case::new(), |case, (name, text)| case.variable(name, text));
    assert_eq!(case.load().config, nothing_left_at_its_default());
}

#[test]
fn each_tier_has_its_keys() {
    for (tier, expected) in [
        (Tier::Operator, 16),
        (Tier::Tuning, 14),
        (Tier::Internal, 9),
    ] {
        let keys = keys().iter().filter(|key| key.tier == tier);
        assert_eq!(keys.count(), expected, "{tier:?}");
    }
}

#[test]
fn a_default_that_follows_from_another_key_is_the_default() {
    for key in keys() {
        let Some(derived) = &key.derived else {
            continue;
        };
        let mut config = Config::default();
        (derived.apply)(&mut config);
        assert_eq!(config, Config::default(), "{}", key.name);
        assert!(named(derived.from).is_some(), "{}", derived.from);
    }
}

#[test]
fn handshakes_follow_sessions_unless_they_are_set() {
    for (file, expected) in [
        ("limits.sessions = 1", 1000),
        ("limits.sessions = 10000", 1000),
        ("limits.sessions = 20000", 2000),
        ("limits.sessions = 1000000", 100_000),
        (
            "limits.sessions = 20000\nlimits.handshakes_per_second = 5",
            5,
        ),
    ] {
        let limits = Case::new().file(file).load().config.limits;
        assert_eq!(limits.handshakes_per_second.get(), expected, "{file}");
    }
}

#[test]
fn a_burst_of_events_follows_their_rate_unless_it_is_set() {
    for (file, expected) in [
        ("limits.events_per_second = 1", 200),
        ("limits.events_per_second = 30", 300),
        ("limits.events_per_second = 1000000", 1_000_000),
        ("limits.events_per_second = 30\nlimits.events_burst = 7", 7),
    ] {
        let limits = Case::new().file(file).load().config.limits;
        assert_eq!(limits.events_burst.get(), expected, "{file}");
    }
}

#[test]
fn an_internal_key_that_is_set_counts_and_is_noted() {
    let case = Case::new()
        .file("limits.inbox = 7\nlimits.sessions = 8")
        .variable("CLA_LIMITS__CASES", "9");
    let loaded = case.load();
    assert_eq!(loaded.config.limits.inbox, 7);
    let notes = loaded.notes.join("\n").replace(&case.path(), "FILE");
    let expected = "\
limits.cases (variable CLA_LIMITS__CASES) need not be set; the daemon still accepts it
limits.inbox (file FILE) need not be set; the daemon still accepts it";
    assert_eq!(notes, expected);
}

/// Browsers wake hidden tabs once a minute.
#[test]
fn the_default_heartbeat_keeps_hidden_tabs() {
    let public = Config::default().public;
    assert!(public.ping_interval + public.ping_timeout >= Duration::from_secs(70));
}

/// The configuration that `every_field_can_be_set_by_its_variable` asks for.
fn nothing_left_at_its_default() -> Config {
    Config {
        site_hostnames: vec!["cases.example.org".into(), "other.example.org".into()],
        public: Public {
            listen: vec!["127.0.0.1:1".parse().unwrap(), "[::1]:1".parse().unwrap()],
            ping_interval: Duration::from_millis(2),
            ping_timeout: Duration::from_millis(3),
            merge_interval: Duration::ZERO,
            trusted_proxies: vec!["10.0.1.10/32".parse().unwrap(), "fd00::/8".parse().unwrap()],
        },
        presence: Presence {
            grace: Duration::from_millis(13),
            restart_grace: Duration::from_millis(14),
            state_dir: Some("/var/lib/presence".into()),
        },
        drain: Drain {
            spread: Duration::from_millis(15),
        },
        admin: Admin {
            listen: vec!["10.0.0.1:4".parse().unwrap()],
            hostnames: vec!["socketserver".into()],
            allow_from: vec!["10.0.2.0/24".parse().unwrap()],
        },
        statsd: Statsd {
            host: "metrics.internal.".into(),
            port: 5,
            prefix: "cla.live-1_".into(),
        },
        log: Log {
            format: LogFormat::Json,
            level: LogLevel::Trace,
        },
        limits: Limits {
            sessions: 6,
            sessions_per_address: 16,
            handshakes_per_second: rate(17),
            handshakes_per_second_per_address: rate(18),
            identify_timeout: Duration::from_millis(19),
            connections_per_user: 20,
            cases: 21,
            events_per_second: rate(22),
            events_burst: rate(23),
            bytes_per_second: rate(1028),
            queued_bytes: 1027,
            inbox: 7,
            frames_in_flight: 8,
            message_bytes: 1025,
            admin_body_bytes: 1026,
            versions: 9,
            header_timeout: Duration::from_millis(10),
            request_timeout: Duration::from_millis(25),
            admin_connections: 26,
            tcp_user_timeout: Duration::from_millis(11),
            shutdown_grace: Duration::from_millis(12),
        },
    }
}
