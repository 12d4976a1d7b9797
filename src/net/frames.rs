//! Websocket frames of two writers over one connection: the Socket.IO library, and the outlet.
//!
//! Lives here: whose bytes go next. Not here: sockets (`stream`, `handle`), and what follows from a packet (`socketio`).
//! Invariant: whole frames are written, those of each writer in its order. A frame of the outlet goes out between two frames of
//! the library, and before the next one of the library that is not begun.

use std::{collections::VecDeque, io, mem};

use axum::body::Bytes;

/// The end of the head of an HTTP response.
const HEAD_END: &[u8] = b"\r\n\r\n";

/// The longest header of a server's frame.
///
/// <https://www.rfc-editor.org/rfc/rfc6455#section-5.2>
const LONGEST_HEADER: usize = 10;

/// The first byte of a text frame that is not fragmented.
const TEXT: u8 = 0x81;

/// The beginning of an event in a namespace other than the root: a message of Engine.IO, an event of Socket.IO.
const EVENT: &[u8; 3] = b"42/";

/// The beginning of the answer that lets a client into such a namespace.
const CONNECT: &[u8; 3] = b"40/";

/// The two writers of a connection.
#[derive(Debug, Default)]
pub(super) struct Frames {
    library: Position,
    /// What the outlet has not written: frames, the first of which may be begun.
    queue: VecDeque<Bytes>,
}

/// Where the library stands.
#[derive(Debug, Default)]
enum Position {
    /// In HTTP.
    #[default]
    Http,
    /// In the head of the response that begins the websocket. The last bytes were so many of [`HEAD_END`].
    Head(usize),
    Frame(Frame),
}

/// As much of a frame as is written.
#[derive(Debug, Default)]
struct Frame {
    written: usize,
    /// The first bytes of what is written.
    start: [u8; LONGEST_HEADER + EVENT.len()],
}

/// What was written: bytes, and what they completed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sent {
    pub(super) bytes: usize,
    /// Events in our namespace.
    pub(super) events: usize,
    /// Whether the client was let into our namespace.
    pub(super) is_connected: bool,
}

impl Frames {
    /// The library writes frames after the head of its next response.
    pub(super) fn begin_after_head(&mut self) {
        self.library = Position::Head(0);
    }

    /// The library writes frames from now on.
    pub(super) fn begin(&mut self) {
        self.library = Position::Frame(Frame::default());
    }

    /// Whether the library speaks HTTP.
    pub(super) fn is_http(&self) -> bool {
        matches!(self.library, Position::Http)
    }

    /// Whether a frame of the outlet waits, and may be written.
    pub(super) fn can_flush(&self) -> bool {
        !self.queue.is_empty()
            && matches!(&self.library, Position::Frame(frame) if frame.written == 0)
    }

    /// Adds a frame of the outlet.
    pub(super) fn push(&mut self, frame: Bytes) {
        self.queue.push_back(frame);
    }

    /// Drops the frames of the outlet, because nothing can be written any more.
    pub(super) fn forget(&mut self) {
        self.queue = VecDeque::new();
    }

    /// Writes frames of the outlet, until none waits that may be written.
    ///
    /// # Errors
    /// The first error of `write`, after reporting to `sent` what was written before.
    pub(super) fn flush(
        &mut self,
        sent: &mut Sent,
        mut write: impl FnMut(&[u8]) -> io::Result<usize>,
    ) -> io::Result<()> {
        while self.can_flush()
            && let Some(frame) = self.queue.front_mut()
        {
            let count = write(frame)?;
            sent.bytes += count;
            if count < frame.len() {
                *frame = frame.slice(count..);
                continue;
            }
            sent.events += 1;
            self.queue.pop_front();
            if self.queue.is_empty() {
                // Gives the memory back.
                self.queue = VecDeque::new();
            }
        }
        Ok(())
    }

