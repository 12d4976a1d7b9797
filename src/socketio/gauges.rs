//! Counting sessions and connections.
//!
//! Lives here: reading the gauges of the edge. Not here: their names (`stats`).

use std::sync::Arc;

use socketioxide::{
    ProtocolVersion, SocketIo, TransportType, extract::SocketRef, operators::BroadcastOperators,
};

use super::{admission::Admission, engine::NAMESPACE};
use crate::{
    hub::HubHandle,
    stats::{EdgeGauges, GaugeProbe},
};

/// A probe that reads the gauges. It does not ask the hub, which may hang.
pub(super) fn probe(admission: Admission, hub: HubHandle, io: SocketIo) -> GaugeProbe {
    GaugeProbe(Arc::new(move || EdgeGauges {
        sessions: admission.sessions(),
        queue_depth: hub.queue_depth(),
        connections: connections(&io),
    }))
}

/// Connections in the namespace by transport and version of Engine.IO.
fn connections(io: &SocketIo) -> Vec<(&'static str, &'static str, usize)> {
    let namespace = io.of(NAMESPACE);
    let sockets = namespace.map(BroadcastOperators::sockets);
    let sockets = sockets.unwrap_or_default();
    let count = |transport, version| {
        let matches = |socket: &&SocketRef| {
            socket.transport_type() == transport && socket.protocol() == version
        };
        sockets.iter().filter(matches).count()
    };
    let (polling, websocket) = (TransportType::Polling, TransportType::Websocket);
    // The library counts versions of Socket.IO, which are one ahead of the versions of Engine.IO.
    let (three, four) = (ProtocolVersion::V4, ProtocolVersion::V5);
    vec![
        ("polling", "3", count(polling, three)),
        ("polling", "4", count(polling, four)),
        ("websocket", "3", count(websocket, three)),
        ("websocket", "4", count(websocket, four)),
    ]
}
