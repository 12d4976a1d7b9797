//! Access to private functions for fuzzers. Compiled with `--cfg fuzzing` only.
//!
//! Lives here: wrappers around the wire. Not here: what must hold for them, which the targets in `tests/fuzz` check.

use std::{borrow::Cow, net::Ipv4Addr, sync::LazyLock};

use http::HeaderMap;

use crate::{
    presence::{ConnectionId, Event, InvalidText, Message},
    socketio::{handshake::Handshake, wire},
};

static HANDSHAKE: LazyLock<Handshake> =
    LazyLock::new(|| Handshake::new(&HeaderMap::new(), Ipv4Addr::LOCALHOST.into(), &[]));

/// What the frame of an event means, or why it is dropped.
///
/// # Errors
/// The reason, in words.
pub fn decode(text: &str) -> Result<Event, String> {
    let conn = ConnectionId::try_from("AAAAAAAAAAAAAAAA");
    let conn = conn.map_err(|error: InvalidText| error.to_string())?;
    wire::decode(conn, &HANDSHAKE, text).map_err(|error| error.to_string())
}

/// The text that a client 1.x meant by what it sent by polling.
#[must_use]
pub fn decode_twice_encoded(text: &str) -> Cow<'_, str> {
    wire::decode_twice_encoded(text)
}

/// The name and the payload of the event that tells a browser this message.
///
/// # Errors
/// When there are no words for it.
pub fn encode(message: &Message) -> Result<(&'static str, String), String> {
    let outgoing = wire::encode(message).map_err(|error| error.to_string())?;
    Ok((outgoing.event, outgoing.json))
}
