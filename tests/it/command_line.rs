//! The command line as people meet it: what it takes, what it says, and what it advises.

use std::{net::TcpListener, process::Output};

use crate::daemon::{binary, settings};

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
    assert!(!told.contains("/demo/"));
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
        assert_eq!(output.status.code(), Some(1));
        let error = String::from_utf8(output.stderr).unwrap();
        for part in [taken.as_str(), flag, key, "in use"] {
            assert!(error.contains(part), "{part}: {error}");
        }
    }
}

#[tokio::test]
async fn flags_may_stand_before_and_after_the_command() {
    for flags in [&["--demo"][..], &["--public-listen", "127.0.0.1:1"]] {
        for arguments in [[flags, &["check"]].concat(), [&["check"], flags].concat()] {
            let output = run(&arguments).await;
            assert_eq!(output.status.code(), Some(0), "{arguments:?}");
            assert!(!output.stdout.is_empty());
        }
    }
}

#[tokio::test]
async fn a_warning_of_check_goes_to_standard_error_and_changes_no_exit_code() {
    let warning = "warning: site_hostname is not set";
    let output = run(&["check"]).await;
    assert_eq!(output.status.code(), Some(0));
    assert!(String::from_utf8(output.stderr).unwrap().contains(warning));
    assert!(
        !String::from_utf8(output.stdout)
            .unwrap()
            .contains("warning")
    );
}

#[tokio::test]
async fn a_quiet_check_says_nothing_but_mistakes() {
    let output = run(&["check", "--quiet"]).await;
    assert_eq!(output.status.code(), Some(0));
    assert!(output.stdout.is_empty() && output.stderr.is_empty());
    let output = run(&["check", "--quiet", "--admin-listen", "nowhere"]).await;
    assert_eq!(output.status.code(), Some(78));
    assert!(
        String::from_utf8(output.stderr)
            .unwrap()
            .contains("admin.listen")
    );
}

async fn run(arguments: &[&str]) -> Output {
    binary().args(arguments).output().await.unwrap()
}
