//! Claims about refused configurations and their messages.

use super::super::load::load_beside;
use super::super::sockets::Sockets;
use super::case::Case;

#[test]
fn a_named_file_must_exist_and_does_not_hide_other_problems() {
    let mut case = Case::new().variable("STATSD_PORT", "abc");
    case.flags.config = Some("/nowhere/config.toml".into());
    let expected = "\
config file /nowhere/config.toml: No such file or directory (os error 2); \
make it readable for the daemon, or name another file with --config
statsd.port = \"abc\" (variable STATSD_PORT): must be a whole number from 1 to 65535";
    assert_eq!(case.errors(), expected);
}

#[test]
fn a_default_file_that_is_there_but_unreadable_is_a_problem() {
    let case = Case::new();
    // A directory fails to be read for everybody, root included.
    let errors = load_beside(case.dir.path(), &case.flags, [], &Sockets::default()).unwrap_err();
    assert!(errors.to_string().contains("Is a directory"), "{errors}");
}

#[test]
fn all_problems_of_all_layers_are_reported_at_once() {
    let case = Case::new()
        .file(
            "
            colour = 'blue'
            statsd.prot = 8125
            limits.sessions = 0
            limits.inbox = 1.5
            log.format = ['json']
            public = { listen = ['127.0.0.1', 8005, '127.0.0.1:8005'] }
            ",
        )
        .variable("STATSD_PORT", "abc")
        .variable("CLA_STATSD_HOST", "x")
        .variable("cla_log__level", "info")
        .variable("CLA_WHATEVER", "x")
        .admin_listen("0.0.0.0:8005");
    let expected = r#"
colour = "blue" (file FILE): there is no such key; remove it; cla-socketserver.toml(5) lists every key
statsd.prot = 8125 (file FILE): there is no such key; did you mean statsd.port?
CLA_STATSD_HOST = "x" (environment): there is no such variable; did you mean CLA_STATSD__HOST?
CLA_WHATEVER = "x" (environment): there is no such variable; unset it; cla-socketserver.toml(5) lists every variable
cla_log__level = "info" (environment): there is no such variable; did you mean CLA_LOG__LEVEL?
public.listen = "127.0.0.1" (file FILE): must be one or more ADDRESS:PORT, IPv6 as [ADDRESS]:PORT
public.listen = 8005 (file FILE): must be one or more ADDRESS:PORT, IPv6 as [ADDRESS]:PORT
statsd.port = "abc" (variable STATSD_PORT): must be a whole number from 1 to 65535
log.format = ["json"] (file FILE): must be one of text, json
limits.sessions = 0 (file FILE): must be a whole number from 1 to 1000000
limits.inbox = 1.5 (file FILE): must be a whole number from 1 to 1000000
admin.listen = "0.0.0.0:8005" (flag --admin-listen): would open the admin app to other networks; bind 127.0.0.1 or the machine's private address, and reach it over an SSH tunnel
admin.listen = "0.0.0.0:8005" (flag --admin-listen): collides with public.listen = "127.0.0.1:8005" (file FILE); give each its own address or port
"#;
    assert_eq!(case.errors(), expected.trim());
}

#[test]
fn broken_toml_is_named_with_file_and_line() {
    let case = Case::new().file("[log]\nlevel = 'info'\nformat = = 'text'\n");
    let errors = case.errors();
    assert!(errors.starts_with("config file FILE, line 3: "), "{errors}");
    assert!(errors.ends_with("; correct the TOML there"), "{errors}");
    assert_eq!(errors.lines().count(), 1, "{errors}");
}

#[test]
fn a_key_twice_is_broken_toml() {
    let errors = Case::new()
        .file("[log]\nlevel = 'info'\nlevel = 'warn'")
        .errors();
    assert!(errors.contains("line 3: duplicate key"), "{errors}");
}

#[test]
fn a_section_is_no_value_and_a_value_is_no_section() {
    let case = Case::new().file("public = 3\n[statsd.port]\nnumber = 1\n[empty]\n");
    let expected = r#"
empty = {} (file FILE): there is no such key; remove it; cla-socketserver.toml(5) lists every key
public = 3 (file FILE): there is no such key; it is a section: write its keys below a line [section]
statsd.port = {"number":1} (file FILE): must be a whole number from 1 to 65535
"#;
    assert_eq!(case.errors(), expected.trim());
}

