//! The lines that StatsD is sent, the host that they are sent to, and the metrics page.

use std::{
    collections::BTreeSet,
    net::{Ipv4Addr, UdpSocket},
};

use tokio::{sync::watch, time::advance};

use super::{
    labels::Labels,
    names::{
        CONNECTIONS, FAMILIES, HUB_LATENCY, PEOPLE, QUEUE_DEPTH, SESSIONS, STALENESS, VERSIONS,
    },
    statsd::{RESOLVED_FOR, Sent, Statsd, TICK, census_lines, send},
    *,
};
use crate::{
    config::Statsd as Target,
    presence::{Census, Change, ConnectionId, Departure},
};

const UNKNOWN: &str = "no-such-host.invalid";

#[test]
fn gauges_are_named_as_dashboards_know_them() {
    let mut labels = Labels::new(10);
    assert_eq!(
        lines(&mut labels, 2, &[("2.0.1-rc_3", 1), ("unknown", 2)]),
        [
            "people_connected 2",
            "fe_version.2.0.1-rc_3 1",
            "fe_version.unknown 2"
        ]
    );
}

#[test]
fn a_version_that_empties_is_sent_as_zero() {
    let mut labels = Labels::new(10);
    let _ = lines(&mut labels, 1, &[("1.0", 1)]);
    assert_eq!(
        lines(&mut labels, 1, &[("2.0", 1)]),
        ["people_connected 1", "fe_version.1.0 0", "fe_version.2.0 1"]
    );
    assert_eq!(
        lines(&mut labels, 0, &[]),
        ["people_connected 0", "fe_version.1.0 0", "fe_version.2.0 0"]
    );
}

#[test]
fn every_counter_has_a_name_and_a_value_of_its_own() {
    let mut names = BTreeSet::new();
    for family in FAMILIES {
        for (counter, value) in family.members {
            let counters = Counters::default();
            counters.count(*counter);
            let counted = |(counter, _): &&(Counter, &str)| counters.total(*counter) == 1;
            let all = FAMILIES.iter().flat_map(|family| family.members);
            assert_eq!(all.filter(counted).count(), 1, "{value}");
            assert!(names.insert((family.name, value)), "{value}");
        }
    }
    assert_eq!(names.len(), Counter::COUNT);
}

#[tokio::test]
async fn statsd_is_sent_the_counts_since_the_last_time() {
    let listener = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let client = found(&listener, "").await;
    let mut sent = Sent::default();
    let counters = Counters::default();
    for (count, line) in [
        (2, "session_refused.origin:2|c"),
        (1, "session_refused.origin:1|c"),
    ] {
        for _ in 0..count {
            counters.count(Counter::OriginRefused);
        }
        send(&client, Vec::new(), &counters, &mut sent).unwrap();
        assert_eq!(received(&listener), line, "{count} refusals");
    }
}

#[test]
fn the_metrics_page_has_every_metric_under_its_own_name() {
    let census = Census {
        people: 2,
        versions: [("1.0".try_into().unwrap(), 3)].into(),
    };
    let (_sender, census) = watch::channel(census);
    let counters = Counters::default();
    counters.count(Counter::OriginRefused);
    counters.handled_in(Duration::from_millis(1));
    let gauges = GaugeProbe(Arc::new(|| EdgeGauges {
        sessions: 4,
        queue_depth: 5,
        connections: vec![("polling", "3", 0), ("websocket", "4", 3)],
    }));
    let sources = Sources {
        census,
        counters,
        gauges,
    };
    let page = OpenMetrics::new(sources, 10).render().unwrap();
    for line in [
        "cla_socketserver_people_connected 2",
        "cla_socketserver_sessions 4",
        "cla_socketserver_queue_depth 5",
        r#"cla_socketserver_connections{transport="polling",protocol="3"} 0"#,
        r#"cla_socketserver_connections{transport="websocket",protocol="4"} 3"#,
        r#"cla_socketserver_fe_version{version="1.0"} 3"#,
        r#"cla_socketserver_session_refused_total{reason="origin"} 1"#,
        r#"cla_socketserver_session_refused_total{reason="sessions"} 0"#,
        r#"cla_socketserver_hub_latency_seconds_bucket{le="0.0004"} 0"#,
        r#"cla_socketserver_hub_latency_seconds_bucket{le="0.0016"} 1"#,
        "cla_socketserver_hub_latency_seconds_count 1",
        concat!(
            "cla_socketserver_build_info{version=\"",
            env!("CARGO_PKG_VERSION"),
            "\"} 1"
        ),
    ] {
        assert!(page.lines().any(|it| it == line), "{line} in\n{page}");
    }
    assert!(page.ends_with("# EOF\n"), "{page}");
}

#[tokio::test(start_paused = true)]
async fn a_host_is_resolved_until_found_and_kept_when_it_cannot_be_resolved_again() {
    let mut statsd = Statsd::new(
        Target {
            host: UNKNOWN.to_owned(),
            port: 8125,
            prefix: String::new(),
        },
        None,
    );
    statsd.resolve_when_due().await;
    assert!(statsd.client.is_none());
    statsd.target.host = Ipv4Addr::LOCALHOST.to_string();
    statsd.resolve_when_due().await;
    assert!(statsd.client.is_none(), "not at once");
    advance(TICK).await;
    statsd.resolve_when_due().await;
    assert!(statsd.client.is_some(), "after a failure");

    assert!(statsd.is_failing, "nothing was sent yet");
    statsd.sent();
    statsd.target.host = UNKNOWN.to_owned();
    statsd.resolve_when_due().await;
    assert!(!statsd.is_failing, "the address is kept for a while");
    advance(RESOLVED_FOR).await;
    statsd.resolve_when_due().await;
    assert!(statsd.is_failing, "the host is resolved again");
    assert!(statsd.client.is_some(), "the old address is kept");
    statsd.sent();
    assert!(statsd.is_failing, "said once, until it is found again");
}

