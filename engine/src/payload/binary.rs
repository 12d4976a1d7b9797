//! The encoding of version 3 for payloads with bytes.
//!
//! Lives here: reading and writing it. Not here: when it is used (`payload`).
//!
//! A packet is a byte for its kind (0 for text, 1 for bytes), its length in bytes as decimal digits of one byte each (0 to 9), the
//! byte 255, and the packet: text as it is, bytes behind the byte 4.

use bytes::Bytes;
use engineioxide_core::ProtocolVersion;

use crate::packet::{NotAPacket, Packet};

/// The kind of a packet of text.
const TEXT: u8 = 0;

/// The kind of a packet of bytes.
const BYTES: u8 = 1;

/// The end of a length.
const END: u8 = 0xff;

/// The type of a message of bytes, which is the only packet of bytes.
pub(crate) const MESSAGE: u8 = 4;

pub(super) fn write<'a>(packets: impl IntoIterator<Item = &'a Packet>) -> Bytes {
    let mut body = Vec::new();
    for packet in packets {
        match packet {
            Packet::Binary(bytes) => {
                head(&mut body, BYTES, 1 + bytes.len());
                body.push(MESSAGE);
                body.extend_from_slice(bytes);
            }
            Packet::Close | Packet::Ping | Packet::Pong | Packet::Message(_) | Packet::Noop => {
                let text = packet.text(ProtocolVersion::V3);
                head(&mut body, TEXT, text.len());
                body.extend_from_slice(text.as_bytes());
            }
        }
    }
    body.into()
}

fn head(body: &mut Vec<u8>, kind: u8, length: usize) {
    body.push(kind);
    body.extend(length.to_string().bytes().map(|digit| digit - b'0'));
    body.push(END);
}

pub(super) fn read(mut body: &[u8]) -> Result<Vec<Packet>, NotAPacket> {
    let mut packets = Vec::new();
    while let Some((kind, rest)) = body.split_first() {
        let (length, rest) = length(rest).ok_or(NotAPacket)?;
        let (packet, rest) = rest.split_at_checked(length).ok_or(NotAPacket)?;
        packets.push(packet_of(*kind, packet)?);
        body = rest;
    }
    if packets.is_empty() {
        return Err(NotAPacket);
    }
    Ok(packets)
}

/// The length at the start of `bytes`, and what follows it.
fn length(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let mut length: usize = 0;
    let mut rest = bytes;
    loop {
        let (digit, after) = rest.split_first()?;
        rest = after;
        match digit {
            0..=9 => length = length.checked_mul(10)?.checked_add((*digit).into())?,
            &END => return Some((length, rest)),
            _ => return None,
        }
    }
}

fn packet_of(kind: u8, packet: &[u8]) -> Result<Packet, NotAPacket> {
    match (kind, packet) {
        (TEXT, text) => {
            let text = str::from_utf8(text).map_err(|_| NotAPacket)?;
            Packet::read(ProtocolVersion::V3, text)
        }
        (BYTES, [MESSAGE, bytes @ ..]) => Ok(Packet::Binary(Bytes::copy_from_slice(bytes))),
        _ => Err(NotAPacket),
    }
}
