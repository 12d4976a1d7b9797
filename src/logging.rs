//! The log of the daemon.
//!
//! Lives here: the destination, format and level of log lines. Not here: what is logged, which each module decides.
//!
//! | module | what lives there |
//! |---|---|
//! | `queue` | lines that wait to be written, and the thread that writes them |
//! | `journal` | the formats of the systemd journal |
//!
//! Invariant: logging never waits for the reader of the log. Lines are lost instead, counted, and the loss is logged.

mod journal;
mod queue;

use std::{
    backtrace::{Backtrace, BacktraceStatus},
    fs::File,
    io::{self, IsTerminal, Write, stderr},
    os::fd::AsFd,
    panic,
    sync::Arc,
    thread,
};

use tracing::{Event, Level, Metadata, Subscriber, error, level_filters::LevelFilter};
use tracing_subscriber::{
    Layer, Registry,
    filter::Targets,
    fmt,
    fmt::MakeWriter,
    layer::{Context, SubscriberExt},
    reload,
    util::SubscriberInitExt,
};

use self::{
    journal::{Journal, priority},
    queue::{Queue, Record, Sink},
};
use crate::{
    config::{Log, LogFormat, LogLevel},
    stats::Counters,
};

/// A handle on the log.
#[derive(Clone, Debug)]
pub struct Logging {
    queue: Arc<Queue>,
    filter: reload::Handle<Targets, Registry>,
    form: Form,
}

/// Waits, when it is dropped, until the log has been written, but not for long.
#[derive(Debug)]
pub struct Flush(Arc<Queue>);

/// The format of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// A line on standard error.
    Line,
    /// A line with its priority as a prefix, which the journal removes: see `sd-daemon(3)`.
    Prefixed,
    /// An entry in the journal's own protocol.
    Entry,
}

impl Logging {
    /// Starts the log of the whole process, including panics. It goes to the journal if that reads standard error, and to
    /// standard error otherwise.
    ///
    /// `journal_stream` is the value of `JOURNAL_STREAM`, by which systemd names the stream that it reads.
    ///
    /// # Errors
    /// When the operating system refuses a thread or a descriptor.
    pub fn start(config: &Log, journal_stream: Option<&str>) -> io::Result<(Self, Flush)> {
        let stderr = File::from(stderr().as_fd().try_clone_to_owned()?);
        let is_journal = journal::reads(journal_stream, &stderr);
        let journal = match config.format {
            LogFormat::Text if is_journal => Journal::connect().ok(),
            LogFormat::Text | LogFormat::Json => None,
        };
        let form = match (&journal, is_journal) {
            (Some(_), _) => Form::Entry,
            (None, true) => Form::Prefixed,
            (None, false) => Form::Line,
        };
        let (logging, subscriber) = Self::new(config, form);
        let queue = logging.queue.clone();
        let sink = Sink { stderr, journal };
        let writer = thread::Builder::new().name("log".to_owned());
        writer.spawn(move || queue.write_to(sink))?;
        subscriber.init();
        // The default hook would wait for standard error, and the death of the task would go unnoticed meanwhile.
        panic::set_hook(Box::new(log_panic));
        let flush = Flush(logging.queue.clone());
        Ok((logging, flush))
    }

    /// A log without a reader.
    #[cfg(any(test, fuzzing))]
    #[must_use]
    pub fn unread() -> Self {
        Self::new(&crate::config::Config::default().log, Form::Line).0
    }

    fn new(config: &Log, form: Form) -> (Self, impl Subscriber + Send + Sync) {
        let queue = Arc::new(Queue::new(Counters::default()));
        let (filter, handle) = reload::Layer::new(filter(config.level));
        let lines = Lines {
            queue: queue.clone(),
            form,
        };
        let lines = fmt::layer()
            .with_writer(lines)
            .with_ansi(stderr().is_terminal());
        let layer = match (form, config.format) {
            (Form::Entry, _) => Entries(queue.clone()).boxed(),
            (Form::Line | Form::Prefixed, LogFormat::Json) => {
                lines.json().flatten_event(true).boxed()
            }
            (Form::Line, LogFormat::Text) => lines.boxed(),
            // The journal adds the time.
            (Form::Prefixed, LogFormat::Text) => lines.without_time().boxed(),
        };
        let subscriber = tracing_subscriber::registry().with(layer.with_filter(filter));
        let logging = Self {
            queue,
            filter: handle,
            form,
        };
        (logging, subscriber)
    }

