//! The Socket.IO library, set up for this daemon.
//!
//! Lives here: its types, names and bounds. Not here: what is done with it.

use socketioxide::{ParserConfig, SocketIo, adapter::LocalAdapter, service::SocketIoService};

use crate::{config::Config, presence::Bytes};

/// The namespace that browsers connect to. Nothing is offered in the root namespace.
pub(super) const NAMESPACE: &str = "/socket.io";

/// The HTTP path of Engine.IO.
pub(super) const PATH: &str = "/socket.io/";

/// A connection of a browser, as the library knows it.
pub(super) type Socket = socketioxide::socket::Socket<LocalAdapter>;

/// The Engine.IO server as an HTTP service. Every other path is not found.
pub(super) type Engine = SocketIoService<axum::Router>;

/// The read buffer of a websocket. It is small because messages from browsers are; the library's default holds 4 KiB for each
/// websocket.
const WS_READ_BUFFER: Bytes = Bytes(512);

/// The most messages that may wait for one connection.
pub(super) const QUEUED_MESSAGES: usize = 128;

/// The room in the engine's queue beyond that: for packets that the library and the engine send by themselves, of which a client
/// can cause any number.
const SPARE_MESSAGES: usize = 32;

/// What announcing one binary attachment takes in a message: `{"_placeholder":true,"num":0}`. Attachments have no use here. A
/// client that sends as many as a message can announce keeps its connection all the same, and only the event is dropped.
const PLACEHOLDER: Bytes = Bytes(29);

/// Builds the library from the configuration.
pub(super) fn engine(config: &Config) -> (Engine, SocketIo) {
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
        .ws_read_buffer_size(WS_READ_BUFFER.0)
        .with_parser(
            ParserConfig::common()
                .max_incoming_binaries(limits.message_bytes / PLACEHOLDER.0)
                .max_incoming_binary_buf_size(limits.message_bytes),
        )
        .build_with_inner_svc(axum::Router::new())
}
