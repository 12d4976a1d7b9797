//! What is known about a TCP connection, and what can be done to it from outside of its server.
//!
//! Lives here: handles on a connection, its traffic, holding it, and sending frames over it. Not here: reading and writing for
//! the server (`stream`), and whose bytes go next (`frames`).

use std::{
    fmt, io,
    net::Shutdown,
    sync::{
        Arc, OnceLock, Weak,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    task::Wake,
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

use super::{
    backlog::Backlog,
    frames::{Frames, Sent},
    hold::Hold,
};
use crate::presence::Bytes;

/// The number of bytes that [`TcpHandle::tail`] remembers. It is enough for the Socket.IO edge to recognise the last
/// websocket frame of a client as an empty close frame: six bytes, and the two before it.
pub(crate) const TAIL_BYTES: usize = size_of::<u64>();

/// A handle on the TCP connection that a request came over.
#[derive(Clone, Debug)]
pub(crate) struct TcpHandle {
    stream: Weak<OwnedWriteHalf>,
    traffic: Arc<Traffic>,
}

/// What is known about the bytes that a connection has received and sent.
#[derive(Debug)]
pub(super) struct Traffic {
    since: Instant,
    /// When bytes were last received, in microseconds after `since`. A message that was sent within the same unit of time counts as
    /// not received.
    last_at: AtomicU64,
    /// The last [`TAIL_BYTES`] bytes received, as a big-endian number.
    tail: AtomicU64,
    /// Whether no more bytes can be received.
    pub(super) is_over: AtomicBool,
    /// Whether the client was let into our namespace over this connection.
    is_connected: AtomicBool,
    /// The backlog that shrinks as bytes are written, once the connection is a websocket.
    backlog: OnceLock<Backlog>,
    frames: Mutex<Frames>,
    pub(super) hold: Mutex<Hold>,
    /// The tasks that read and write, to be woken when something can be written.
    pub(super) reader: AtomicWaker,
    pub(super) writer: AtomicWaker,
    /// Changes received bytes, until it says that it is done.
    editor: Mutex<Option<Editor>>,
}

/// The right to read and write a connection while its HTTP server waits. Dropping it without giving it back closes the
/// connection.
#[derive(Debug)]
pub(crate) struct Held {
    stream: Arc<OwnedWriteHalf>,
    traffic: Arc<Traffic>,
}

/// Changes received bytes in place, and returns whether it is done with the connection.
type Edit = dyn FnMut(&mut [u8]) -> bool + Send;

struct Editor(Box<Edit>);

impl fmt::Debug for Editor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Editor")
    }
}

impl TcpHandle {
    pub(super) fn new(stream: &Arc<OwnedWriteHalf>, traffic: &Arc<Traffic>) -> Self {
        Self {
            stream: Arc::downgrade(stream),
            traffic: traffic.clone(),
        }
    }

    /// Closes the connection at once, whatever either side is doing.
    pub(crate) fn close(&self) {
        if let Some(stream) = self.stream.upgrade() {
            shut_down(stream.as_ref().as_ref(), Shutdown::Both);
        }
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

    /// Whether the stream has not been dropped yet.
    pub(crate) fn exists(&self) -> bool {
        self.stream.strong_count() > 0
    }

    /// The time since bytes were last received.
    pub(crate) fn silence(&self) -> Duration {
        let last_at = Duration::from_micros(self.traffic.last_at.load(Relaxed));
        self.traffic.since.elapsed().saturating_sub(last_at)
    }

    /// Whether nothing more can be received: the peer, the network or the daemon has ended the connection.
    pub(crate) fn is_at_end(&self) -> bool {
        self.traffic.is_over.load(Relaxed)
    }

    /// The connection becomes a websocket with the server's next response.
    pub(crate) fn begin_frames_after_head(&self) {
        self.traffic.frames.lock().begin_after_head();
    }

    /// From now on, what is written to the connection is reported to `backlog`. Only the first call counts.
    pub(crate) fn report_writes_to(&self, backlog: &Backlog) {
        self.traffic.backlog.get_or_init(|| backlog.clone());
        if self.traffic.is_connected.load(Relaxed) {
            backlog.connected();
        }
    }

    /// Keeps the HTTP server from reading until the connection is given back. `None` if the connection has ended.
    ///
    /// Only the service that is about to answer a request of this connection may hold it: the server then waits for the service,
    /// and does not write either.
    pub(crate) fn hold(&self) -> Option<Held> {
        let stream = self.stream.upgrade()?;
        *self.traffic.hold.lock() = Hold::Held;
        Some(Held {
            stream,
            traffic: self.traffic.clone(),
        })
    }

    /// From now on, received bytes pass through `editor`, until that returns true.
    pub(crate) fn edit(&self, editor: impl FnMut(&mut [u8]) -> bool + Send + 'static) {
        *self.traffic.editor.lock() = Some(Editor(Box::new(editor)));
    }

    /// The last bytes received, with zeroes in front if they were fewer.
    pub(crate) fn tail(&self) -> [u8; TAIL_BYTES] {
        self.traffic.tail.load(Relaxed).to_be_bytes()
    }
}

impl Traffic {
    pub(super) fn new() -> Self {
        Self {
            since: Instant::now(),
            last_at: AtomicU64::new(0),
            tail: AtomicU64::new(0),
            is_over: AtomicBool::new(false),
            is_connected: AtomicBool::new(false),
            backlog: OnceLock::new(),
            frames: Mutex::default(),
            hold: Mutex::new(Hold::Free),
            reader: AtomicWaker::new(),
            writer: AtomicWaker::new(),
            editor: Mutex::default(),
        }
    }