    /// Changes the level.
    pub(crate) fn set_level(&self, level: LogLevel) {
        // An error means that the log has ended.
        let _ = self.filter.reload(filter(level));
    }

    /// All counters of the daemon. The log counts the lines that were lost.
    pub(crate) fn counters(&self) -> &Counters {
        self.queue.counters()
    }

    /// Logs why the process ends.
    ///
    /// The journal looks up the unit of the sender when it reads an entry. The entry of a process that has exited by then has no
    /// unit; a line on standard error has one.
    pub fn fatal(&self, reason: &str) {
        match self.form {
            Form::Entry => {
                let line = journal::prefixed(priority(Level::ERROR), reason);
                self.queue.push(Record::Line(line.into_bytes()));
            }
            Form::Line | Form::Prefixed => error!(error = reason, "{reason}"),
        }
    }
}

impl Drop for Flush {
    fn drop(&mut self) {
        let Self(queue) = self;
        queue.flush();
    }
}

/// Says what is wrong where there is no log yet, on standard error.
pub fn complain(reason: &str, journal_stream: Option<&str>) {
    let is_journal = || {
        let stderr = stderr().as_fd().try_clone_to_owned().map(File::from);
        stderr.is_ok_and(|stderr| journal::reads(journal_stream, &stderr))
    };
    let text = if is_journal() {
        journal::prefixed(priority(Level::ERROR), reason)
    } else {
        format!("{}\n", reason.trim_end())
    };
    // Nowhere to report to if standard error is gone.
    let _ = stderr().write_all(text.as_bytes());
}

/// Dependencies may only warn: at lower levels they show what clients send.
fn filter(level: LogLevel) -> Targets {
    let level: LevelFilter = level.name().parse().unwrap_or(LevelFilter::INFO);
    Targets::new()
        .with_default(LevelFilter::WARN.min(level))
        .with_target(env!("CARGO_CRATE_NAME"), level)
}

fn log_panic(panic: &panic::PanicHookInfo<'_>) {
    let reason = panic.payload_as_str().unwrap_or("for no reason given");
    let location = panic.location().map(ToString::to_string);
    let location = location.unwrap_or_default();
    // Only with RUST_BACKTRACE.
    let backtrace = Backtrace::capture();
    if backtrace.status() == BacktraceStatus::Captured {
        error!("panicked at {location}: {reason}\n{backtrace}");
    } else {
        error!("panicked at {location}: {reason}");
    }
}

/// Makes a journal entry of each event.
struct Entries(Arc<Queue>);

impl<S: Subscriber> Layer<S> for Entries {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        self.0.push(Record::Entry(journal::entry(event)));
    }
}

/// Makes a writer for each line.
struct Lines {
    queue: Arc<Queue>,
    form: Form,
}

/// Writes one line.
struct Line<'a> {
    queue: &'a Queue,
    /// The priority that the line is prefixed with.
    prefix: Option<u8>,
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Line<'a> {
        Line {
            queue: &self.queue,
            prefix: None,
        }
    }

    fn make_writer_for(&'a self, meta: &Metadata<'_>) -> Line<'a> {
        Line {
            prefix: (self.form == Form::Prefixed).then(|| priority(*meta.level())),
            ..self.make_writer()
        }
    }
}

impl Write for Line<'_> {
    /// Receives the whole line: `tracing-subscriber` writes an event in one call.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let record = match self.prefix {
            Some(priority) => {
                journal::prefixed(priority, &String::from_utf8_lossy(line)).into_bytes()
            }
            None => line.to_vec(),
        };
        self.queue.push(Record::Line(record));
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
