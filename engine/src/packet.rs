//! Packets of Engine.IO.
//!
//! Lives here: one packet as text, as both versions write it over a websocket and in a payload of text. Not here: several packets
//! (`payload`), frames (`frames`).

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use engineioxide_core::{ProtocolVersion, Str};

/// A packet, without those that only a handshake and a probe have.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Packet {
    Close,
    Ping,
    Pong,
    Message(Str),
    Binary(Bytes),
    /// Does nothing. When it is received, it stands for the upgrade packet as well, which means nothing after the upgrade.
    Noop,
}

/// Something that is not a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NotAPacket;

impl Packet {
    /// The bytes that it carries.
    pub(crate) fn size(&self) -> usize {
        match self {
            Self::Message(text) => text.len(),
            Self::Binary(bytes) => bytes.len(),
            Self::Close | Self::Ping | Self::Pong | Self::Noop => 0,
        }
    }

    /// Appends it as text. Bytes become base64.
    pub(crate) fn write(&self, version: ProtocolVersion, text: &mut String) {
        match self {
            Self::Close => text.push('1'),
            Self::Ping => text.push('2'),
            Self::Pong => text.push('3'),
            Self::Noop => text.push('6'),
            Self::Message(message) => {
                text.push('4');
                text.push_str(message);
            }
            Self::Binary(bytes) => {
                text.push_str(base64_mark(version));
                STANDARD.encode_string(bytes, text);
            }
        }
    }

    /// It as text.
    pub(crate) fn text(&self, version: ProtocolVersion) -> String {
        let mut text = String::with_capacity(1 + self.size());
        self.write(version, &mut text);
        text
    }

    /// Reads a packet that was sent as text.
    pub(crate) fn read(version: ProtocolVersion, text: &str) -> Result<Self, NotAPacket> {
        if let Some(bytes) = text.strip_prefix(base64_mark(version)) {
            let bytes = STANDARD.decode(bytes).map_err(|_| NotAPacket)?;
            return Ok(Self::Binary(bytes.into()));
        }
        let mut rest = text.chars();
        match rest.next() {
            Some('1') => Ok(Self::Close),
            Some('2') => Ok(Self::Ping),
            Some('3') => Ok(Self::Pong),
            Some('4') => Ok(Self::Message(Str::copy_from_slice(rest.as_str()))),
            Some('5' | '6') => Ok(Self::Noop),
            Some(_) | None => Err(NotAPacket),
        }
    }
}

/// What base64 follows in a packet of text.
fn base64_mark(version: ProtocolVersion) -> &'static str {
    match version {
        ProtocolVersion::V3 => "b4",
        ProtocolVersion::V4 => "b",
    }
}
