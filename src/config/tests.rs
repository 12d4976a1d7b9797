//! Claims about configuration, made through [`load_beside`] alone, as an operator would meet them.

mod refusals;
mod sockets;

use std::collections::BTreeSet;
use std::fs;

use tempfile::TempDir;

use super::*;

#[test]
fn nothing_given_means_the_defaults() {
    let loaded = Case::new().load();
    assert_eq!(loaded.config, Config::default());
}

#[test]
fn the_effective_listing_names_every_key_its_value_and_its_source() {
    let case = Case::new()
        .file("site_hostname = 'cases.example.org'\n[log]\nformat = 'json'")
        .variable("STATSD_HOST", "10.0.0.9")
        .variable("CLA_LIMITS__SESSIONS", "5")
        .variable("RUNTIME_DIRECTORY", "/run/cla-socketserver:/run/other")
        .public_listen("127.0.0.1:9000");
    let expected = r#"
site_hostname = ["cases.example.org"]  # file FILE
public.listen = ["127.0.0.1:9000"]  # flag --public-listen
public.ping_interval_ms = 25000  # default
public.ping_timeout_ms = 45000  # default
public.merge_interval_ms = 50  # default
public.trusted_proxies = ["127.0.0.0/8", "::1/128"]  # default
presence.grace_ms = 15000  # default
presence.restart_grace_ms = 60000  # default
presence.state_dir = "/run/cla-socketserver"  # variable RUNTIME_DIRECTORY
drain.spread_ms = 2000  # default
admin.listen = ["127.0.0.1:8006"]  # default
admin.hostnames = []  # default
admin.allow_from = ["127.0.0.0/8", "::1/128", "10.0.0.0/8", "100.64.0.0/10", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7"]  # default
statsd.host = "10.0.0.9"  # variable STATSD_HOST
statsd.port = 8125  # default
statsd.prefix = ""  # default
log.format = "json"  # file FILE
log.level = "info"  # default
limits.sessions = 5  # variable CLA_LIMITS__SESSIONS
limits.sessions_per_address = 2500  # default
limits.handshakes_per_second = 1000  # default
limits.handshakes_per_second_per_address = 250  # default
limits.identify_timeout_ms = 30000  # default
limits.connections_per_user = 100  # default
limits.cases = 20000  # default
limits.events_per_second = 20  # default
limits.events_burst = 200  # default
limits.bytes_per_second = 65536  # default
limits.queued_bytes = 262144  # default
limits.inbox = 4096  # default
limits.frames_in_flight = 256  # default
limits.message_bytes = 16384  # default
limits.admin_body_bytes = 262144  # default
limits.versions = 100  # default
limits.header_timeout_ms = 10000  # default
limits.request_timeout_ms = 20000  # default
limits.admin_connections = 128  # default
limits.tcp_user_timeout_ms = 30000  # default
limits.shutdown_grace_ms = 10000  # default
"#
    .trim_start();
    let effective = case.load().effective.to_string();
    assert_eq!(effective.replace(&case.path(), "FILE"), expected);
}

#[test]
fn the_effective_listing_is_itself_a_config_file() {
    let first = Case::new()
        .file("public.listen = ['[::1]:0', '127.0.0.1:0']\nstatsd.prefix = 'cla.'")
        .load();
    let second = Case::new().file(&first.effective.to_string()).load();
    assert_eq!(second.config, first.config);
}

#[test]
fn the_table_gives_every_key_a_default_that_it_accepts_a_variable_and_a_line_of_doc() {
    let mut variables = BTreeSet::new();
    for key in keys() {
        let text = format!("{} = {}", key.name, key.default_text());
        assert_eq!(Case::new().file(&text).load().config, Config::default());
        assert!(!key.doc.is_empty() && !key.accepts().is_empty());
        assert!(variables.insert(key.variable()), "{}", key.name);
    }
    let listen = Key::named("public.listen").unwrap();
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

/// Browsers wake hidden tabs once a minute.
#[test]
fn the_default_heartbeat_keeps_hidden_tabs() {
    let public = Config::default().public;
    assert!(public.ping_interval + public.ping_timeout >= Duration::from_secs(70));
}

#[test]
fn a_directory_that_systemd_grants_counts_less_than_one_in_the_file() {
    let case = Case::new().variable("RUNTIME_DIRECTORY", "/run/cla-socketserver");
    let directory = |case: Case| case.load().config.presence.state_dir;
    assert_eq!(
        directory(case.file("presence.state_dir = '/srv/presence'")),
        Some("/srv/presence".into())
    );
}

#[test]
fn a_file_outranks_the_default_a_variable_the_file_and_a_flag_the_variable() {
    let mut case = Case::new();
    let port = |case: &Case| case.load().config.public.listen[0].port();
    assert_eq!(port(&case), 8005);
    case = case.file("[public]\nlisten = ['127.0.0.1:1']");
    assert_eq!(port(&case), 1);
    case = case.variable("CLA_PUBLIC__LISTEN", "127.0.0.1:2");
    assert_eq!(port(&case), 2);
    case = case.public_listen("127.0.0.1:3");
    assert_eq!(port(&case), 3);
}

#[test]
fn a_layer_replaces_a_list_and_does_not_extend_it() {
    let case = Case::new()
        .file("site_hostname = ['a', 'b']")
        .variable("SITE_HOSTNAME", "c");
    assert_eq!(case.load().config.site_hostnames, ["c"]);
}

#[test]
fn our_own_variable_outranks_the_established_one() {
    let case = Case::new()
        .variable("STATSD_HOST", "old.example.org")
        .variable("CLA_STATSD__HOST", "new.example.org");
    assert_eq!(case.load().config.statsd.host, "new.example.org");
}

#[test]
fn an_empty_established_variable_counts_as_unset_and_an_empty_list_of_ours_as_empty() {
    let case = Case::new()
        .file("site_hostname = 'a'\nadmin.hostnames = ['b']\nstatsd.port = 99")
        .variable("SITE_HOSTNAME", "")
        .variable("STATSD_PORT", " ")
        .variable("CLA_ADMIN__HOSTNAMES", "");
    let config = case.load().config;
    assert_eq!(config.site_hostnames, ["a"]);
    assert_eq!(config.statsd.port, 99);
    assert!(config.admin.hostnames.is_empty());
}

#[test]
fn a_flag_may_be_repeated_or_hold_commas() {
    let case = Case::new()
        .public_listen("127.0.0.1:1,127.0.0.1:2")
        .public_listen("127.0.0.1:3")
        .admin_listen("127.0.0.1:4");
    let config = case.load().config;
    let ports: Vec<u16> = config.public.listen.iter().map(SocketAddr::port).collect();
    assert_eq!(ports, [1, 2, 3]);
    assert_eq!(config.admin.listen[0].port(), 4);
}

#[test]
fn a_list_in_the_file_may_be_one_text_with_commas() {
    let case = Case::new().file("site_hostname = 'a, b:80,'");
    assert_eq!(case.load().config.site_hostnames, ["a", "b"]);
}

#[test]
fn the_default_file_is_read_unless_another_is_named() {
    let mut case = Case::new();
    let beside = case.dir.path().join("default.toml");
    fs::write(&beside, "statsd.port = 1").unwrap();
    let port = |case: &Case| {
        load_beside(&beside, &case.flags, [], &case.sockets)
            .unwrap()
            .config
            .statsd
            .port
    };
    assert_eq!(port(&case), 1);
    case = case.file("statsd.port = 2");
    assert_eq!(port(&case), 2);
}

#[test]
fn a_bad_value_that_a_higher_layer_replaces_harms_nobody() {
    let case = Case::new()
        .file("statsd.port = 'abc'")
        .variable("STATSD_PORT", "8126");
    assert_eq!(case.load().config.statsd.port, 8126);
}

#[test]
fn the_effective_listing_is_a_file_that_means_the_same() {
    for directory in [
        "/run/e\u{301}",
        "/run/\u{7f}\u{85}",
        "/run/\0\n",
        r#"/run/"a\b""#,
    ] {
        let config = Case::new()
            .variable("CLA_PRESENCE__STATE_DIR", directory)
            .load();
        let again = Case::new().file(&config.effective.to_string()).load();
        assert_eq!(again.config, config.config, "{}", config.effective);
    }
}

/// What `every_field_can_be_set_by_its_variable` asks for.
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

/// What an operator has set up, in a directory of its own.
struct Case {
    dir: TempDir,
    flags: Flags,
    env: Vec<(String, String)>,
    sockets: Sockets,
}

impl Case {
    fn new() -> Self {
        Self {
            dir: TempDir::new().unwrap(),
            flags: Flags::default(),
            env: Vec::new(),
            sockets: Sockets::default(),
        }
    }

    fn listening(public: &str, admin: &str) -> Self {
        let case = Self::new().public_listen(public);
        if admin.is_empty() {
            return case;
        }
        case.admin_listen(admin)
    }

    fn path(&self) -> String {
        self.dir.path().join("config.toml").display().to_string()
    }

    fn file(mut self, text: &str) -> Self {
        fs::write(self.path(), text).unwrap();
        self.flags.config = Some(self.path().into());
        self
    }

    fn variable(mut self, name: &str, text: &str) -> Self {
        self.env.push((name.into(), text.into()));
        self
    }

    fn public_listen(mut self, text: &str) -> Self {
        self.flags.public_listen.push(text.into());
        self
    }

    fn admin_listen(mut self, text: &str) -> Self {
        self.flags.admin_listen.push(text.into());
        self
    }

    fn run(&self) -> Result<Loaded, ConfigErrors> {
        let absent = self.dir.path().join("absent.toml");
        load_beside(&absent, &self.flags, self.env.clone(), &self.sockets)
    }

    fn load(&self) -> Loaded {
        self.run().unwrap_or_else(|errors| panic!("{errors}"))
    }

    fn errors(&self) -> String {
        let errors = self.run().unwrap_err();
        errors.to_string().replace(&self.path(), "FILE")
    }
}
