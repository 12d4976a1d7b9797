//! The frames of both writers, in any interleaving, over a connection that takes any part of them.

use std::io::Cursor;

use proptest::prelude::*;
use tungstenite::protocol::frame::{FrameHeader, coding::*};

use super::*;

/// A step of a connection: what happens, and how much the kernel takes meanwhile.
#[derive(Clone, Debug)]
enum Step {
    /// The outlet adds a frame with a payload of so many bytes.
    Push(usize),
    /// Frames of the outlet are written.
    Flush(Vec<usize>),
    /// The library writes so many of its bytes.
    Library(usize, Vec<usize>),
}

proptest! {
    #[test]
    fn whole_frames_arrive_in_order(
        library in prop::collection::vec((any_opcode(), any_length()), 0..12),
        steps in prop::collection::vec(any_step(), 0..60),
        head in any::<bool>(),
    ) {
        let response = if head { b"HTTP/1.1 101 Switching Protocols\r\nX: \r\r\n\r\n".as_slice() } else { b"" };
        let payloads: Vec<_> = library.iter().enumerate().map(|(index, (opcode, length))| {
            (*opcode, payload(b"3", index, *length))
        }).collect();
        let bytes = payloads.iter().flat_map(|(opcode, payload)| encoded(*opcode, payload));
        let mut library: Vec<u8> = response.iter().copied().chain(bytes).collect();
        let all = library.len();
        let mut connection = Connection::new(head);
        for step in steps {
            connection.take(step, &mut library);
        }
        connection.drain(&mut library);
        prop_assert_eq!(connection.sent.bytes, connection.arrived.len());
        prop_assert_eq!(connection.sent.events, connection.pushed.len());
        let (start, frames) = connection.arrived.split_at(response.len());
        prop_assert_eq!(start, response);
        let (ours, theirs): (Vec<_>, Vec<_>) = decoded(frames)
            .into_iter()
            .partition(|(_, payload)| payload.starts_with(b"42/"));
        let ours: Vec<_> = ours.into_iter().map(|(_, payload)| payload).collect();
        prop_assert_eq!(ours, connection.pushed);
        prop_assert_eq!(theirs, payloads);
        prop_assert!(connection.arrived.len() >= all);
    }
}

