//! Metrics.
//!
//! Lives here: counting events, and sending and showing the counts. Not here: counting people (`presence`).
//!
//! | module | what lives there |
//! |---|---|
//! | `names` | the table of all metrics |
//! | `labels` | which versions of the app are counted by name |
//! | `presence` | which counters an event or a change of presence counts for |
//! | `statsd` | sending to StatsD |
//! | `warnings` | log lines about refusals that a setting would prevent |
//! | `openmetrics` | the page that Prometheus and similar programs read |
//!
//! Invariants: nothing here can fail or wait where browsers are served; labels are bounded and cannot forge a line.

mod labels;
mod names;
mod openmetrics;
mod presence;
mod statsd;
#[cfg(test)]
mod tests;
mod warnings;

use std::{
    fmt, mem,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use tokio::sync::watch;

pub(crate) use self::{
    names::Counter,
    openmetrics::{MEDIA_TYPE, OpenMetrics},
    statsd::report,
    warnings::warn_of_refusals,
};
use crate::presence::Census;

/// The most staleness times that are kept until they are sent.
const STALENESS_SAMPLES: usize = 100;

/// The most characters of an example that are logged.
const MAX_EXAMPLE_CHARS: usize = 100;

/// The sources of all metrics.
#[derive(Clone, Debug)]
pub(crate) struct Sources {
    /// The latest census. The channel closes when the hub has ended.
    pub(crate) census: watch::Receiver<Census>,
    pub(crate) counters: Counters,
    pub(crate) gauges: GaugeProbe,
}

/// The counters of the daemon. Clones count together.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counters(Arc<Counts>);

#[derive(Debug)]
struct Counts {
    /// The count of each [`Counter`] since the daemon started.
    totals: [AtomicU64; Counter::COUNT],
    /// At most [`STALENESS_SAMPLES`].
    staleness: Mutex<Vec<Duration>>,
    /// An example of what was refused since the counter was last logged, at most one for each counter.
    examples: Mutex<Vec<(Counter, String)>>,
    /// The time in seconds from receiving a frame until the messages that are due at once have been queued.
    hub_latency: Histogram,
}

impl Default for Counts {
    fn default() -> Self {
        Self {
            totals: [const { AtomicU64::new(0) }; Counter::COUNT],
            staleness: Mutex::default(),
            examples: Mutex::default(),
            // Buckets from 25 µs to 6.5 s.
            hub_latency: Histogram::new(exponential_buckets(25e-6, 4.0, 10)),
        }
    }
}

impl Counters {
    /// Counts one.
    pub(crate) fn count(&self, counter: Counter) {
        if let Some(cell) = self.0.totals.get(counter as usize) {
            cell.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Counts one, and keeps `example` for the log if there is none yet. It must not be personal.
    pub(crate) fn refuse(&self, counter: Counter, example: &str) {
        self.count(counter);
        let mut examples = self.0.examples.lock();
        if !example.is_empty() && !examples.iter().any(|(known, _)| *known == counter) {
            let example = example.chars().take(MAX_EXAMPLE_CHARS).map(quotable);
            examples.push((counter, example.collect()));
        }
    }

    /// Records how long a user who was gone may have been shown to others.
    fn stale_for(&self, time: Duration) {
        let mut samples = self.0.staleness.lock();
        if samples.len() < STALENESS_SAMPLES {
            samples.push(time);
        }
    }

    /// Records how long a frame took.
    pub(crate) fn handled_in(&self, time: Duration) {
        self.0.hub_latency.observe(time.as_secs_f64());
    }

    /// The count of a counter since the daemon started.
    pub(crate) fn total(&self, counter: Counter) -> u64 {
        let cell = self.0.totals.get(counter as usize);
        cell.map_or(0, |cell| cell.load(Ordering::Relaxed))
    }

    fn take_example(&self, counter: Counter) -> Option<String> {
        let mut examples = self.0.examples.lock();
        let at = examples.iter().position(|(known, _)| *known == counter)?;
        Some(examples.swap_remove(at).1)
    }

    fn take_staleness(&self) -> Vec<Duration> {
        mem::take(&mut *self.0.staleness.lock())
    }
}

/// Replaces characters with which a client could forge another line or field of the log.
fn quotable(c: char) -> char {
    if c.is_ascii_alphanumeric() || ".-_:[]".contains(c) {
        c
    } else {
        '_'
    }
}

/// Reads the gauges of the edge, whenever they are to be sent or shown.
#[derive(Clone)]
pub(crate) struct GaugeProbe(pub(crate) Arc<dyn Fn() -> EdgeGauges + Send + Sync>);

impl fmt::Debug for GaugeProbe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("GaugeProbe")
    }
}

impl GaugeProbe {
    fn read(&self) -> EdgeGauges {
        (self.0)()
    }
}

/// The gauges of the Socket.IO edge.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct EdgeGauges {
    /// Open sessions, in the namespace or not.
    pub(crate) sessions: usize,
    /// Requests that wait for the hub.
    pub(crate) queue_depth: usize,
    /// Connections in the namespace by transport and version of Engine.IO. Every combination is there, also with a count of 0.
    pub(crate) connections: Vec<(&'static str, &'static str, usize)>,
}
