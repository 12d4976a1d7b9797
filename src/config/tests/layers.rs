//! Claims about the layers: which one wins, and how the result is printed.

use std::fs;
use std::net::SocketAddr;

use super::super::load::load_beside;
use super::super::values::Config;
use super::case::Case;

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
limits.handshakes_per_second = 1000  # from limits.sessions
limits.handshakes_per_second_per_address = 250  # default
limits.identify_timeout_ms = 30000  # default
limits.connections_per_user = 100  # default
limits.cases = 20000  # default
limits.events_per_second = 20  # default
limits.events_burst = 200  # from limits.events_per_second
limits.bytes_per_second = 65536  # default
limits.queued_bytes = 262144  # default
limits.inbox = 16384  # default
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
fn operator_keys_and_keys_that_are_set_to_another_value_than_the_default_are_notable() {
    let loaded = Case::new()
        .file("limits.sessions = 20000\nlimits.inbox = 7\nlimits.frames_in_flight = 256")
        .variable("CLA_DRAIN__SPREAD_MS", "1")
        .load();
    let notable: Vec<_> = loaded
        .effective
        .notable()
        .filter_map(|line| line.split_once(" = "))
        .map(|(name, _)| name)
        .collect();
    let expected = [
        "site_hostname",
        "public.listen",
        "public.trusted_proxies",
        "presence.grace_ms",
        "presence.restart_grace_ms",
        "presence.state_dir",
        "drain.spread_ms",
        "admin.listen",
        "admin.hostnames",
        "admin.allow_from",
        "statsd.host",
        "statsd.port",
        "statsd.prefix",
        "log.format",
        "log.level",
        "limits.sessions",
        "limits.sessions_per_address",
        "limits.inbox",
    ];
    assert_eq!(notable, expected);
    let derived = "limits.handshakes_per_second = 2000  # from limits.sessions";
    assert!(loaded.effective.all().any(|line| line == derived));
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
