//! The Socket.IO edge: frames in, messages out.
//!
//! Lives here: everything that knows sockets. Not here: deciding who is told what (`presence`), and the order in which things
//! happen (`hub`).
//!
//! | module | what lives there |
//! |---|---|
//! | `engine` | the Socket.IO library, set up for this daemon |
//! | `http`, `refusal` | serving requests |
//! | `connect_query`, `origin`, `handshake`, `not_found` | reading a request |
//! | `admission` | how many sessions there may be, and how fast they may begin |
//! | `session` | what is known of a session |
//! | `namespaces`, `deadlines` | joining a namespace, and joining or identifying in time |
//! | `connection` | what a connection sends, and its end |
//! | `ending` | whether an end was a clean close or a loss |
//! | `close`, `drain` | ending sessions: one, all of them |
//! | `wire` | frames and what they mean |
//! | `outlet`, `links` | sending messages to connections |
//! | `gauges` | counting sessions and connections |

mod admission;
mod close;
mod connect_query;
mod connection;
mod deadlines;
mod drain;
mod ending;
mod engine;
mod gauges;
pub(crate) mod handshake;
mod http;
mod links;
mod namespaces;
mod not_found;
mod origin;
mod outlet;
mod refusal;
mod session;
pub(crate) mod wire;

use std::{pin::Pin, sync::Arc};

use tokio_util::task::TaskTracker;

pub(crate) use admission::Admission;
pub(crate) use drain::Drain;
pub(crate) use http::PublicApp;
pub(crate) use outlet::Sockets;

use self::{connection::ConnectionContext, links::Links, namespaces::Namespaces, origin::Origins};
use crate::{
    config::Settings,
    hub::HubHandle,
    stats::{Counters, GaugeProbe},
};

/// The parts of the edge, built but not running.
pub(crate) struct Edge {
    /// What the public listener serves.
    pub(crate) app: PublicApp,
    /// The way out to browsers, for the hub.
    pub(crate) sockets: Sockets,
    /// Admission to sessions, which keeps copies of settings and has to be told of new ones.
    pub(crate) admission: Admission,
    /// Ends all sessions when the daemon stops.
    pub(crate) drain: Drain,
    /// Reads the gauges of the edge.
    pub(crate) gauges: GaugeProbe,
    /// A task to spawn. It ends connections that do not join or identify in time.
    pub(crate) deadlines: Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl Edge {
    /// Builds the edge in front of a hub.
    pub(crate) fn new(settings: &Settings, hub: &HubHandle, counters: &Counters) -> Self {
        let config = &*settings.now();
        let (engine, io) = engine::engine(config);
        let connections = TaskTracker::new();
        let links = Links::default();
        let admission = Admission::new(&config.limits, counters);
        let context = ConnectionContext {
            hub: hub.clone(),
            links: links.clone(),
            counters: counters.clone(),
            settings: settings.clone(),
            heartbeat: config.public.ping_interval + config.public.ping_timeout,
            connections: connections.clone(),
        };
        let deadlines = Namespaces::new(context, config.limits.identify_timeout).register(&io);
        Self {
            app: PublicApp {
                engine,
                origins: Arc::new(Origins::new(settings.clone())),
                admission: admission.clone(),
                settings: settings.clone(),
                counters: counters.clone(),
            },
            sockets: Sockets {
                links,
                counters: counters.clone(),
                settings: settings.clone(),
            },
            gauges: gauges::probe(admission.clone(), hub.clone(), io.clone()),
            admission,
            drain: Drain { io, connections },
            deadlines: Box::pin(deadlines),
        }
    }
}
