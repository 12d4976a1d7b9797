//! Several packets in one body of HTTP.
//!
//! Lives here: which encoding is used, and the two of text. Not here: the encoding of version 3 for bytes (`payload::binary`).
//!
//! | | text | with bytes |
//! |---|---|---|
//! | version 3 | `4:4abc1:2`, the length in UTF-16 code units | see `payload::binary`; base64 for clients that cannot read it |
//! | version 4 | `4abc␞2`, separated by U+001E | base64 |

pub(crate) mod binary;
#[cfg(test)]
mod tests;

use bytes::Bytes;
use engineioxide_core::ProtocolVersion;

use crate::packet::{NotAPacket, Packet};

/// Between two packets of version 4.
const SEPARATOR: char = '\u{1e}';

/// A body of HTTP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Payload {
    pub(crate) body: Bytes,
    /// Whether it is not text.
    pub(crate) is_binary: bool,
}

impl Payload {
    /// The payload of `packets`.
    pub(crate) fn of<'a>(
        version: ProtocolVersion,
        as_text: bool,
        packets: impl IntoIterator<Item = &'a Packet> + Clone,
    ) -> Self {
        let is_bytes = |packet: &Packet| matches!(packet, Packet::Binary(_));
        let is_binary =
            version == ProtocolVersion::V3 && !as_text && packets.clone().into_iter().any(is_bytes);
        let body = match version {
            ProtocolVersion::V3 if is_binary => binary::write(packets),
            ProtocolVersion::V3 => write_v3(packets),
            ProtocolVersion::V4 => write_v4(packets),
        };
        Self { body, is_binary }
    }

    /// Reads packets. A body without any is an error.
    pub(crate) fn read(&self, version: ProtocolVersion) -> Result<Vec<Packet>, NotAPacket> {
        if self.is_binary && version == ProtocolVersion::V3 {
            return binary::read(&self.body);
        }
        let text = str::from_utf8(&self.body).map_err(|_| NotAPacket)?;
        match version {
            ProtocolVersion::V3 => read_v3(text),
            ProtocolVersion::V4 => {
                let packets = text.split(SEPARATOR);
                packets.map(|text| Packet::read(version, text)).collect()
            }
        }
    }
}

fn write_v3<'a>(packets: impl IntoIterator<Item = &'a Packet>) -> Bytes {
    let mut body = String::new();
    for packet in packets {
        body += &framed_v3(&packet.text(ProtocolVersion::V3));
    }
    body.into()
}

/// A packet of version 3 behind its length.
pub(crate) fn framed_v3(packet: &str) -> String {
    let length = packet.encode_utf16().count();
    format!("{length}:{packet}")
}

fn write_v4<'a>(packets: impl IntoIterator<Item = &'a Packet>) -> Bytes {
    let mut body = String::new();
    for packet in packets {
        if !body.is_empty() {
            body.push(SEPARATOR);
        }
        packet.write(ProtocolVersion::V4, &mut body);
    }
    body.into()
}

fn read_v3(mut text: &str) -> Result<Vec<Packet>, NotAPacket> {
    let mut packets = Vec::new();
    while !text.is_empty() {
        let (length, rest) = text.split_once(':').ok_or(NotAPacket)?;
        let (packet, rest) = length
            .parse()
            .ok()
            .and_then(|units| split_at_unit(rest, units))
            .ok_or(NotAPacket)?;
        packets.push(Packet::read(ProtocolVersion::V3, packet)?);
        text = rest;
    }
    if packets.is_empty() {
        return Err(NotAPacket);
    }
    Ok(packets)
}

/// Splits text after so many UTF-16 code units, unless it ends before or a character would be torn.
fn split_at_unit(text: &str, units: usize) -> Option<(&str, &str)> {
    let mut left = units;
    let mut end = 0;
    for char in text.chars() {
        if left == 0 {
            break;
        }
        left = left.checked_sub(char.len_utf16())?;
        end += char.len_utf8();
    }
    (left == 0).then(|| text.split_at_checked(end)).flatten()
}
