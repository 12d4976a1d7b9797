//! What others may know of a TCP connection, and send over it.
//!
//! Lives here: handles on a connection, and its traffic. Not here: reading and writing for the server (`stream`), and whose
//! bytes go next (`frames`).

use std::{
    io,
    net::Shutdown,
    sync::{
        Arc, Weak,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use atomic_waker::AtomicWaker;
use axum::body::Bytes as Frame;
use parking_lot::Mutex;
use socket2::SockRef;
use tokio::{
    net::{TcpStream, tcp::OwnedWriteHalf},
    time::Instant,
};

use super::frames::{Frames, Waiting};

/// A handle on the TCP connection that a request came over.
#[derive(Clone, Debug)]
pub(crate) struct TcpHandle {
    stream: Weak<OwnedWriteHalf>,
    traffic: Arc<Traffic>,
}

/// What a connection has received, and has to send.
#[derive(Debug)]
pub(super) struct Traffic {
    since: Instant,
    /// When bytes were last received, in microseconds after `since`.
    last_at: AtomicU64,
    frames: Mutex<Frames>,
    /// The task that reads, which also writes what is left to it.
    pub(super) reader: AtomicWaker,
}

impl TcpHandle {
    pub(super) fn new(stream: &Arc<OwnedWriteHalf>, traffic: &Arc<Traffic>) -> Self {
        Self {
            stream: Arc::downgrade(stream),
            traffic: traffic.clone(),
        }
    }

    /// The time since bytes were last received.
    pub(crate) fn silence(&self) -> Duration {
        let last_at = Duration::from_micros(self.traffic.last_at.load(Relaxed));
        self.traffic.since.elapsed().saturating_sub(last_at)
    }

    /// The connection becomes a websocket with the server's next response.
    pub(crate) fn begin_frames(&self) {
        self.traffic.frames.lock().begin();
    }

    /// Sends a frame over a websocket. It is written now if that is to be done `at_once`, nothing is in its way and the kernel
    /// takes it; otherwise by the task that reads the connection.
    pub(crate) fn send(&self, frame: Frame, at_once: bool) {
        let Some(stream) = self.stream.upgrade() else {
            return;
        };
        self.traffic.frames.lock().push(frame);
        if !at_once || self.traffic.flush(stream.as_ref().as_ref()) {
            self.traffic.reader.wake();
        }
    }

    /// The frames that [`send`](Self::send) was given, and that the kernel has not taken.
    pub(crate) fn waiting(&self) -> Waiting {
        self.traffic.frames.lock().waiting()
    }
}

impl Traffic {
    pub(super) fn new() -> Self {
        Self {
            since: Instant::now(),
            last_at: AtomicU64::new(0),
            frames: Mutex::default(),
            reader: AtomicWaker::new(),
        }
    }

    /// Records that bytes were received.
    pub(super) fn hear(&self) {
        let micros = self.since.elapsed().as_micros();
        self.last_at
            .store(micros.try_into().unwrap_or(u64::MAX), Relaxed);
    }

    /// Whether the server speaks HTTP.
    pub(super) fn is_http(&self) -> bool {
        self.frames.lock().is_http()
    }

    /// Whether frames wait that may be written.
    pub(super) fn can_flush(&self) -> bool {
        self.frames.lock().can_flush()
    }

    /// Writes frames that wait, and returns whether the kernel takes no more.
    pub(super) fn flush(&self, stream: &TcpStream) -> bool {
        let mut frames = self.frames.lock();
        let Err(error) = frames.flush(|bytes| stream.try_write(bytes)) else {
            return false;
        };
        let is_blocked = error.kind() == io::ErrorKind::WouldBlock;
        if !is_blocked {
            frames.forget();
            // Reading then ends as well, whatever the error was.
            shut_down(stream, Shutdown::Both);
        }
        is_blocked
    }

    /// Writes bytes of the server, after the frames that go first.
    pub(super) fn write(&self, stream: &TcpStream, bytes: &[u8]) -> io::Result<usize> {
        let mut frames = self.frames.lock();
        let written = frames.write(bytes, |bytes| stream.try_write(bytes));
        if frames.can_flush() {
            // They came while a frame of the server was being written.
            self.reader.wake();
        }
        written
    }
}

/// Shuts a socket down. An error means that the peer was faster.
pub(super) fn shut_down(stream: &TcpStream, how: Shutdown) {
    let _ = SockRef::from(stream).shutdown(how);
}
