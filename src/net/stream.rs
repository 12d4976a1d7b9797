//! One TCP connection.
//!
//! Lives here: reading and writing it, what is known about its traffic, holding and closing it. Not here: accepting it, HTTP.

use std::{
    fmt,
    io::{self, IoSlice},
    net::Shutdown,
    num::NonZeroU32,
    pin::Pin,
    sync::{
        Arc, OnceLock, Weak,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use governor::{DefaultDirectRateLimiter, Quota};
use parking_lot::Mutex;
use socket2::SockRef;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    sync::OwnedSemaphorePermit,
    time::Instant,
};

use super::{backlog::Backlog, hold::Hold};
use crate::{
    presence::Bytes,
    stats::{Counter, Counters},
};

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
struct Traffic {
    since: Instant,
    /// When bytes were last received, in microseconds after `since`. A message that was sent within the same unit of time counts as
    /// not received.
    last_at: AtomicU64,
    /// The last [`TAIL_BYTES`] bytes received, as a big-endian number.
    tail: AtomicU64,
    /// Whether no more bytes can be received.
    is_over: AtomicBool,
    /// The backlog that shrinks as bytes are written, once the connection is a websocket.
    backlog: OnceLock<Backlog>,
    hold: Mutex<Hold>,
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
    fn new() -> Self {
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

    fn edit(&self, bytes: &mut [u8]) {
        let mut editor = self.editor.lock();
        if editor.as_mut().is_some_and(|Editor(edit)| edit(bytes)) {
            *editor = None;
        }
    }

    /// Records received bytes. Only one task reads a connection, so nothing comes between loading and storing.
    fn hear(&self, bytes: &[u8]) {
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

/// What a stream does when it cannot write because the connection has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WriteErrors {
    /// It returns the error.
    Reported,
    /// It shuts the socket down and reports success, so that the end is noticed by reading.
    ///
    /// The public listener needs this: socketioxide ends a session only when *reading* fails, and would never let go of a
    /// session whose first packet could not be written.
    FoundByReading,
}

/// A stream that can be closed through its [`TcpHandle`] while it is being read and written.
pub(super) struct TrackedStream {
    stream: Arc<TcpStream>,
    traffic: Arc<Traffic>,
    rate: Option<DefaultDirectRateLimiter>,
    write_errors: WriteErrors,
    counters: Counters,
    _permit: OwnedSemaphorePermit,
}

impl TrackedStream {
    /// Wraps a connection whose peer may send at `rate`. It keeps `permit` as long as its file is open.
    pub(super) fn new(
        stream: TcpStream,
        rate: Option<Quota>,
        write_errors: WriteErrors,
        counters: Counters,
        permit: OwnedSemaphorePermit,
    ) -> Self {
        Self {
            stream: Arc::new(stream),
            traffic: Arc::new(Traffic::new()),
            rate: rate.map(DefaultDirectRateLimiter::direct),
            write_errors,
            counters,
            _permit: permit,
        }
    }

    pub(super) fn handle(&self) -> TcpHandle {
        TcpHandle {
            stream: Arc::downgrade(&self.stream),
            traffic: self.traffic.clone(),
        }
    }

    /// Records received bytes; none means the end of the connection.
    ///
    /// # Errors
    /// When the peer sends faster than it may. The connection is closed then.
    fn hear(&self, bytes: &[u8]) -> io::Result<()> {
        let Some(count) = u32::try_from(bytes.len()).ok().and_then(NonZeroU32::new) else {
            self.traffic.is_over.store(true, Relaxed);
            return Ok(());
        };
        self.traffic.hear(bytes);
        let in_time = |rate: &DefaultDirectRateLimiter| matches!(rate.check_n(count), Ok(Ok(())));
        if self.rate.as_ref().is_none_or(in_time) {
            return Ok(());
        }
        self.counters.count(Counter::ByteFlood);
        self.traffic.is_over.store(true, Relaxed);
        shut_down(&self.stream, Shutdown::Both);
        Err(io::Error::new(
            io::ErrorKind::ConnectionAborted,
            "sends too fast",
        ))
    }

    /// Writes `bytes` bytes or fewer by `write`, and handles errors as [`WriteErrors`] says.
    fn poll_try(
        &self,
        cx: &mut Context<'_>,
        bytes: usize,
        write: impl Fn(&TcpStream) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        if self.traffic.hold.lock().discards_writes() {
            return Poll::Ready(Ok(bytes));
        }
        loop {
            ready!(self.stream.poll_write_ready(cx))?;
            match (write(&self.stream), self.write_errors) {
                (Ok(written), _) => {
                    if let Some(backlog) = self.traffic.backlog.get() {
                        backlog.shrink(Bytes(written));
                    }
                    return Poll::Ready(Ok(written));
                }
                (Err(error), _) if error.kind() == io::ErrorKind::WouldBlock => {}
                (Err(error), WriteErrors::Reported) => return Poll::Ready(Err(error)),
                (Err(_), WriteErrors::FoundByReading) => {
                    // Reading then ends as well, whatever the error was.
                    shut_down(&self.stream, Shutdown::Both);
                    return Poll::Ready(Ok(bytes));
                }
            }
        }
    }
}

/// Shuts a socket down. An error means that the peer was faster.
fn shut_down(stream: &TcpStream, how: Shutdown) {
    let _ = SockRef::from(stream).shutdown(how);
}

impl AsyncRead for TrackedStream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        if ready!(self.traffic.hold.lock().replay(buffer)) {
            return Poll::Ready(Ok(()));
        }
        loop {
            ready!(self.stream.poll_read_ready(cx))?;
            match self.stream.try_read_buf(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => {
                    self.traffic.is_over.store(true, Relaxed);
                    return Poll::Ready(Err(error));
                }
                Ok(_) => {
                    let heard = buffer.filled_mut().get_mut(before..).unwrap_or_default();
                    self.traffic.edit(heard);
                    return Poll::Ready(self.hear(heard));
                }
            }
        }
    }
}

impl AsyncWrite for TrackedStream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_try(cx, bytes.len(), |stream| stream.try_write(bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let bytes = slices.iter().map(|slice| slice.len()).sum();
        self.poll_try(cx, bytes, |stream| stream.try_write_vectored(slices))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        shut_down(&self.stream, Shutdown::Write);
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
        sync::Semaphore,
    };

    use super::*;

    #[tokio::test]
    async fn a_write_error_is_reported_or_left_to_reading() {
        for (write_errors, is_reported) in [
            (WriteErrors::Reported, true),
            (WriteErrors::FoundByReading, false),
        ] {
            let mut stream = reset(write_errors).await;
            let written = loop {
                // The first write after a reset may still succeed.
                let written = stream.write_all(b"x").await;
                if written.is_err() || stream.read_u8().await.is_err() {
                    break written;
                }
            };
            assert_eq!(written.is_err(), is_reported, "{write_errors:?}");
            assert!(stream.read_u8().await.is_err(), "{write_errors:?}");
        }
    }

    /// A stream whose peer has reset the connection.
    async fn reset(write_errors: WriteErrors) -> TrackedStream {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let peer = TcpStream::connect(listener.local_addr().unwrap());
        let (peer, accepted) = tokio::join!(peer, listener.accept());
        SockRef::from(&peer.unwrap())
            .set_linger(Some(Duration::ZERO))
            .unwrap();
        let permit = Arc::new(Semaphore::new(1)).acquire_owned().await.unwrap();
        let counters = Counters::default();
        TrackedStream::new(accepted.unwrap().0, None, write_errors, counters, permit)
    }
}
