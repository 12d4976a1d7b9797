//! Sending to StatsD.
//!
//! Lives here: the client, and when it sends what. Not here: names (`names`).
//! Invariant: a label that was ever sent is sent as 0 when it empties, because StatsD remembers the last value.

use std::{
    io, mem,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
    time::Duration,
};

use cadence::{Counted, Gauged, MetricError, StatsdClient, Timed, UdpMetricSink};
use tokio::{
    net::lookup_host,
    time::{Instant, interval, timeout},
};
use tracing::{info, warn};

use super::{
    Counter, Counters, EdgeGauges, Sources,
    labels::Labels,
    names::{CONNECTIONS, FAMILIES, PEOPLE, QUEUE_DEPTH, SESSIONS, STALENESS, VERSIONS},
};
use crate::{config::Statsd as Target, presence::Census};

/// The longest time between two reports, and the time after which a host that could not be resolved is resolved again.
pub(super) const TICK: Duration = Duration::from_secs(10);

/// The time after which a name is resolved again. StatsD may move, and UDP does not tell.
pub(super) const RESOLVED_FOR: Duration = Duration::from_mins(1);

/// How long resolving may take. It must leave time for the rest of a stop.
const RESOLVE_TIMEOUT: Duration = Duration::from_secs(2);

/// Sends each census at once, with the counters, and all other metrics every [`TICK`], until the sender of the census has ended.
/// The last state is sent too.
///
/// At most `versions` names of versions are sent at a time. Sends from `socket` if there is one, and opens one otherwise.
pub(crate) async fn report(
    target: Target,
    socket: Option<UdpSocket>,
    versions: usize,
    sources: Sources,
) {
    let Sources {
        mut census,
        counters,
        gauges,
    } = sources;
    let mut labels = Labels::new(versions);
    let mut sent = Sent::default();
    let mut statsd = Statsd::new(target, socket);
    let mut tick = interval(TICK);
    let mut unsent = false;
    let mut open = true;
    while open {
        let mut due = true;
        tokio::select! {
            changed = census.changed() => {
                open = changed.is_ok();
                due = !open;
                unsent |= open;
            }
            _ = tick.tick() => {}
        }
        if open {
            // At the end there is no time for resolving.
            statsd.resolve_when_due().await;
        }
        let Some(client) = &statsd.client else {
            continue;
        };
        let mut lines = Vec::new();
        if unsent {
            lines.extend(census_lines(&mut labels, &census.borrow()));
        }
        if due {
            lines.extend(edge_lines(&gauges.read()));
        }
        match send(client, lines, &counters, &mut sent) {
            Ok(()) => {
                if mem::take(&mut unsent) {
                    labels.reported();
                }
                statsd.sent();
            }
            Err(error) => statsd.drop_client(&error),
        }
    }
}

/// The total of each counter that StatsD has been sent.
pub(super) struct Sent([u64; Counter::COUNT]);

impl Default for Sent {
    fn default() -> Self {
        Self([0; Counter::COUNT])
    }
}

impl Sent {
    /// Sends what was counted since the last time.
    fn catch_up(&mut self, client: &StatsdClient, counters: &Counters) -> Result<(), MetricError> {
        for family in FAMILIES {
            for (counter, value) in family.members {
                let total = counters.total(*counter);
                if let Some(sent) = self.0.get_mut(*counter as usize)
                    && total > *sent
                {
                    client.count(&format!("{}.{value}", family.name), total - *sent)?;
                    *sent = total;
                }
            }
        }
        Ok(())
    }
}

pub(super) fn send(
    client: &StatsdClient,
    gauges: Vec<(String, u64)>,
    counters: &Counters,
    sent: &mut Sent,
) -> Result<(), MetricError> {
    for (name, value) in gauges {
        client.gauge(&name, value)?;
    }
    sent.catch_up(client, counters)?;
    for time in counters.take_staleness() {
        client.time(STALENESS, time)?;
    }
    Ok(())
}

