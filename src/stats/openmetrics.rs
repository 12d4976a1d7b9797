//! The page that Prometheus and similar programs read.
//!
//! Lives here: writing all metrics as OpenMetrics. Not here: names (`names`), serving (`admin`).

use std::fmt;

use parking_lot::Mutex;
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric, text},
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge, info::Info},
    registry::Registry,
};

use super::{
    Sources,
    labels::Labels,
    names::{
        CONNECTIONS, FAMILIES, Family, HUB_LATENCY, Metric, PEOPLE, QUEUE_DEPTH, SESSIONS, VERSIONS,
    },
};

/// The prefix of every name, so that no other program has the same.
const PREFIX: &str = "cla_socketserver";

/// The media type of the page.
pub(crate) const MEDIA_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Renders the page.
#[derive(Debug)]
pub(crate) struct OpenMetrics(Registry);

impl OpenMetrics {
    /// A page that shows at most `versions` names of versions at a time.
    pub(crate) fn new(sources: Sources, versions: usize) -> Self {
        let mut registry = Registry::with_prefix(PREFIX);
        let version = [("version", env!("CARGO_PKG_VERSION"))];
        registry.register("build", "The daemon", Info::new(version));
        let latency = sources.counters.0.hub_latency.clone();
        registry.register(HUB_LATENCY.name, HUB_LATENCY.help, latency);
        registry.register_collector(Box::new(Reader {
            sources,
            labels: Mutex::new(Labels::new(versions)),
        }));
        Self(registry)
    }

    /// The page with all metrics as they are now.
    pub(crate) fn render(&self) -> Result<String, fmt::Error> {
        let mut page = String::new();
        text::encode(&mut page, &self.0)?;
        Ok(page)
    }
}

/// Reads the metrics that are not in the registry.
#[derive(Debug)]
struct Reader {
    sources: Sources,
    labels: Mutex<Labels>,
}

impl Collector for Reader {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let census = self.sources.census.borrow().clone();
        let edge = self.sources.gauges.read();
        let no_label: [(&str, &str); 0] = [];
        gauges(&mut encoder, &PEOPLE, [(no_label, census.people)])?;
        gauges(&mut encoder, &SESSIONS, [(no_label, edge.sessions)])?;
        gauges(&mut encoder, &QUEUE_DEPTH, [(no_label, edge.queue_depth)])?;
        let connections = edge.connections.iter();
        let connections = connections.map(|&(transport, protocol, count)| {
            ([("transport", transport), ("protocol", protocol)], count)
        });
        gauges(&mut encoder, &CONNECTIONS, connections)?;
        let mut labels = self.labels.lock();
        labels.count(&census);
        let versions = labels.counts();
        let versions = versions.map(|(version, count)| ([("version", version)], count));
        gauges(&mut encoder, &VERSIONS, versions)?;
        labels.reported();
        let mut families = FAMILIES.iter();
        families.try_for_each(|family| self.counts(&mut encoder, family))
    }
}

impl Reader {
    fn counts(&self, encoder: &mut DescriptorEncoder, family: &Family) -> fmt::Result {
        let mut metrics =
            encoder.encode_descriptor(family.name, family.help, None, MetricType::Counter)?;
        family.members.iter().try_for_each(|(counter, value)| {
            let count = ConstCounter::new(self.sources.counters.total(*counter));
            count.encode(metrics.encode_family(&[(family.label, *value)])?)
        })
    }
}

fn gauges<L: EncodeLabelSet>(
    encoder: &mut DescriptorEncoder,
    gauge: &Metric,
    values: impl IntoIterator<Item = (L, usize)>,
) -> fmt::Result {
    let mut metrics = encoder.encode_descriptor(gauge.name, gauge.help, None, MetricType::Gauge)?;
    values.into_iter().try_for_each(|(labels, value)| {
        let value = ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX));
        value.encode(metrics.encode_family(&labels)?)
    })
}