    /// Whether the connection is no websocket, or is not one yet.
    pub(super) fn is_http(&self) -> bool {
        self.frames.lock().is_http()
    }

    /// Whether frames of the outlet wait, and may be written.
    pub(super) fn can_flush(&self) -> bool {
        self.frames.lock().can_flush()
    }

    /// Writes frames of the outlet, and returns whether the kernel takes no more.
    pub(super) fn flush(&self, stream: &TcpStream) -> bool {
        let mut sent = Sent::default();
        let mut frames = self.frames.lock();
        let flushed = frames.flush(&mut sent, |bytes| stream.try_write(bytes));
        let is_blocked =
            matches!(&flushed, Err(error) if error.kind() == io::ErrorKind::WouldBlock);
        if flushed.is_err() && !is_blocked {
            frames.forget();
            // Reading then ends as well, whatever the error was.
            shut_down(stream, Shutdown::Both);
        }
        drop(frames);
        self.report(sent);
        is_blocked
    }

    /// Writes bytes of the server, after the frames of the outlet that go first.
    pub(super) fn write(&self, stream: &TcpStream, bytes: &[u8]) -> io::Result<usize> {
        let mut sent = Sent::default();
        let mut frames = self.frames.lock();
        let written = frames.write(bytes, &mut sent, |bytes| stream.try_write(bytes));
        if frames.can_flush() {
            // They came while a frame of the server was being written.
            self.reader.wake();
        }
        drop(frames);
        self.report(sent);
        written
    }

    fn report(&self, sent: Sent) {
        if sent.is_connected {
            self.is_connected.store(true, Relaxed);
        }
        if let Some(backlog) = self.backlog.get() {
            backlog.shrink(Bytes(sent.bytes), sent.events);
            if sent.is_connected {
                backlog.connected();
            }
        }
    }

    pub(super) fn edit(&self, bytes: &mut [u8]) {
        let mut editor = self.editor.lock();
        if editor.as_mut().is_some_and(|Editor(edit)| edit(bytes)) {
            *editor = None;
        }
    }

    /// Records received bytes. Only one task reads a connection, so nothing comes between loading and storing.
    pub(super) fn hear(&self, bytes: &[u8]) {
        let micros = self.since.elapsed().as_micros();
        self.last_at
            .store(micros.try_into().unwrap_or(u64::MAX), Relaxed);
        let last = bytes.iter().skip(bytes.len().saturating_sub(TAIL_BYTES));
        let push = |tail: u64, byte: &u8| tail << 8 | u64::from(*byte);
        self.tail
            .store(last.fold(self.tail.load(Relaxed), push), Relaxed);
    }
}

/// One waker for both tasks: tokio keeps one for writing.
impl Wake for Traffic {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.reader.wake();
        self.writer.wake();
    }
}

impl Held {
    /// Waits until something can be read, and appends it to `bytes`.
    ///
    /// # Errors
    /// When the connection has ended.
    pub(crate) async fn read(&mut self, bytes: &mut Vec<u8>) -> io::Result<()> {
        let mut buffer = [0; 64];
        let read = loop {
            self.stream.as_ref().as_ref().readable().await?;
            match self.stream.as_ref().as_ref().try_read(&mut buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                read => break read,
            }
        };
        match read.map(|count| buffer.get(..count).unwrap_or_default()) {
            Ok(heard @ [_, ..]) => {
                self.traffic.hear(heard);
                bytes.extend_from_slice(heard);
                Ok(())
            }
            over => {
                self.traffic.is_over.store(true, Relaxed);
                over.and(Err(io::ErrorKind::UnexpectedEof.into()))
            }
        }
    }

    /// Writes all of `bytes`.
    ///
    /// # Errors
    /// When the connection has ended.
    pub(crate) async fn write_all(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            self.stream.writable().await?;
            match self.stream.try_write(bytes) {
                Ok(written) => bytes = bytes.get(written..).unwrap_or_default(),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Lets the HTTP server read `heard` again, in two parts. The second part begins at `second`; what the server writes before
    /// it has read that part is dropped. What it writes then is frames.
    pub(crate) fn give_back(self, heard: Vec<u8>, second: usize) {
        self.traffic.frames.lock().begin();
        *self.traffic.hold.lock() = Hold::given_back(heard, second);
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut hold = self.traffic.hold.lock();
        if let Hold::Held = *hold {
            *hold = Hold::Free;
            shut_down(self.stream.as_ref().as_ref(), Shutdown::Both);
        }
    }
}

/// Shuts a socket down. An error means that the peer was faster.
pub(super) fn shut_down(stream: &TcpStream, how: Shutdown) {
    let _ = SockRef::from(stream).shutdown(how);
}
