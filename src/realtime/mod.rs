//! The Socket.IO edge: from frames to events and from effects to frames.
//!
//! Lives here: everything that knows sockets. Not here: deciding who is told what (`presence`).
//! Invariant: one task, the hub, owns the registry and alone sends.

mod deadlines;
mod door;
mod elsewhere;
mod ending;
mod farewell;
mod guests;
mod handlers;
mod hang_up;
mod hub;
pub(crate) mod inbox;
mod namespace;
mod origin;
mod query;
mod session;
mod upgrade;
pub(crate) mod visit;
pub(crate) mod wire;

use std::sync::Arc;

use socketioxide::{
    ParserConfig, ProtocolVersion, SocketIo, TransportType, adapter::LocalAdapter,
    extract::SocketRef, operators::BroadcastOperators,
};
use tokio::sync::{Notify, watch};
use tokio_util::task::TaskTracker;

pub(crate) use door::Door;
pub(crate) use farewell::Farewell;
pub(crate) use inbox::{Delivery, HubGone, HubHandle};

use self::{
    guests::Guests,
    handlers::Greeter,
    hang_up::{Engine, HangUp},
    hub::{Hub, Outlet},
    origin::Origins,
    upgrade::Upgrades,
};
use crate::{
    config::{Config, Settings},
    presence::{Census, Registry, Rules, Snapshot},
    stats::{Counters, Pulse, Vitals},
};

/// Where browsers connect; nothing is offered on `/`.
const NAMESPACE: &str = "/socket.io";

/// The HTTP path of Engine.IO.
const PATH: &str = "/socket.io/";

/// A connection of a browser, as the library knows it.
type Socket = socketioxide::socket::Socket<LocalAdapter>;

/// Small, because our messages are: the default of 4 KiB is held per websocket.
const WS_READ_BUFFER_BYTES: usize = 512;

/// Messages that may wait for one connection.
const QUEUED_MESSAGES: usize = 128;

/// What a message takes to announce one binary attachment: `{"_placeholder":true,"num":0}`. Attachments are of no use here,
/// but whoever sends as many as a message can announce keeps the connection; only the event is dropped.
const PLACEHOLDER_BYTES: usize = 29;

/// What the library's queue has room for beyond that: what is written but not yet counted as such, and what the library
/// says by itself, of which a client can cause as much as it likes.
const SPARE_MESSAGES: usize = 32;

type BoxFuture = std::pin::Pin<Box<dyn Future<Output = ()> + Send>>;

/// The parts of the edge, built but not running.
pub(crate) struct Realtime {
    /// What the public listener serves.
    pub(crate) door: Door,
    /// To tell those who do not look into the settings by themselves.
    pub(crate) reload: Reload,
    /// How the rest of the daemon reaches the hub.
    pub(crate) hub: HubHandle,
    /// To end all sessions when the daemon does.
    pub(crate) farewell: Farewell,
    /// Told of every change that a snapshot might show.
    pub(crate) changed: Arc<Notify>,
    /// The latest census; the channel closes when the hub is done.
    pub(crate) census: watch::Receiver<Census>,
    /// How the edge is.
    pub(crate) pulse: Pulse,
    /// To be spawned.
    pub(crate) hub_task: BoxFuture,
    /// To be spawned too: ends connections that do not do in time what they ought to.
    pub(crate) deadlines: BoxFuture,
}

