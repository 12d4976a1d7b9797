//! What StatsD is sent, and from where.

use tokio::time::advance;

use super::*;

const UNKNOWN: &str = "no-such-host.invalid";

#[test]
fn gauges_are_named_as_dashboards_know_them() {
    let mut gauges = Gauges::new(10);
    assert_eq!(
        lines(&mut gauges, 2, &[("2.0.1-rc_3", 1), ("unknown", 2)]),
        [
            "people_connected 2",
            "fe_version.2.0.1-rc_3 1",
            "fe_version.unknown 2"
        ]
    );
}

#[test]
fn a_version_that_empties_is_sent_as_zero() {
    let mut gauges = Gauges::new(10);
    let _ = lines(&mut gauges, 1, &[("1.0", 1)]);
    assert_eq!(
        lines(&mut gauges, 1, &[("2.0", 1)]),
        ["people_connected 1", "fe_version.1.0 0", "fe_version.2.0 1"]
    );
    assert_eq!(
        lines(&mut gauges, 0, &[]),
        ["people_connected 0", "fe_version.1.0 0", "fe_version.2.0 0"]
    );
}

#[test]
fn a_version_cannot_forge_a_line() {
    for (version, label) in [
        ("1.0:7|g", "1.0_7_g"),
        ("a b/c", "a_b_c"),
        ("é#@%", "____"),
        ("../x", ".._x"),
    ] {
        assert_eq!(sanitised(version), label);
    }
}

#[test]
fn versions_beyond_the_bound_are_counted_together_and_stay_there() {
    let mut gauges = Gauges::new(2);
    assert_eq!(
        lines(&mut gauges, 1, &[("1", 1), ("2", 1), ("3", 4), ("4", 5)]),
        [
            "people_connected 1",
            "fe_version.1 1",
            "fe_version.2 1",
            "fe_version.other 9"
        ]
    );
    assert_eq!(
        lines(&mut gauges, 1, &[("3", 1)]),
        [
            "people_connected 1",
            "fe_version.1 0",
            "fe_version.2 0",
            "fe_version.other 1"
        ]
    );
}

#[test]
fn every_counter_has_a_place_and_a_name_of_its_own() {
    let counters = Counters::default();
    for counter in Counter::ALL {
        counters.count(counter);
    }
    let counted: Vec<_> = counters.take().collect();
    assert_eq!(counted, Counter::ALL.map(|counter| (counter, 1)));
    assert_eq!(counters.take().count(), 0, "taken is taken");
    let names: BTreeSet<_> = Counter::ALL.iter().map(|counter| counter.name()).collect();
    assert_eq!(names.len(), Counter::ALL.len());
}

#[tokio::test(start_paused = true)]
async fn a_host_is_looked_for_until_found_and_kept_when_it_cannot_be_found_again() {
    let mut statsd = Statsd::new(
        Target {
            host: UNKNOWN.to_owned(),
            port: 8125,
            prefix: String::new(),
        },
        None,
    );
    statsd.look_for_host().await;
    assert!(statsd.client.is_none());
    statsd.target.host = Ipv4Addr::LOCALHOST.to_string();
    statsd.look_for_host().await;
    assert!(statsd.client.is_none(), "not at once");
    advance(TICK).await;
    statsd.look_for_host().await;
    assert!(statsd.client.is_some(), "after a failure");

    statsd.target.host = UNKNOWN.to_owned();
    statsd.look_for_host().await;
    assert!(!statsd.troubled, "believed for a while");
    advance(RESOLVED_FOR).await;
    statsd.look_for_host().await;
    assert!(statsd.troubled, "looked for again");
    assert!(statsd.client.is_some(), "what worked may still work");
}

#[tokio::test]
async fn a_prefix_stands_before_a_dot() {
    let listener = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let mut statsd = Statsd::new(
        Target {
            host: Ipv4Addr::LOCALHOST.to_string(),
            port: listener.local_addr().unwrap().port(),
            prefix: "cla".to_owned(),
        },
        None,
    );
    statsd.look_for_host().await;
    let gauges = vec![("people_connected".to_owned(), 1)];
    send(&statsd.client.unwrap(), gauges, &Counters::default()).unwrap();
    let mut datagram = [0; 100];
    let length = listener.recv(&mut datagram).unwrap();
    assert_eq!(&datagram[..length], b"cla.people_connected:1|g");
}

#[tokio::test]
async fn a_socket_that_was_passed_is_sent_from() {
    let passed = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let from = passed.local_addr().unwrap();
    let listener = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let mut statsd = Statsd::new(
        Target {
            // Has an IPv6 address too, which this socket does not reach.
            host: "localhost".to_owned(),
            port: listener.local_addr().unwrap().port(),
            prefix: String::new(),
        },
        Some(passed),
    );
    statsd.look_for_host().await;
    let gauges = vec![("people_connected".to_owned(), 1)];
    send(&statsd.client.unwrap(), gauges, &Counters::default()).unwrap();
    let (_, sender) = listener.recv_from(&mut [0; 100]).unwrap();
    assert_eq!(sender, from);
}

#[test]
fn the_readme_names_every_counter() {
    let readme = include_str!("../../README.md");
    for counter in Counter::ALL {
        let name = format!("`{}`", counter.name());
        assert!(readme.contains(&name), "{name}");
    }
}

fn lines(gauges: &mut Gauges, people: usize, versions: &[(&str, usize)]) -> Vec<String> {
    let version = |(name, count): &(&str, usize)| ((*name).try_into().unwrap(), *count);
    let census = Census {
        people,
        versions: versions.iter().map(version).collect(),
    };
    let lines = gauges.lines(&census).into_iter();
    lines
        .map(|(name, value)| format!("{name} {value}"))
        .collect()
}
