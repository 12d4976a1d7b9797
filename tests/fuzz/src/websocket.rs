//! Websockets without a library.
//!
//! Lives here: making valid and invalid frames, reading frames of a server. Not here: the packets in them.

use std::{
    io::{self, Read},
    net::TcpStream,
};

/// First byte of an unfragmented text frame.
pub const TEXT: u8 = 0x81;

/// Largest payload length that fits in the second byte of a frame.
const SHORT: usize = 125;

/// The request for an Engine.IO websocket, with additional header lines.
#[must_use]
pub fn handshake(version: u8, lines: &str) -> String {
    format!(
        "GET /socket.io/?EIO={version}&transport=websocket HTTP/1.1\r\nHost: fuzz\r\nConnection: Upgrade\r\n\
         Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{lines}\r\n"
    )
}

/// A frame of a client, with a mask of zeros.
#[must_use]
pub fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    match (u8::try_from(payload.len()), u16::try_from(payload.len())) {
        (Ok(length), _) if payload.len() <= SHORT => frame.push(0x80 | length),
        (_, Ok(length)) => {
            frame.push(0x80 | 126);
            frame.extend(length.to_be_bytes());
        }
        (_, Err(_)) => {
            frame.push(0x80 | 127);
            frame.extend((payload.len() as u64).to_be_bytes());
        }
    }
    frame.extend([0; 4]);
    frame.extend(payload);
    frame
}

/// The payload of the next frame of a server.
///
/// # Errors
/// When the connection ends, or no frame arrives in time.
pub fn receive(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let [_, short] = bytes(stream)?;
    let length = match short {
        126 => u16::from_be_bytes(bytes(stream)?).into(),
        127 => u64::from_be_bytes(bytes(stream)?),
        short => short.into(),
    };
    let mut payload = Vec::new();
    stream.take(length).read_to_end(&mut payload)?;
    Ok(payload)
}

fn bytes<const LENGTH: usize>(stream: &mut TcpStream) -> io::Result<[u8; LENGTH]> {
    let mut bytes = [0; LENGTH];
    stream.read_exact(&mut bytes)?;
    Ok(bytes)
}