impl Realtime {
    /// Builds everything from the configuration, and from what the daemon before this one has left.
    pub(crate) fn new(
        settings: &Settings,
        left: Snapshot,
        counters: &Counters,
        tracker: &TaskTracker,
    ) -> Self {
        let config = &*settings.now();
        let limits = &config.limits;
        let (engine, io) = engine(config);
        let (hub, requests) = inbox::channel(limits.inbox);
        let hang_up = HangUp::new(engine.clone(), io.clone(), tracker.clone());
        let crowd = TaskTracker::new();
        let upgrades = Upgrades::default();
        let deadlines = Greeter {
            hub: hub.clone(),
            hang_up: hang_up.clone(),
            counters: counters.clone(),
            settings: settings.clone(),
            heartbeat: config.public.ping_interval + config.public.ping_timeout,
            identify_timeout: limits.identify_timeout,
            crowd: crowd.clone(),
        }
        .register(&io);
        let guests = Guests::new(limits, counters);
        let pulse = pulse(guests.clone(), hub.clone(), io.clone());
        let door = Door {
            engine,
            hang_up: hang_up.clone(),
            upgrades: upgrades.clone(),
            origins: Arc::new(Origins::new(settings.clone())),
            guests: guests.clone(),
            settings: settings.clone(),
            message_bytes: limits.message_bytes,
            counters: counters.clone(),
        };
        let farewell = Farewell {
            io: io.clone(),
            hang_up: hang_up.clone(),
            upgrades,
            crowd,
        };
        let outlet = Outlet {
            io,
            hang_up,
            counters: counters.clone(),
            settings: settings.clone(),
        };
        let registry = Registry::restored(rules(config), left, config.presence.restart_grace);
        let (census_sender, census) = watch::channel(Census::default());
        let changed = Arc::new(Notify::new());
        let hub_task = Hub::new(registry, outlet, census_sender, changed.clone()).run(requests);
        Self {
            door,
            reload: Reload {
                guests,
                hub: hub.clone(),
            },
            hub,
            farewell,
            changed,
            census,
            pulse,
            hub_task: Box::pin(hub_task),
            deadlines,
        }
    }
}

/// Those who keep something that is made from the settings, and so have to be told of other ones.
pub(crate) struct Reload {
    guests: Guests,
    hub: HubHandle,
}

impl Reload {
    /// Goes by another configuration from now on. No connection ends because of it.
    pub(crate) async fn take_up(&self, config: &Config) -> Result<(), HubGone> {
        self.guests.reload(&config.limits);
        self.hub.reload(rules(config)).await
    }
}

fn rules(config: &Config) -> Rules {
    Rules {
        merge_interval: config.public.merge_interval,
        grace: config.presence.grace,
        lost_places: config.limits.sessions,
        tabs_per_browser: config.limits.connections_per_user,
    }
}

/// Reads off how the edge is. The hub is not asked: it may be what is unwell.
fn pulse(guests: Guests, hub: HubHandle, io: SocketIo) -> Pulse {
    Pulse(Arc::new(move || {
        let namespace = io.of(NAMESPACE);
        let sockets = namespace.map(BroadcastOperators::sockets);
        let sockets = sockets.unwrap_or_default();
        let count = |transport, version| {
            let is_such = |socket: &&SocketRef| {
                socket.transport_type() == transport && socket.protocol() == version
            };
            sockets.iter().filter(is_such).count()
        };
        let (polling, websocket) = (TransportType::Polling, TransportType::Websocket);
        // The library counts versions of Socket.IO, which are one ahead of those of Engine.IO.
        let (three, four) = (ProtocolVersion::V4, ProtocolVersion::V5);
        Vitals {
            sessions: guests.count(),
            queue_depth: hub.queue_depth(),
            connections: vec![
                ("polling", "3", count(polling, three)),
                ("polling", "4", count(polling, four)),
                ("websocket", "3", count(websocket, three)),
                ("websocket", "4", count(websocket, four)),
            ],
        }
    }))
}

/// The library, set up as `config` says.
fn engine(config: &Config) -> (Engine, SocketIo) {
    let limits = &config.limits;
    SocketIo::builder()
        .req_path(PATH.trim_end_matches('/'))
        .ping_interval(config.public.ping_interval)
        .ping_timeout(config.public.ping_timeout)
        .connect_timeout(limits.identify_timeout)
        .max_buffer_size(QUEUED_MESSAGES + SPARE_MESSAGES)
        .max_payload(limits.message_bytes as u64)
        .ws_max_message_size(limits.message_bytes)
        .ws_max_frame_size(limits.message_bytes)
        .ws_read_buffer_size(WS_READ_BUFFER_BYTES)
        .with_parser(
            ParserConfig::common()
                .max_incoming_binaries(limits.message_bytes / PLACEHOLDER_BYTES)
                .max_incoming_binary_buf_size(limits.message_bytes),
        )
        .build_with_inner_svc(axum::Router::new())
}
