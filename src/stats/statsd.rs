//! Sending to StatsD.
//!
//! Lives here: the client, and what is sent when. Not here: names (`names`).
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

/// How often counters are sent, and how often a StatsD host that could not be found is looked for.
pub(super) const TICK: Duration = Duration::from_secs(10);

/// How long a name that was resolved is believed: StatsD may move, and UDP does not tell.
pub(super) const RESOLVED_FOR: Duration = Duration::from_mins(1);

/// How long a resolver may think; it must leave room for the rest of a stop.
const RESOLVE_TIMEOUT: Duration = Duration::from_secs(2);

/// Sends each census and, now and then, all the rest until the sender of the census is gone, the last state included.
///
/// At most `versions` names of versions are sent at a time. A `socket` that was passed is sent from; otherwise one is opened.
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
            // At the end there is no time to look for anybody.
            statsd.look_for_host().await;
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
                statsd.took();
            }
            Err(error) => statsd.lost(&error),
        }
    }
}

/// How much of each counter StatsD has been sent.
pub(super) struct Sent([u64; Counter::COUNT]);

impl Default for Sent {
    fn default() -> Self {
        Self([0; Counter::COUNT])
    }
}

impl Sent {
    /// Sends what has been counted since.
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

/// A StatsD that may not be there.
pub(super) struct Statsd {
    pub(super) target: Target,
    /// What systemd passed to send from.
    socket: Option<UdpSocket>,
    /// What was last found, also while looking for it again is in vain.
    pub(super) client: Option<StatsdClient>,
    /// Whether looking for the host was of use the last time.
    is_found: bool,
    /// When to look for the host again.
    due: Instant,
    /// Whether the operator has been told that something is wrong.
    pub(super) troubled: bool,
}

impl Statsd {
    pub(super) fn new(target: Target, socket: Option<UdpSocket>) -> Self {
        Self {
            target,
            socket,
            client: None,
            is_found: false,
            due: Instant::now(),
            troubled: false,
        }
    }

    /// Resolves the host when it is time to.
    pub(super) async fn look_for_host(&mut self) {
        if Instant::now() < self.due {
            return;
        }
        match self.connect().await {
            Ok(client) => self.found(client),
            Err(error) => self.trouble(&error),
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

    /// A socket that was passed is of one family of addresses; a host may have addresses of both.
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

    /// Something could be sent. If the host could be found as well, all is well again.
    pub(super) fn took(&mut self) {
        if self.is_found && mem::take(&mut self.troubled) {
            info!("statsd at {} is reachable again", self.target.host);
        }
    }

    fn lost(&mut self, error: &impl std::error::Error) {
        self.client = None;
        self.trouble(error);
    }

    fn trouble(&mut self, error: &impl std::error::Error) {
        if !mem::replace(&mut self.troubled, true) {
            let host = &self.target.host;
            warn!(%error, "cannot send to statsd at {host}, trying again every {TICK:?}: {error}");
        }
        self.is_found = false;
        self.due = Instant::now() + TICK;
    }
}
