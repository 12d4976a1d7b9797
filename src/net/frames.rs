//! Websocket frames of two writers over one connection: its server, and the outlet.
//!
//! Lives here: whose bytes go next. Not here: sockets (`stream`, `handle`).
//! Invariant: whole frames are written, those of each writer in its order. A frame of the outlet goes out between two frames of
//! the server, and before the next one of the server that is not begun.

use std::{collections::VecDeque, io, mem};

use axum::body::Bytes;

/// The end of the head of an HTTP response.
const HEAD_END: &[u8] = b"\r\n\r\n";

/// The longest header of a server's frame.
///
/// <https://www.rfc-editor.org/rfc/rfc6455#section-5.2>
const LONGEST_HEADER: usize = 10;

/// The two writers of a connection.
#[derive(Debug, Default)]
pub(super) struct Frames {
    server: Position,
    /// What the outlet has not written: frames, the first of which may be begun.
    queue: VecDeque<Bytes>,
    queued_bytes: usize,
}

/// Where the server stands.
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
    header: [u8; LONGEST_HEADER],
}

/// Frames that wait.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Waiting {
    pub(crate) frames: usize,
    pub(crate) bytes: usize,
}

impl Frames {
    /// The server writes frames after the head of its next response.
    pub(super) fn begin(&mut self) {
        self.server = Position::Head(0);
    }

    /// Whether the server speaks HTTP.
    pub(super) fn is_http(&self) -> bool {
        matches!(self.server, Position::Http)
    }

    /// Adds a frame of the outlet.
    pub(super) fn push(&mut self, frame: Bytes) {
        self.queued_bytes += frame.len();
        self.queue.push_back(frame);
    }

    /// What the outlet has not written.
    pub(super) fn waiting(&self) -> Waiting {
        Waiting {
            frames: self.queue.len(),
            bytes: self.queued_bytes,
        }
    }

    /// Drops the frames of the outlet, because nothing can be written any more.
    pub(super) fn forget(&mut self) {
        self.queue = VecDeque::new();
        self.queued_bytes = 0;
    }

    /// Whether a frame of the outlet waits, and may be written.
    pub(super) fn can_flush(&self) -> bool {
        !self.queue.is_empty()
            && matches!(&self.server, Position::Frame(frame) if frame.written == 0)
    }

    /// Writes frames of the outlet, until none waits that may be written.
    ///
    /// # Errors
    /// The first error of `write`.
    pub(super) fn flush(
        &mut self,
        mut write: impl FnMut(&[u8]) -> io::Result<usize>,
    ) -> io::Result<()> {
        while self.can_flush()
            && let Some(frame) = self.queue.front_mut()
        {
            let count = write(frame)?;
            self.queued_bytes -= count;
            *frame = frame.slice(count..);
            if frame.is_empty() {
                self.queue.pop_front();
            }
            if self.queue.is_empty() {
                // Gives the memory back.
                self.queue = VecDeque::new();
            }
        }
        Ok(())
    }

    /// Writes bytes of the server, after the frames of the outlet that go first, and returns how many.
    ///
    /// # Errors
    /// The first error of `write`.
    pub(super) fn write(
        &mut self,
        bytes: &[u8],
        mut write: impl FnMut(&[u8]) -> io::Result<usize>,
    ) -> io::Result<usize> {
        self.flush(&mut write)?;
        let until = if self.queue.is_empty() {
            bytes.len()
        } else {
            self.server.missing().min(bytes.len())
        };
        let count = write(bytes.get(..until).unwrap_or_default())?;
        self.server.pass(bytes.get(..count).unwrap_or_default());
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

    /// Moves on by `bytes`, which the server has written.
    fn pass(&mut self, mut bytes: &[u8]) {
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
                    mem::take(frame);
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
            let free = self.header.iter_mut().skip(self.written);
            free.zip(now).for_each(|(place, byte)| *place = *byte);
            self.written += now.len();
            bytes = later;
        }
        bytes
    }

    /// The number of bytes to the end; 1 while the header does not tell the length yet.
    fn missing(&self) -> usize {
        let length = self.length();
        length.map_or(1, |length| length.saturating_sub(self.written))
    }

    /// The length, once the header is complete. A server does not mask.
    fn length(&self) -> Option<usize> {
        let [_, length, long @ ..] = &self.header;
        let (header, payload) = match length {
            127 => (10, u64::from_be_bytes(*long)),
            126 => (
                4,
                long.first_chunk()
                    .map_or(0, |bytes| u16::from_be_bytes(*bytes).into()),
            ),
            _ => (2, u64::from(*length)),
        };
        let payload = usize::try_from(payload).unwrap_or(usize::MAX);
        (self.written >= header).then(|| header.saturating_add(payload))
    }
}

#[cfg(test)]
mod tests;