#[tokio::test]
async fn a_prefix_stands_before_a_dot() {
    let listener = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let client = found(&listener, "cla").await;
    let gauges = vec![("people_connected".to_owned(), 1)];
    send(&client, gauges, &Counters::default(), &mut Sent::default()).unwrap();
    assert_eq!(received(&listener), "cla.people_connected:1|g");
}

#[tokio::test]
async fn metrics_are_sent_from_a_passed_socket() {
    let passed = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let from = passed.local_addr().unwrap();
    let listener = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let mut statsd = Statsd::new(
        Target {
            // `localhost` has an IPv6 address too, which this socket cannot reach.
            host: "localhost".to_owned(),
            port: listener.local_addr().unwrap().port(),
            prefix: String::new(),
        },
        Some(passed),
    );
    statsd.resolve_when_due().await;
    let gauges = vec![("people_connected".to_owned(), 1)];
    let client = statsd.client.unwrap();
    send(&client, gauges, &Counters::default(), &mut Sent::default()).unwrap();
    let (_, sender) = listener.recv_from(&mut [0; 100]).unwrap();
    assert_eq!(sender, from);
}

#[test]
fn the_man_page_names_every_metric_and_no_other() {
    let page = include_str!("../../packaging/cla-socketserver.8");
    let (_, page) = page.split_once("\n.SH METRICS\n").unwrap();
    let (page, _) = page.split_once("\n.SH ").unwrap();
    let named: BTreeSet<_> = page
        .lines()
        .filter(|line| line.starts_with("\\fB") && !line.contains("\\fI"))
        .flat_map(|line| line.split(", "))
        .map(|name| name.trim_start_matches("\\fB").trim_end_matches("\\fR"))
        .map(str::to_owned)
        .collect();
    let counters = FAMILIES.iter().flat_map(|family| {
        let members = family.members.iter();
        members.map(move |(_, value)| format!("{}.{value}", family.name))
    });
    let gauges = [PEOPLE, SESSIONS, QUEUE_DEPTH, HUB_LATENCY].map(|gauge| gauge.name);
    let others = gauges.into_iter().chain([STALENESS]).map(str::to_owned);
    assert_eq!(named, counters.chain(others).collect());
    for gauge in [VERSIONS, CONNECTIONS] {
        let name = format!("\n\\fB{}.\\fR\\fI", gauge.name);
        assert!(page.contains(&name), "{name}");
    }
}

/// A client that sends to `listener`.
async fn found(listener: &UdpSocket, prefix: &str) -> cadence::StatsdClient {
    let target = Target {
        host: Ipv4Addr::LOCALHOST.to_string(),
        port: listener.local_addr().unwrap().port(),
        prefix: prefix.to_owned(),
    };
    let mut statsd = Statsd::new(target, None);
    statsd.resolve_when_due().await;
    statsd.client.unwrap()
}

fn received(listener: &UdpSocket) -> String {
    let mut datagram = [0; 100];
    let length = listener.recv(&mut datagram).unwrap();
    String::from_utf8_lossy(&datagram[..length]).into_owned()
}

fn lines(labels: &mut Labels, people: usize, versions: &[(&str, usize)]) -> Vec<String> {
    let version = |(name, count): &(&str, usize)| ((*name).try_into().unwrap(), *count);
    let census = Census {
        people,
        versions: versions.iter().map(version).collect(),
    };
    let lines = census_lines(labels, &census).into_iter();
    lines
        .map(|(name, value)| format!("{name} {value}"))
        .collect()
}

#[test]
fn changes_of_presence_are_counted_by_what_became_of_a_place() {
    let [conn, old] =
        ["AAAAAAAAAAAAAAAA", "BBBBBBBBBBBBBBBB"].map(|id| ConnectionId::try_from(id).unwrap());
    let staleness = Duration::from_secs(9);
    let resumed = |watched| Change::Resumed { conn, old, watched };
    for (change, expected) in [
        (Change::Lost { conn }, [1, 0, 0, 0]),
        (resumed(false), [0, 1, 0, 0]),
        (resumed(true), [0, 1, 1, 0]),
        (Change::Reconnected { conn, old }, [0, 1, 0, 0]),
        (Change::Lapsed { conn, staleness }, [0, 0, 0, 1]),
        (
            Change::Left {
                conn,
                reason: Departure::Closed,
            },
            [0; 4],
        ),
    ] {
        let counters = Counters::default();
        counters.count_change(&change);
        let counted = [
            Counter::PlaceLost,
            Counter::PlaceResumed,
            Counter::FlickerSuppressed,
            Counter::PlaceLapsed,
        ];
        let counted = counted.map(|counter| counters.total(counter));
        assert_eq!(counted, expected, "{change:?}");
    }
}