    /// Writes bytes of the library, after the frames of the outlet that go first, and returns how many.
    ///
    /// # Errors
    /// As [`flush`](Self::flush).
    pub(super) fn write(
        &mut self,
        bytes: &[u8],
        sent: &mut Sent,
        mut write: impl FnMut(&[u8]) -> io::Result<usize>,
    ) -> io::Result<usize> {
        self.flush(sent, &mut write)?;
        let until = if self.queue.is_empty() {
            bytes.len()
        } else {
            self.library.missing().min(bytes.len())
        };
        let count = write(bytes.get(..until).unwrap_or_default())?;
        self.library
            .pass(bytes.get(..count).unwrap_or_default(), sent);
        Ok(count)
    }
}

impl Position {
    /// The number of bytes to the end of the frame, or to where it will be known.
    fn missing(&self) -> usize {
        match self {
            Self::Http | Self::Head(_) => usize::MAX,
            Self::Frame(frame) => frame.missing(),
        }
    }

    /// Moves on by `bytes`, which the library has written.
    fn pass(&mut self, mut bytes: &[u8], sent: &mut Sent) {
        sent.bytes += bytes.len();
        if let Self::Head(matched) = self {
            bytes = after_head(matched, bytes);
            if *matched < HEAD_END.len() {
                return;
            }
            *self = Self::Frame(Frame::default());
        }
        if let Self::Frame(frame) = self {
            while !bytes.is_empty() {
                bytes = frame.pass(bytes);
                if frame.missing() == 0 {
                    mem::take(frame).report(sent);
                }
            }
        }
    }
}

/// The bytes that follow the end of the head, of which `matched` bytes were there before.
fn after_head<'bytes>(matched: &mut usize, bytes: &'bytes [u8]) -> &'bytes [u8] {
    let mut bytes = bytes.iter();
    while *matched < HEAD_END.len()
        && let Some(byte) = bytes.next()
    {
        *matched = match (HEAD_END.get(*matched), byte) {
            (Some(expected), byte) if expected == byte => *matched + 1,
            (_, b'\r') => 1,
            _ => 0,
        };
    }
    bytes.as_slice()
}

impl Frame {
    /// Adds bytes, at most to the end of the frame, and returns the rest.
    fn pass<'bytes>(&mut self, mut bytes: &'bytes [u8]) -> &'bytes [u8] {
        while let Some((now, later)) = bytes.split_at_checked(self.missing().min(bytes.len()))
            && !now.is_empty()
        {
            let free = self.start.iter_mut().skip(self.written);
            free.zip(now).for_each(|(place, byte)| *place = *byte);
            self.written += now.len();
            bytes = later;
        }
        bytes
    }

    /// The number of bytes to the end; 1 while the header does not tell the length yet.
    fn missing(&self) -> usize {
        let Some((header, payload)) = self.lengths() else {
            return 1;
        };
        header.saturating_add(payload).saturating_sub(self.written)
    }

    /// The lengths of the header and the payload, once the header is complete. A server does not mask.
    fn lengths(&self) -> Option<(usize, usize)> {
        let [_, length, long @ ..] = &self.start;
        let (header, payload) = match length {
            127 => (
                10,
                long.first_chunk()
                    .map_or(0, |bytes| u64::from_be_bytes(*bytes)),
            ),
            126 => (
                4,
                long.first_chunk()
                    .map_or(0, |bytes| u16::from_be_bytes(*bytes).into()),
            ),
            _ => (2, u64::from(*length)),
        };
        let is_complete = self.written >= header;
        is_complete.then_some((header, usize::try_from(payload).unwrap_or(usize::MAX)))
    }

    /// Reports what the complete frame says.
    fn report(&self, sent: &mut Sent) {
        let payload = self
            .lengths()
            .and_then(|(header, _)| self.start.get(header..));
        if self.start.first() != Some(&TEXT) {
            return;
        }
        if payload.is_some_and(|payload| payload.starts_with(EVENT)) {
            sent.events += 1;
        } else if payload.is_some_and(|payload| payload.starts_with(CONNECT)) {
            sent.is_connected = true;
        }
    }
}

#[cfg(test)]
mod tests;