#[test]
fn a_section_without_keys_is_fine() {
    Case::new().file("[limits]\n[statsd]\n").load();
}

#[test]
fn values_outside_their_bounds_or_of_another_type_are_refused() {
    let bad = [
        "public.ping_interval_ms = 0",
        "public.ping_timeout_ms = 86400001",
        "public.merge_interval_ms = -1",
        "public.merge_interval_ms = 10001",
        "statsd.port = 0",
        "statsd.port = 65536",
        "statsd.port = '8125'",
        "statsd.port = true",
        "statsd.host = ''",
        "statsd.host = 'localhost:8125'",
        "statsd.host = 'http://localhost'",
        "statsd.host = 10",
        "statsd.prefix = 'cla:1|c'",
        "statsd.prefix = 3",
        "log.format = 'xml'",
        "log.level = 'INFO'",
        "limits.sessions = 1000001",
        "limits.inbox = 9223372036854775807",
        "limits.frames_in_flight = 0",
        "limits.message_bytes = 1023",
        "limits.message_bytes = 1048577",
        "limits.admin_body_bytes = 16777217",
        "limits.versions = 1001",
        "limits.header_timeout_ms = 0",
        "limits.tcp_user_timeout_ms = 0",
        "limits.shutdown_grace_ms = 1979-05-27",
        "public.listen = []",
        "public.listen = ''",
        "public.listen = 8005",
        "public.listen = ['localhost:8005']",
        "public.listen = ['::1:8005']",
        "admin.listen = ['127.0.0.1:65536']",
        "admin.listen = [['127.0.0.1:8006']]",
    ];
    for text in bad {
        let key = text.split(' ').next().unwrap();
        let errors = Case::new().file(text).errors();
        assert!(errors.starts_with(&format!("{key} = ")), "{text}: {errors}");
        assert!(
            errors.contains(" (file FILE): must be "),
            "{text}: {errors}"
        );
        assert_eq!(errors.lines().count(), 1, "{text}: {errors}");
    }
}

#[test]
fn a_site_is_a_host_name_and_nothing_more() {
    let long = "a".repeat(64);
    let bad = [
        "https://cases.example.org",
        "cases.example.org/path",
        "*.example.org",
        "cases..example.org",
        "-cases.example.org",
        "cases.example.org:port",
        "cases.example.org:65536",
        "user@cases.example.org",
        "[::1]",
        "exämple.org",
        &long,
    ];
    for text in bad {
        let errors = Case::new().variable("SITE_HOSTNAME", text).errors();
        let expected = format!(
            "site_hostname = \"{text}\" (variable SITE_HOSTNAME): \
             must be a list of host names, without scheme, path or wildcard"
        );
        assert_eq!(errors, expected);
    }
}

#[test]
fn one_bad_host_name_does_not_hide_another() {
    let errors = Case::new().variable("SITE_HOSTNAME", "a/,ok,b/").errors();
    assert!(
        errors.contains("\"a/\"") && errors.contains("\"b/\""),
        "{errors}"
    );
    assert!(!errors.contains("ok"), "{errors}");
}

#[test]
fn the_admin_app_listens_on_loopback_and_private_addresses_only() {
    let private = [
        "127.0.0.1",
        "127.255.255.254",
        "10.0.1.5",
        "100.64.0.1",
        "100.127.255.255",
        "172.16.0.1",
        "172.31.255.255",
        "192.168.1.1",
        "[::1]",
        "[fc00::1]",
        "[fdff::1]",
        "[::ffff:10.0.1.5]",
        "[::ffff:127.0.0.1]",
    ];
    let exposed = [
        "0.0.0.0",
        "[::]",
        "[::ffff:0.0.0.0]",
        "[::ffff:8.8.8.8]",
        "8.8.8.8",
        "172.15.255.255",
        "172.32.0.1",
        "192.169.0.1",
        "100.63.255.255",
        "100.128.0.1",
        "169.254.0.1",
        "[fe80::1]",
        "[2001:db8::1]",
        "[::127.0.0.1]",
    ];
    for host in private {
        Case::new().admin_listen(&format!("{host}:9")).load();
    }
    for host in exposed {
        let errors = Case::new().admin_listen(&format!("{host}:9")).errors();
        assert!(
            errors.contains("would open the admin app"),
            "{host}: {errors}"
        );
    }
}

