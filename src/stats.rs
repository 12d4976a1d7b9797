//! What dashboards are told.
//!
//! Lives here: every metric name, the hygiene of labels, the StatsD client. Not here: counting people (`presence`).
//! Invariants: nothing here can fail or wait where browsers are served; a label that was ever sent is sent as 0
//! when it empties, because StatsD remembers the last value; labels are bounded and cannot forge a line.

use std::{
    collections::{BTreeMap, BTreeSet},
    io, mem,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use cadence::{Counted, Gauged, StatsdClient, Timed, UdpMetricSink};
use tokio::{
    net::lookup_host,
    sync::watch,
    time::{Instant, interval, timeout},
};
use tracing::{info, warn};

use crate::{
    config::Statsd as Target,
    presence::{AppVersion, Census},
};

#[cfg(test)]
mod tests;

/// How often counters are sent, and how often a StatsD host that could not be found is looked for.
const TICK: Duration = Duration::from_secs(10);

/// How long a name that was resolved is believed: StatsD may move, and UDP does not tell.
const RESOLVED_FOR: Duration = Duration::from_mins(1);

/// How long a resolver may think; it must leave room for the rest of a stop.
const RESOLVE_TIMEOUT: Duration = Duration::from_secs(2);

/// Where the label goes of a version that came after the bound was reached.
const OTHER: &str = "other";

/// Things that strangers can make happen; they are counted, not logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Counter {
    /// A frame was not what the protocol says.
    FrameMalformed,
    /// A frame named an event that does not exist.
    FrameUnknown,
    /// A frame came with binary attachments.
    FrameBinary,
    /// A connection had too many frames waiting and was closed.
    FrameFlood,
    /// A connection did not take what it was sent and was closed.
    SlowReader,
    /// A page of a foreign origin asked to connect.
    OriginRefused,
    /// There were as many sessions as there may be.
    SessionRefused,
    /// A session never joined the namespace and was closed.
    SessionIdle,
    /// A connection could not be accepted.
    AcceptFailed,
    /// As many connections were open as there are files for, and the next had to wait.
    AcceptDelayed,
    /// A connection was lost, and its place kept.
    PlaceLost,
    /// A browser came back to its place.
    PlaceResumed,
    /// Others never saw somebody vanish and come back.
    FlickerSuppressed,
    /// Nobody came back to a place in time.
    PlaceLapsed,
}

impl Counter {
    const ALL: [Self; 14] = [
        Self::FrameMalformed,
        Self::FrameUnknown,
        Self::FrameBinary,
        Self::FrameFlood,
        Self::SlowReader,
        Self::OriginRefused,
        Self::SessionRefused,
        Self::SessionIdle,
        Self::AcceptFailed,
        Self::AcceptDelayed,
        Self::PlaceLost,
        Self::PlaceResumed,
        Self::FlickerSuppressed,
        Self::PlaceLapsed,
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::FrameMalformed => "frame_rejected.malformed",
            Self::FrameUnknown => "frame_rejected.unknown_event",
            Self::FrameBinary => "frame_rejected.binary",
            Self::FrameFlood => "frame_rejected.flood",
            Self::SlowReader => "connection_closed.slow_reader",
            Self::OriginRefused => "session_refused.origin",
            Self::SessionRefused => "session_refused.limit",
            Self::SessionIdle => "session_closed.idle",
            Self::AcceptFailed => "accept_failed",
            Self::AcceptDelayed => "accept_delayed",
            Self::PlaceLost => "presence.lost",
            Self::PlaceResumed => "presence.resumed",
            Self::FlickerSuppressed => "presence.flicker_suppressed",
            Self::PlaceLapsed => "presence.lapsed",
        }
    }
}

/// For how long a place that lapsed had shown somebody who was gone.
const STALENESS: &str = "presence.staleness";

/// Most of such times that are remembered until they are sent.
const STALENESS_SAMPLES: usize = 100;

/// What has happened since it was last sent.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counters(Arc<Happened>);

#[derive(Debug, Default)]
struct Happened {
    /// How often, for each [`Counter`].
    counts: [AtomicU64; Counter::ALL.len()],
    /// At most [`STALENESS_SAMPLES`].
    staleness: Mutex<Vec<Duration>>,
}

