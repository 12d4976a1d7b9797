//! What fuzzers reach of what is private; compiled with `--cfg fuzzing` only.
//!
//! Lives here: doors to the wire. Not here: what must hold behind them, which is for the targets in `tests/fuzz` to say.

use std::{borrow::Cow, net::Ipv4Addr, sync::LazyLock};

use http::HeaderMap;

use crate::{
    presence::{ConnectionId, Event, InvalidText, Message},
    realtime::{visit::Visit, wire},
};

static VISIT: LazyLock<Visit> =
    LazyLock::new(|| Visit::new(&HeaderMap::new(), Ipv4Addr::LOCALHOST.into(), &[]));

/// What the frame of an event means, or why it is dropped.
///
/// # Errors
/// The reason, in words.
pub fn decode(text: &str) -> Result<Event, String> {
    let conn = ConnectionId::try_from("AAAAAAAAAAAAAAAA");
    let conn = conn.map_err(|error: InvalidText| error.to_string())?;
    wire::decode(conn, &VISIT, text).map_err(|error| error.to_string())
}

/// What a client 1.x meant that sent this text by polling.
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
    Ok((outgoing.event, outgoing.payload.get().to_owned()))
}