/// Turns a census into gauges.
pub(super) fn census_lines(labels: &mut Labels, census: &Census) -> Vec<(String, u64)> {
    labels.count(census);
    let people = (PEOPLE.name.to_owned(), census.people as u64);
    let versions = labels.counts();
    let versions =
        versions.map(|(label, count)| (format!("{}.{label}", VERSIONS.name), count as u64));
    std::iter::once(people).chain(versions).collect()
}

fn edge_lines(edge: &EdgeGauges) -> Vec<(String, u64)> {
    let line = |name: &str, value: usize| (name.to_owned(), value as u64);
    let connections = edge.connections.iter();
    let connections = connections.map(|(transport, protocol, count)| {
        let name = format!("{}.{transport}.{protocol}", CONNECTIONS.name);
        line(&name, *count)
    });
    [
        line(SESSIONS.name, edge.sessions),
        line(QUEUE_DEPTH.name, edge.queue_depth),
    ]
    .into_iter()
    .chain(connections)
    .collect()
}

/// A StatsD that may be absent.
pub(super) struct Statsd {
    pub(super) target: Target,
    /// The socket that systemd passed.
    socket: Option<UdpSocket>,
    /// The client for the last known address. It is kept while resolving fails.
    pub(super) client: Option<StatsdClient>,
    /// Whether the last attempt to resolve the host succeeded.
    is_found: bool,
    /// When to resolve the host again.
    due: Instant,
    /// Whether sending is failing. The log has one line when that begins and one when it ends.
    pub(super) is_failing: bool,
}

impl Statsd {
    pub(super) fn new(target: Target, socket: Option<UdpSocket>) -> Self {
        Self {
            target,
            socket,
            client: None,
            is_found: false,
            due: Instant::now(),
            is_failing: false,
        }
    }

    /// Resolves the host, if that is due.
    pub(super) async fn resolve_when_due(&mut self) {
        if Instant::now() < self.due {
            return;
        }
        match self.connect().await {
            Ok(client) => self.found(client),
            Err(error) => self.fail(&error),
        }
    }

    async fn connect(&self) -> io::Result<StatsdClient> {
        let Target { host, port, .. } = &self.target;
        let mut addresses = timeout(RESOLVE_TIMEOUT, lookup_host((host.as_str(), *port))).await??;
        let address = addresses.find(|address| self.reaches(address));
        let address = address.ok_or(io::ErrorKind::NotFound)?;
        let socket = match (&self.socket, address) {
            (Some(passed), _) => passed.try_clone(),
            (None, SocketAddr::V4(_)) => UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)),
            (None, SocketAddr::V6(_)) => UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0)),
        }?;
        socket.set_nonblocking(true)?;
        let sink = UdpMetricSink::from(address, socket).map_err(io::Error::other)?;
        Ok(StatsdClient::from_sink(&self.target.prefix, sink))
    }

    /// Whether the socket can send to an address. A passed socket is IPv4 or IPv6; a host may have addresses of both.
    fn reaches(&self, address: &SocketAddr) -> bool {
        self.socket.as_ref().is_none_or(|passed| {
            let from = passed.local_addr();
            from.is_ok_and(|from| from.is_ipv4() == address.is_ipv4())
        })
    }

    fn found(&mut self, client: StatsdClient) {
        self.client = Some(client);
        self.is_found = true;
        self.due = Instant::now() + RESOLVED_FOR;
    }

    /// Records that sending succeeded. It has recovered if resolving succeeds as well.
    pub(super) fn sent(&mut self) {
        if self.is_found && mem::take(&mut self.is_failing) {
            info!("statsd at {} is reachable again", self.target.host);
        }
    }

    fn drop_client(&mut self, error: &impl std::error::Error) {
        self.client = None;
        self.fail(error);
    }

    fn fail(&mut self, error: &impl std::error::Error) {
        if !mem::replace(&mut self.is_failing, true) {
            let host = &self.target.host;
            warn!(%error, "cannot send to statsd at {host}, trying again every {TICK:?}: {error}");
        }
        self.is_found = false;
        self.due = Instant::now() + TICK;
    }
}
