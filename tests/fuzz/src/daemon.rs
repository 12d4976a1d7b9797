//! The daemon, in the process of the fuzzer.
//!
//! Lives here: its configuration, starting it once, crashing when it ends or logs a warning.

use std::{
    net::{SocketAddr, UdpSocket},
    process::{abort, exit},
    sync::{LazyLock, mpsc},
    thread,
};

use cla_socketserver::{
    app::App,
    config::{Config, Flags, Sockets, Source},
    lifecycle::Signals,
    logging::Logging,
    net::{Listeners, Passed, raise_file_limit},
};
use tokio::{
    runtime,
    signal::unix::{SignalKind, signal},
};
use tracing::{Event, Level, Metadata, Subscriber, span};

/// Addresses of the daemon.
#[derive(Clone, Copy, Debug)]
pub struct Daemon {
    /// Public listener, for browsers.
    pub public: SocketAddr,
    /// Admin listener, for staff.
    pub admin: SocketAddr,
}

/// Settings of the daemon. Short time-outs: connections of one input must not outlive it. High limits: the pair of users sends
/// more events in a second than real users do in hours.
const SETTINGS: [(&str, &str); 14] = [
    ("CLA_SITE_HOSTNAME", "chs.example.org"),
    ("CLA_PUBLIC__LISTEN", "127.0.0.1:0"),
    ("CLA_ADMIN__LISTEN", "127.0.0.1:0"),
    ("CLA_PUBLIC__PING_INTERVAL_MS", "2000"),
    ("CLA_PUBLIC__PING_TIMEOUT_MS", "8000"),
    ("CLA_PUBLIC__MERGE_INTERVAL_MS", "1"),
    ("CLA_PRESENCE__GRACE_MS", "2"),
    ("CLA_LIMITS__HANDSHAKES_PER_SECOND", "1000000"),
    ("CLA_LIMITS__SESSIONS_PER_ADDRESS", "5"),
    ("CLA_LIMITS__EVENTS_PER_SECOND", "1000000"),
    ("CLA_LIMITS__EVENTS_BURST", "1000000"),
    ("CLA_LIMITS__BYTES_PER_SECOND", "104857600"),
    ("CLA_LIMITS__MESSAGE_BYTES", "4096"),
    ("CLA_LIMITS__ADMIN_BODY_BYTES", "4096"),
];

/// The daemon. The first call starts it; it runs until the process ends.
#[must_use]
pub fn daemon() -> Daemon {
    static DAEMON: LazyLock<Daemon> = LazyLock::new(start);
    *DAEMON
}

fn start() -> Daemon {
    let tripwire = tracing::subscriber::set_global_default(Tripwire);
    tripwire.expect("no other subscriber");
    // An open port, because the daemon logs a warning if nothing listens there.
    let statsd = UdpSocket::bind("127.0.0.1:0").expect("a free UDP port");
    let port = statsd.local_addr().expect("its port").port().to_string();
    let settings = SETTINGS
        .into_iter()
        .chain([("CLA_STATSD__PORT", port.as_str())]);
    let environment = settings.map(|(name, value)| (name.to_owned(), value.to_owned()));
    // The default file may exist on a machine that runs the daemon.
    let flags = Flags {
        config: Some("/dev/null".into()),
        ..Flags::default()
    };
    let source = Source {
        flags,
        env: environment.collect(),
        sockets: Sockets::default(),
    };
    let loaded = source.load();
    let config = loaded.unwrap_or_else(|errors| panic!("{errors}")).config;
    let (listening, listens) = mpsc::channel();
    thread::spawn(move || {
        let _open = statsd;
        run(config, source, &listening);
    });
    listens.recv().expect("a daemon that starts")
}

fn run(config: Config, source: Source, listening: &mpsc::Sender<Daemon>) {
    let runtime = runtime::Builder::new_multi_thread().enable_all().build();
    let ended = runtime.expect("a runtime").block_on(async {
        let listeners = Listeners::open(&config, Passed::default())?;
        let address = |listeners: &[tokio::net::TcpListener]| listeners[0].local_addr();
        let daemon = Daemon {
            public: address(&listeners.public)?,
            admin: address(&listeners.admin)?,
        };
        // Rust's runtime ignores SIGPIPE, but libFuzzer replaces its `main`. Without this, a write to a closed connection ends the
        // process.
        let _broken_pipes = signal(SignalKind::pipe())?;
        let signals = Signals::listen()?;
        let app = App {
            config,
            source,
            logging: Logging::unread(),
            listeners,
            machine: "fuzz".to_owned(),
            files: raise_file_limit(),
            demo: true,
        };
        listening.send(daemon)?;
        app.run(signals).await
    });
    match ended {
        // The fuzzer was interrupted.
        Ok(()) => exit(0),
        Err(error) => {
            eprintln!("the daemon has ended: {error:#}");
            abort();
        }
    }
}

/// Makes errors and warnings of the daemon crashes: clients may cause only log lines at `debug`, and warnings that are limited
/// to one a minute.
struct Tripwire;

impl Subscriber for Tripwire {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= Level::WARN
            && metadata.target().starts_with("cla_socketserver")
            && metadata.target() != "cla_socketserver::stats::warnings"
    }

    fn event(&self, event: &Event<'_>) {
        panic!("a client has caused a line in the log: {event:?}");
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}
