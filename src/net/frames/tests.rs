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
    /// The server writes so many of its bytes.
    Server(usize, Vec<usize>),
}

const HEAD: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nX: \r\r\n\r\n";

proptest! {
    #[test]
    fn whole_frames_arrive_in_order(
        frames in prop::collection::vec((any_opcode(), any_length()), 0..12),
        steps in prop::collection::vec(any_step(), 0..60),
    ) {
        let theirs: Vec<_> = frames.iter().enumerate().map(|(index, (opcode, length))| {
            (*opcode, payload("server", index, *length))
        }).collect();
        let bytes = theirs.iter().flat_map(|(opcode, payload)| encoded(*opcode, payload));
        let mut connection = Connection::new(HEAD.iter().copied().chain(bytes).collect());
        for step in steps {
            connection.take(step);
            let waiting = connection.frames.waiting();
            prop_assert!(waiting.frames <= connection.pushed.len());
            prop_assert_eq!(waiting.frames == 0, waiting.bytes == 0);
        }
        connection.drain();
        prop_assert_eq!(connection.frames.waiting(), Waiting::default());
        let (head, frames) = connection.arrived.split_at(HEAD.len());
        prop_assert_eq!(head, HEAD);
        let is_ours = |(_, payload): &(OpCode, Vec<u8>)| payload.starts_with(b"outlet");
        let (ours, others): (Vec<_>, Vec<_>) = decoded(frames).into_iter().partition(is_ours);
        let ours: Vec<_> = ours.into_iter().map(|(_, payload)| payload).collect();
        prop_assert_eq!(ours, connection.pushed);
        prop_assert_eq!(others, theirs);
    }
}

#[test]
fn nothing_is_written_between_two_responses_of_http() {
    let mut frames = Frames::default();
    frames.push(Bytes::from_static(b"\x81\x00"));
    let response = b"HTTP/1.1 200 OK\r\n\r\n";
    assert!(!frames.can_flush());
    assert_eq!(
        frames.write(response, |bytes| Ok(bytes.len())).unwrap(),
        response.len()
    );
    assert!(!frames.can_flush());
}

#[test]
fn after_an_error_nothing_waits() {
    let mut frames = Frames::default();
    frames.push(Bytes::from_static(b"\x81\x00"));
    frames.forget();
    assert_eq!(frames.waiting(), Waiting::default());
}

/// A connection, and what has come of it.
struct Connection {
    frames: Frames,
    /// What the server has not written.
    server: Vec<u8>,
    pushed: Vec<Vec<u8>>,
    arrived: Vec<u8>,
}

impl Connection {
    fn new(server: Vec<u8>) -> Self {
        let mut frames = Frames::default();
        frames.begin();
        Self {
            frames,
            server,
            pushed: Vec::new(),
            arrived: Vec::new(),
        }
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Push(length) => {
                let payload = payload("outlet", self.pushed.len(), length);
                let frame = encoded(OpCode::Data(Data::Text), &payload);
                self.frames.push(frame.into());
                self.pushed.push(payload);
            }
            Step::Flush(room) => {
                let flushed = self.frames.flush(kernel(room, &mut self.arrived));
                assert!(flushed.is_err() || !self.frames.can_flush());
            }
            Step::Server(length, room) => {
                let bytes = &self.server[..length.min(self.server.len())];
                let written = self.frames.write(bytes, kernel(room, &mut self.arrived));
                self.server.drain(..written.unwrap_or_default());
            }
        }
    }

    /// Writes everything.
    fn drain(&mut self) {
        let all = || vec![usize::MAX; 99];
        while !self.server.is_empty() {
            self.take(Step::Server(usize::MAX, all()));
        }
        self.take(Step::Flush(all()));
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
            .prop_map(|(length, room)| Step::Server(length, room)),
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
fn payload(start: &str, number: usize, length: usize) -> Vec<u8> {
    let start = format!("{start} {number} ");
    let filler = std::iter::repeat_n(b'.', length);
    start.into_bytes().into_iter().chain(filler).collect()
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
