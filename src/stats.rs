//! What dashboards are told.
//!
//! Lives here: counting, and what can be read off the daemon. Not here: counting people (`presence`).
//!
//! | module | what lives there |
//! |---|---|
//! | `names` | the table of every metric |
//! | `labels` | which versions of the app are counted by name |
//! | `statsd` | sending to StatsD |
//! | `warnings` | the log lines about refusals that an operator can mend |
//! | `page` | the page that Prometheus and its like read |
//!
//! Invariants: nothing here can fail or wait where browsers are served; labels are bounded and cannot forge a line.

mod labels;
mod names;
mod page;
mod statsd;
#[cfg(test)]
mod tests;
mod warnings;

use std::{
    fmt, mem,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use tokio::sync::watch;

pub(crate) use self::{
    names::Counter,
    page::{MEDIA_TYPE, Page},
    statsd::report,
    warnings::warn_of_refusals,
};
use crate::presence::Census;

/// Most times of staleness that are remembered until they are sent.
const STALENESS_SAMPLES: usize = 100;

/// More of an example would not help an operator.
const MAX_EXAMPLE_CHARS: usize = 100;

/// Where everything comes from that there is to tell.
#[derive(Clone, Debug)]
pub(crate) struct Sources {
    /// The latest; the channel closes when the hub is done.
    pub(crate) census: watch::Receiver<Census>,
    pub(crate) counters: Counters,
    pub(crate) pulse: Pulse,
}

/// What has happened since the daemon began.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counters(Arc<Happened>);

#[derive(Debug)]
struct Happened {
    /// How often, for each [`Counter`].
    counts: [AtomicU64; Counter::COUNT],
    /// At most [`STALENESS_SAMPLES`].
    staleness: Mutex<Vec<Duration>>,
    /// At most one of each counter: what was refused, since that was last logged.
    examples: Mutex<Vec<(Counter, String)>>,
    /// From the arrival of a frame until everybody has been sent what follows from it, in seconds.
    hub_latency: Histogram,
}

impl Default for Happened {
    fn default() -> Self {
        Self {
            counts: [const { AtomicU64::new(0) }; Counter::COUNT],
            staleness: Mutex::default(),
            examples: Mutex::default(),
            // From 25 µs to 6.5 s.
            hub_latency: Histogram::new(exponential_buckets(25e-6, 4.0, 10)),
        }
    }
}

impl Counters {
    /// Counts one.
    pub(crate) fn count(&self, counter: Counter) {
        if let Some(cell) = self.0.counts.get(counter as usize) {
            cell.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Counts one, and keeps what was refused as an example for the log if there is none yet. It must be nothing personal.
    pub(crate) fn refuse(&self, counter: Counter, example: &str) {
        self.count(counter);
        let mut examples = self.examples();
        if !example.is_empty() && !examples.iter().any(|(known, _)| *known == counter) {
            let example = example.chars().take(MAX_EXAMPLE_CHARS).map(quotable);
            examples.push((counter, example.collect()));
        }
    }

    /// Takes note of how long somebody was shown who was gone.
    pub(crate) fn stale_for(&self, time: Duration) {
        let mut samples = self.staleness();
        if samples.len() < STALENESS_SAMPLES {
            samples.push(time);
        }
    }

    /// Takes note of how long a frame took.
    pub(crate) fn handled_in(&self, time: Duration) {
        self.0.hub_latency.observe(time.as_secs_f64());
    }

    /// How often that has happened.
    pub(crate) fn total(&self, counter: Counter) -> u64 {
        let cell = self.0.counts.get(counter as usize);
        cell.map_or(0, |cell| cell.load(Ordering::Relaxed))
    }

    fn take_example(&self, counter: Counter) -> Option<String> {
        let mut examples = self.examples();
        let at = examples.iter().position(|(known, _)| *known == counter)?;
        Some(examples.swap_remove(at).1)
    }

    /// Nothing panics while it holds this lock.
    fn examples(&self) -> MutexGuard<'_, Vec<(Counter, String)>> {
        let examples = self.0.examples.lock();
        examples.unwrap_or_else(PoisonError::into_inner)
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

/// What a client made up shall not look like another line or field of the log.
fn quotable(c: char) -> char {
    if c.is_ascii_alphanumeric() || ".-_:[]".contains(c) {
        c
    } else {
        '_'
    }
}

/// What is read off the daemon when somebody wants to know.
#[derive(Clone)]
pub(crate) struct Pulse(pub(crate) Arc<dyn Fn() -> Vitals + Send + Sync>);

impl fmt::Debug for Pulse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pulse")
    }
}

impl Pulse {
    fn take(&self) -> Vitals {
        (self.0)()
    }
}

/// How the daemon is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Vitals {
    /// Open sessions, in the namespace or not.
    pub(crate) sessions: usize,
    /// What waits for the hub.
    pub(crate) queue_depth: usize,
    /// Connections in the namespace by transport and version of Engine.IO; each kind, also those that there are none of.
    pub(crate) connections: Vec<(&'static str, &'static str, usize)>,
}
