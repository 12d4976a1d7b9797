//! The command line: flags, commands, exit codes, and error messages.

use std::{net::TcpListener, process::Output};

use tokio::time::timeout;

use crate::support::{
    WAIT,
    daemon::{binary, settings},
};

#[tokio::test]
async fn the_demonstration_says_where_to_open_it() {
    let daemon = settings().arg("--demo").start().await;
    let told: String = daemon.logged.iter().map(ToString::to_string).collect();
    let expected = format!("open http://{}/demo/ ", daemon.admin);
    assert!(told.contains(&expected), "{told}");
    assert_eq!(daemon.get("/demo/").await.status, 200);
}

#[tokio::test]
async fn without_a_demonstration_there_is_nothing_to_open() {
    let daemon = settings().start().await;
    let told: String = daemon.logged.iter().map(ToString::to_string).collect();
    assert!(!told.contains("/demo/"), "{told}");
}

#[tokio::test]
async fn a_port_in_use_is_named_with_the_flag_and_the_key_that_change_it() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    for (flag, other, key) in [
        ("--public-listen", "--admin-listen", "public.listen"),
        ("--admin-listen", "--public-listen", "admin.listen"),
    ] {
        let output = run(&["--demo", flag, &taken, other, "127.0.0.1:0"]).await;
        assert_eq!(output.status.code(), Some(1), "{flag}");
        let error = text(&output.stderr);
        for part in [taken.as_str(), flag, key, "in use"] {
            assert!(error.contains(part), "{part} is not named in: {error}");
        }
    }
}

#[tokio::test]
async fn flags_may_stand_before_and_after_the_command() {
    for flags in [&["--demo"][..], &["--public-listen", "127.0.0.1:1"]] {
        for arguments in [[flags, &["check"]].concat(), [&["check"], flags].concat()] {
            let output = run(&arguments).await;
            assert_eq!(output.status.code(), Some(0), "{arguments:?}");
            assert!(!output.stdout.is_empty(), "{arguments:?}");
        }
    }
}

#[tokio::test]
async fn a_warning_of_check_goes_to_standard_error_and_changes_no_exit_code() {
    let warning = "warning: site_hostname is not set";
    let output = run(&["check"]).await;
    assert_eq!(output.status.code(), Some(0));
    let error = text(&output.stderr);
    assert!(error.contains(warning), "{error}");
    let printed = text(&output.stdout);
    assert!(!printed.contains("warning"), "{printed}");
}

#[tokio::test]
async fn a_quiet_check_prints_mistakes_only() {
    let output = run(&["check", "--quiet"]).await;
    assert_eq!(output.status.code(), Some(0));
    assert_eq!((text(&output.stdout), text(&output.stderr)), ("", ""));
    let output = run(&["check", "--quiet", "--admin-listen", "nowhere"]).await;
    assert_eq!(output.status.code(), Some(78));
    let error = text(&output.stderr);
    assert!(error.contains("admin.listen"), "{error}");
}

#[tokio::test]
async fn every_mistake_in_the_configuration_is_reported_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("config.toml");
    std::fs::write(&file, "[statsd]\nprot = 1\n").unwrap();
    let config = ["--config", file.to_str().unwrap()];
    for command in [&[][..], &["check"][..]] {
        let output = binary()
            .args(config)
            .args(command)
            .args(["--admin-listen", "0.0.0.0:8006"])
            .env("STATSD_PORT", "many")
            .env("CLA_TYPO", "1")
            .output()
            .await
            .unwrap();
        assert_eq!(output.status.code(), Some(78), "{command:?}");
        let errors = text(&output.stderr);
        for part in [
            "statsd.prot",
            "config.toml",
            "0.0.0.0:8006",
            "--admin-listen",
            "STATSD_PORT",
            "many",
            "CLA_TYPO",
        ] {
            assert!(
                errors.contains(part),
                "{command:?}: {part} is not named in: {errors}"
            );
        }
        assert_eq!(text(&output.stdout), "", "{command:?}");
    }
    let missing = run(&["--config", "/no/such/file.toml"]).await;
    assert_eq!(missing.status.code(), Some(78));
    assert!(text(&missing.stderr).contains("/no/such/file.toml"));
}

#[tokio::test]
async fn check_prints_each_value_with_its_source() {
    let output = binary()
        .args(["check", "--public-listen", "127.0.0.1:9005"])
        .env("CLA_PUBLIC__MERGE_INTERVAL_MS", "75")
        .env("SITE_HOSTNAME", "b.example")
        .output()
        .await
        .unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    let printed = text(&output.stdout);
    for (key, value, source) in [
        ("public.listen", "127.0.0.1:9005", "flag --public-listen"),
        (
            "public.merge_interval_ms",
            "75",
            "variable CLA_PUBLIC__MERGE_INTERVAL_MS",
        ),
        ("site_hostname", "b.example", "variable SITE_HOSTNAME"),
        ("admin.listen", "127.0.0.1:8006", "default"),
    ] {
        let line = printed
            .lines()
            .find(|line| line.starts_with(&format!("{key} =")));
        let line = line.unwrap_or_else(|| panic!("{key} is missing in {printed}"));
        assert!(
            line.contains(value) && line.ends_with(source),
            "{key} is {value} from {source}, not: {line}"
        );
    }
}

#[tokio::test]
async fn exit_codes_tell_usage_configuration_and_other_failures_apart() {
    for (argument, code) in [
        ("--help", 0),
        ("--version", 0),
        ("--no-such-flag", 64),
        ("no-such-command", 64),
    ] {
        let output = run(&[argument]).await;
        assert_eq!(output.status.code(), Some(code), "{argument}");
    }
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let in_use = run(&["--public-listen", &address, "--admin-listen", "127.0.0.1:0"]).await;
    assert_eq!(in_use.status.code(), Some(1));
    let error = text(&in_use.stderr);
    assert!(
        error.contains(&address) && error.contains("public.listen"),
        "{error}"
    );
}

async fn run(arguments: &[&str]) -> Output {
    let output = timeout(WAIT, binary().args(arguments).output()).await;
    output.expect("the daemon should have ended").unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}