#[test]
fn packets_of_the_library_are_recognised() {
    let text = OpCode::Data(Data::Text);
    let long = "x".repeat(70_000);
    for (opcode, payload, events, is_connected) in [
        (text, r#"42/socket.io,["peopleViewing",[]]"#, 1, false),
        (text, &format!("42/socket.io,{long}"), 1, false),
        (text, "40/socket.io", 0, true),
        (text, "40", 0, false),
        (text, r#"42["x"]"#, 0, false),
        (text, "3probe", 0, false),
        (text, "", 0, false),
        (OpCode::Data(Data::Binary), "42/socket.io", 0, false),
        (OpCode::Control(Control::Ping), "42/", 0, false),
    ] {
        let mut frames = Frames::default();
        frames.begin();
        let bytes = encoded(opcode, payload.as_bytes());
        let expected = Sent {
            bytes: 2 * bytes.len(),
            events: 2 * events,
            is_connected,
        };
        let mut sent = Sent::default();
        for byte in [&bytes[..], &bytes[..]].concat() {
            let written = frames.write(&[byte], &mut sent, |bytes| Ok(bytes.len()));
            assert_eq!(written.unwrap(), 1);
        }
        assert_eq!(sent, expected, "{payload:.20}");
    }
}

#[test]
fn nothing_is_written_between_two_responses_of_http() {
    let mut frames = Frames::default();
    frames.push(Bytes::from_static(b"\x81\x00"));
    assert!(!frames.can_flush());
    let mut sent = Sent::default();
    let written = frames.write(b"HTTP/1.1 200 OK\r\n\r\n", &mut sent, |bytes| {
        Ok(bytes.len())
    });
    assert_eq!(written.unwrap(), 19);
    assert!(!frames.can_flush());
}

/// A connection, and what has come of it.
struct Connection {
    frames: Frames,
    pushed: Vec<Vec<u8>>,
    arrived: Vec<u8>,
    sent: Sent,
}

impl Connection {
    fn new(has_head: bool) -> Self {
        let mut frames = Frames::default();
        if has_head {
            frames.begin_after_head();
        } else {
            frames.begin();
        }
        let sent = Sent::default();
        Self {
            frames,
            pushed: Vec::new(),
            arrived: Vec::new(),
            sent,
        }
    }

    fn take(&mut self, step: Step, library: &mut Vec<u8>) {
        match step {
            Step::Push(length) => {
                let payload = payload(b"42/", self.pushed.len(), length);
                self.frames
                    .push(encoded(OpCode::Data(Data::Text), &payload).into());
                self.pushed.push(payload);
            }
            Step::Flush(room) => {
                let arrived = &mut self.arrived;
                let flushed = self.frames.flush(&mut self.sent, kernel(room, arrived));
                assert!(flushed.is_err() || !self.frames.can_flush());
            }
            Step::Library(length, room) => {
                let bytes = &library[..length.min(library.len())];
                let arrived = &mut self.arrived;
                let written = self
                    .frames
                    .write(bytes, &mut self.sent, kernel(room, arrived));
                library.drain(..written.unwrap_or_default());
            }
        }
    }

    /// Writes everything.
    fn drain(&mut self, library: &mut Vec<u8>) {
        while !library.is_empty() {
            self.take(Step::Library(library.len(), vec![usize::MAX; 99]), library);
        }
        self.take(Step::Flush(vec![usize::MAX; 99]), library);
    }
}

/// A kernel that takes so many bytes of one write after the other, and then none.
fn kernel(room: Vec<usize>, arrived: &mut Vec<u8>) -> impl FnMut(&[u8]) -> io::Result<usize> {
    let mut room = room.into_iter();
    move |bytes| {
        let count = room
            .next()
            .ok_or(io::ErrorKind::WouldBlock)?
            .min(bytes.len());
        arrived.extend(&bytes[..count]);
        Ok(count)
    }
}

fn any_step() -> impl Strategy<Value = Step> {
    let room = || {
        prop::collection::vec(
            prop_oneof![1..4_usize, 1..300_usize, Just(usize::MAX)],
            0..4,
        )
    };
    prop_oneof![
        any_length().prop_map(Step::Push),
        room().prop_map(Step::Flush),
        (
            prop_oneof![1..4_usize, 1..400_usize, Just(usize::MAX)],
            room()
        )
            .prop_map(|(length, room)| Step::Library(length, room)),
    ]
}

fn any_length() -> impl Strategy<Value = usize> {
    prop_oneof![0..4_usize, 120..130_usize, 65_530..65_540_usize]
}

fn any_opcode() -> impl Strategy<Value = OpCode> {
    prop::sample::select(vec![
        OpCode::Data(Data::Text),
        OpCode::Data(Data::Binary),
        OpCode::Control(Control::Ping),
    ])
}

/// A payload that tells its writer and its number.
fn payload(start: &[u8], number: usize, length: usize) -> Vec<u8> {
    let number = number.to_string();
    let filler = std::iter::repeat_n(b'.', length);
    start
        .iter()
        .copied()
        .chain(number.into_bytes())
        .chain(filler)
        .collect()
}

fn encoded(opcode: OpCode, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let header = FrameHeader {
        opcode,
        ..FrameHeader::default()
    };
    header.format(payload.len() as u64, &mut bytes).unwrap();
    bytes.extend(payload);
    bytes
}

/// The opcodes and payloads of frames, as tungstenite reads them.
fn decoded(bytes: &[u8]) -> Vec<(OpCode, Vec<u8>)> {
    let mut cursor = Cursor::new(bytes);
    let mut frames = Vec::new();
    while let Some((header, length)) = FrameHeader::parse(&mut cursor).unwrap() {
        let start = usize::try_from(cursor.position()).unwrap();
        let end = start + usize::try_from(length).unwrap();
        frames.push((header.opcode, bytes[start..end].to_vec()));
        cursor.set_position(end as u64);
    }
    frames
}
