//! What is known about a TCP connection, and what can be done to it from outside of its server.
//!
//! Lives here: handles on a connection, its traffic, and holding it. Not here: reading and writing for the server (`stream`).

use std::{
    fmt, io,
    net::Shutdown,
    sync::{
        Arc, OnceLock, Weak,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use parking_lot::Mutex;
use socket2::SockRef;
use tokio::{net::TcpStream, time::Instant};

use super::{backlog::Backlog, hold::Hold};

/// The number of bytes that [`TcpHandle::tail`] remembers. It is enough for the Socket.IO edge to recognise the last
/// websocket frame of a client as an empty close frame: six bytes, and the two before it.
pub(crate) const TAIL_BYTES: usize = size_of::<u64>();

/// A handle on the TCP connection that a request came over.
#[derive(Clone, Debug)]
pub(crate) struct TcpHandle {
    stream: Weak<TcpStream>,
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
    /// The backlog that shrinks as bytes are written, once the connection is a websocket.
    pub(super) backlog: OnceLock<Backlog>,
    pub(super) hold: Mutex<Hold>,
    /// Changes received bytes, until it says that it is done.
    editor: Mutex<Option<Editor>>,
}

/// The right to read and write a connection while its HTTP server waits. Dropping it without giving it back closes the
/// connection.
#[derive(Debug)]
pub(crate) struct Held {
    stream: Arc<TcpStream>,
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
    pub(super) fn new(stream: &Arc<TcpStream>, traffic: &Arc<Traffic>) -> Self {
        Self {
            stream: Arc::downgrade(stream),
            traffic: traffic.clone(),
        }
    }

    /// Closes the connection at once, whatever either side is doing.
    pub(crate) fn close(&self) {
        if let Some(stream) = self.stream.upgrade() {
            shut_down(&stream, Shutdown::Both);
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

    /// From now on, bytes written to the connection are subtracted from `backlog`. Only the first call counts.
    pub(crate) fn report_writes_to(&self, backlog: &Backlog) {
        self.traffic.backlog.get_or_init(|| backlog.clone());
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
            backlog: OnceLock::new(),
            hold: Mutex::new(Hold::Free),
            editor: Mutex::default(),
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

impl Held {
    /// Waits until something can be read, and appends it to `bytes`.
    ///
    /// # Errors
    /// When the connection has ended.
    pub(crate) async fn read(&mut self, bytes: &mut Vec<u8>) -> io::Result<()> {
        let mut buffer = [0; 64];
        let read = loop {
            self.stream.readable().await?;
            match self.stream.try_read(&mut buffer) {
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
    /// it has read that part is dropped.
    pub(crate) fn give_back(self, heard: Vec<u8>, second: usize) {
        *self.traffic.hold.lock() = Hold::given_back(heard, second);
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut hold = self.traffic.hold.lock();
        if let Hold::Held = *hold {
            *hold = Hold::Free;
            shut_down(&self.stream, Shutdown::Both);
        }
    }
}

/// Shuts a socket down. An error means that the peer was faster.
pub(super) fn shut_down(stream: &TcpStream, how: Shutdown) {
    let _ = SockRef::from(stream).shutdown(how);
}
