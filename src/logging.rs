//! The log of the daemon.
//!
//! Lives here: where lines go, in which form, and from which level on. Not here: what is logged, which is for each module
//! to say.

use std::io::{IsTerminal, stderr};

use tracing::{Subscriber, level_filters::LevelFilter};
use tracing_subscriber::{
    Layer, Registry, filter::Targets, fmt, layer::SubscriberExt, reload, util::SubscriberInitExt,
};

use crate::config::{Log, LogFormat, LogLevel};

/// A handle on the log.
#[derive(Clone, Debug)]
pub struct Logging {
    filter: reload::Handle<Targets, Registry>,
}

impl Logging {
    /// Sends what the whole process logs from now on to standard error.
    #[must_use]
    pub fn start(config: &Log) -> Self {
        let (logging, subscriber) = Self::new(config);
        subscriber.init();
        logging
    }

    /// The log, for whoever makes it the one of the process or of a test.
    pub(crate) fn new(config: &Log) -> (Self, impl Subscriber + Send + Sync) {
        let (filter, handle) = reload::Layer::new(filter(config.level));
        let lines = fmt::layer()
            .with_writer(stderr)
            .with_ansi(stderr().is_terminal());
        let lines = match config.format {
            LogFormat::Text => lines.boxed(),
            LogFormat::Json => lines.json().flatten_event(true).boxed(),
        };
        let subscriber = tracing_subscriber::registry().with(lines.with_filter(filter));
        (Self { filter: handle }, subscriber)
    }

    /// Logs from another level on.
    pub(crate) fn set_level(&self, level: LogLevel) {
        // An error means that the log is gone, and then nobody reads it.
        let _ = self.filter.reload(filter(level));
    }
}

/// Dependencies may only warn: at lower levels they show what clients send.
fn filter(level: LogLevel) -> Targets {
    let level: LevelFilter = level.name().parse().unwrap_or(LevelFilter::INFO);
    Targets::new()
        .with_default(LevelFilter::WARN.min(level))
        .with_target(env!("CARGO_CRATE_NAME"), level)
}