impl Counters {
    /// Counts one.
    pub(crate) fn count(&self, counter: Counter) {
        if let Some(cell) = self.0.counts.get(counter as usize) {
            cell.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Takes note of how long somebody was shown who was gone.
    pub(crate) fn stale_for(&self, time: Duration) {
        let mut samples = self.staleness();
        if samples.len() < STALENESS_SAMPLES {
            samples.push(time);
        }
    }

    fn take(&self) -> impl Iterator<Item = (Counter, u64)> {
        let counts = self.0.counts.iter();
        let counts = counts.map(|cell| cell.swap(0, Ordering::Relaxed));
        Counter::ALL
            .into_iter()
            .zip(counts)
            .filter(|(_, count)| *count > 0)
    }

    fn take_staleness(&self) -> Vec<Duration> {
        mem::take(&mut *self.staleness())
    }

    /// Nothing panics while it holds this lock.
    fn staleness(&self) -> MutexGuard<'_, Vec<Duration>> {
        let samples = self.0.staleness.lock();
        samples.unwrap_or_else(PoisonError::into_inner)
    }
}

/// Sends each census and the counters until the sender of `census` is gone, the last census included.
///
/// At most `versions` names of versions are ever sent. A `socket` that was passed is sent from; otherwise one is opened.
pub(crate) async fn report(
    target: Target,
    socket: Option<UdpSocket>,
    versions: usize,
    mut census: watch::Receiver<Census>,
    counters: Counters,
) {
    let mut gauges = Gauges::new(versions);
    let mut statsd = Statsd::new(target, socket);
    let mut tick = interval(TICK);
    let mut unsent = false;
    let mut open = true;
    while open {
        tokio::select! {
            changed = census.changed() => {
                open = changed.is_ok();
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
        let latest = unsent.then(|| gauges.lines(&census.borrow()));
        match send(client, latest.unwrap_or_default(), &counters) {
            Ok(()) => unsent = false,
            Err(error) => statsd.lost(&error),
        }
    }
}

fn send(
    client: &StatsdClient,
    gauges: Vec<(String, u64)>,
    counters: &Counters,
) -> Result<(), cadence::MetricError> {
    for (name, value) in gauges {
        client.gauge(&name, value)?;
    }
    for (counter, count) in counters.take() {
        client.count(counter.name(), count)?;
    }
    for time in counters.take_staleness() {
        client.time(STALENESS, time)?;
    }
    Ok(())
}

/// Turns a census into gauges, and remembers which labels were ever sent.
struct Gauges {
    labels: BTreeSet<String>,
    bound: usize,
}

impl Gauges {
    fn new(bound: usize) -> Self {
        Self {
            labels: BTreeSet::new(),
            bound,
        }
    }

    fn lines(&mut self, census: &Census) -> Vec<(String, u64)> {
        let mut counts = BTreeMap::new();
        for (version, count) in &census.versions {
            *counts.entry(self.label(version)).or_default() += *count as u64;
        }
        let people = ("people_connected".to_owned(), census.people as u64);
        let versions = self.labels.iter().map(|label| {
            let count = counts.get(label).copied().unwrap_or_default();
            (format!("fe_version.{label}"), count)
        });
        std::iter::once(people).chain(versions).collect()
    }

    /// The label of a version. Once the bound is reached it never changes again, so that counts stay whole.
    fn label(&mut self, version: &AppVersion) -> String {
        let label = sanitised(version.as_str());
        let known = self.labels.contains(&label);
        let label = if known || self.labels.len() < self.bound {
            label
        } else {
            OTHER.to_owned()
        };
        self.labels.insert(label.clone());
        label
    }
}

fn sanitised(version: &str) -> String {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    version
        .chars()
        .map(|c| if allowed(c) { c } else { '_' })
        .collect()
}

/// A StatsD that may not be there.
struct Statsd {
    target: Target,
    /// What systemd passed to send from.
    socket: Option<UdpSocket>,
    /// What was last found, also while looking for it again is in vain.
    client: Option<StatsdClient>,
    /// When to look for the host again.
    due: Instant,
    /// Whether the operator has been told that something is wrong.
    troubled: bool,
}

impl Statsd {
    fn new(target: Target, socket: Option<UdpSocket>) -> Self {
        Self {
            target,
            socket,
            client: None,
            due: Instant::now(),
            troubled: false,
        }
    }

    /// Resolves the host when it is time to.
    async fn look_for_host(&mut self) {
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
        if mem::take(&mut self.troubled) {
            info!("statsd at {} is reachable again", self.target.host);
        }
        self.client = Some(client);
        self.due = Instant::now() + RESOLVED_FOR;
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
        self.due = Instant::now() + TICK;
    }
}