#[test]
fn no_network_can_make_the_admin_app_listen_on_every_address() {
    let advice = "name that network in admin.allow_from";
    for (host, expected) in [("8.8.8.8", true), ("0.0.0.0", false), ("[::]", false)] {
        let errors = Case::new().admin_listen(&format!("{host}:9")).errors();
        assert_eq!(errors.contains(advice), expected, "{errors}");
    }
}

#[test]
fn a_network_that_the_operator_names_counts_as_private() {
    let case = |host: &str, networks: &str| {
        Case::new()
            .admin_listen(&format!("{host}:9"))
            .variable("CLA_ADMIN__ALLOW_FROM", networks)
    };
    for (host, networks) in [
        ("11.0.1.5", "127.0.0.1,11.0.1.0/24"),
        ("11.0.1.5", "11.0.0.0/8"),
        ("[2001:db8::5]", "2001:db8::/32"),
        ("10.0.1.5", "127.0.0.1"),
    ] {
        case(host, networks).load();
    }
    for (host, networks) in [
        ("11.0.1.5", "11.0.2.0/24"),
        ("11.0.1.5", "11.0.1.6"),
        ("11.0.1.5", "10.0.0.0/7"),
        ("11.0.1.5", "0.0.0.0/0,::/0"),
        ("[2001:db8::5]", "2001:d80::/28"),
        ("0.0.0.0", "0.0.0.0/8"),
        ("0.0.0.0", "0.0.0.0/32"),
        ("[::]", "::/128"),
        ("[::ffff:0.0.0.0]", "0.0.0.0/8"),
        ("224.0.0.1", "224.0.0.0/8"),
        ("255.255.255.255", "255.255.255.255"),
    ] {
        let errors = case(host, networks).errors();
        assert!(
            errors.contains("would open the admin app"),
            "{host} {networks}: {errors}"
        );
    }
}

#[test]
fn two_listeners_cannot_have_one_port_of_one_address() {
    let collisions = [
        ("127.0.0.1:9,127.0.0.1:9", "127.0.0.1:8"),
        ("127.0.0.1:9", "127.0.0.1:9"),
        ("127.0.0.1:8006", ""),
        ("0.0.0.0:9", "10.0.0.1:9"),
        ("127.0.0.1:9,0.0.0.0:9", "127.0.0.1:8"),
        ("[::]:9", "[::1]:9"),
        ("[::]:9", "10.0.0.1:9"),
        ("[::ffff:0.0.0.0]:9", "10.0.0.1:9"),
        ("[::ffff:127.0.0.1]:9", "127.0.0.1:9"),
    ];
    let neighbours = [
        ("127.0.0.1:0,127.0.0.1:0", "127.0.0.1:0"),
        ("127.0.0.1:8005", "10.0.1.5:8005"),
        ("0.0.0.0:9", "127.0.0.1:8"),
        ("0.0.0.0:9", "[::1]:9"),
        ("[::]:0", "127.0.0.1:0"),
    ];
    for (public, admin) in collisions {
        let errors = Case::listening(public, admin).errors();
        assert!(
            errors.contains(": collides with "),
            "{public} {admin}: {errors}"
        );
        assert_eq!(errors.lines().count(), 1, "{errors}");
    }
    for (public, admin) in neighbours {
        Case::listening(public, admin).load();
    }
}

#[test]
fn a_list_that_is_refused_collides_with_nothing() {
    let errors = Case::listening("nonsense", "127.0.0.1:8005").errors();
    assert!(!errors.contains("collides"), "{errors}");
}

#[test]
fn what_an_operator_wrote_is_shown_on_one_line_without_control_characters_and_clipped() {
    let long = "x".repeat(10_000);
    let case = Case::new()
        .file(&format!("\"a\\n\\u001b[31m\" = 'b'\n{long} = 1"))
        .variable("CLA_\u{1b}[0m\n", "\u{9b}\n\"")
        .variable("CLA_LOG__LEVEL", &long);
    let errors = case.errors();
    assert_eq!(errors.lines().count(), 4, "{errors}");
    for line in errors.lines() {
        assert!(!line.contains(char::is_control), "{line}");
        assert!(line.chars().count() < 400, "{line}");
    }
    assert!(errors.contains("x…"), "{errors}");
}
