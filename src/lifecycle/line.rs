//! One TCP connection.
//!
//! Lives here: reading and writing it, what is known of what has come and gone, holding and cutting it. Not here: accepting
//! it, HTTP.

use std::{
    fmt,
    io::{self, IoSlice},
    net::Shutdown,
    num::NonZeroU32,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use governor::{DefaultDirectRateLimiter, Quota};
use socket2::SockRef;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    sync::OwnedSemaphorePermit,
    time::Instant,
};

use super::{Backlog, hold::Hold};
use crate::stats::{Counter, Counters};

/// A handle on the TCP connection that a request came over.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    stream: Weak<TcpStream>,
    traffic: Arc<Traffic>,
}

/// What is known of the bytes that a connection has received, and has sent.
#[derive(Debug)]
struct Traffic {
    since: Instant,
    /// When the last ones came, in milliseconds from then.
    last_at: AtomicU64,
    /// The last eight of them, as a number of the network.
    tail: AtomicU64,
    /// Whether there will be no more.
    is_over: AtomicBool,
    /// What is sent over it, once it is a websocket.
    backlog: OnceLock<Backlog>,
    hold: Mutex<Hold>,
    /// Changes what comes, until it says that it is done.
    editor: Mutex<Option<Editor>>,
}

/// The right to read and write a connection while its server waits. Dropped without giving it back, it cuts the connection.
#[derive(Debug)]
pub(crate) struct Held {
    stream: Arc<TcpStream>,
    traffic: Arc<Traffic>,
}

/// Changes bytes in place, and returns whether there is nothing more to change.
type Edit = dyn FnMut(&mut [u8]) -> bool + Send;

struct Editor(Box<Edit>);

impl fmt::Debug for Editor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Editor")
    }
}

impl Line {
    /// Cuts the connection, whatever either side is doing.
    pub(crate) fn hang_up(&self) {
        if let Some(stream) = self.stream.upgrade() {
            // An error means that the peer was faster.
            let _ = SockRef::from(&*stream).shutdown(Shutdown::Both);
        }
    }

    /// Whether the connection is still open.
    pub(crate) fn is_up(&self) -> bool {
        self.stream.strong_count() > 0
    }

    /// How long nothing has been heard over it.
    pub(crate) fn silence(&self) -> Duration {
        let last_at = Duration::from_millis(self.traffic.last_at.load(Relaxed));
        self.traffic.since.elapsed().saturating_sub(last_at)
    }

    /// Whether its peer, or the network, or we have ended it.
    pub(crate) fn is_over(&self) -> bool {
        self.traffic.is_over.load(Relaxed)
    }

    /// From now on what is sent over it is taken off a backlog, that of the first who says so.
    pub(crate) fn carries(&self, backlog: &Backlog) {
        self.traffic.backlog.get_or_init(|| backlog.clone());
    }

    /// Keeps the server from reading and writing until the connection is given back. None if it is closed already.
    ///
    /// Only who is about to answer a request that came over it may do so.
    pub(crate) fn hold(&self) -> Option<Held> {
        let stream = self.stream.upgrade()?;
        *self.traffic.hold() = Hold::Held;
        Some(Held {
            stream,
            traffic: self.traffic.clone(),
        })
    }

    /// From now on what comes over it passes through `editor`, until that returns true.
    pub(crate) fn edit(&self, editor: impl FnMut(&mut [u8]) -> bool + Send + 'static) {
        *self.traffic.editor() = Some(Editor(Box::new(editor)));
    }

    /// The last bytes that were heard over it, zeroes in front if they were fewer.
    pub(crate) fn tail(&self) -> [u8; 8] {
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

    /// Nothing panics while it holds this lock.
    fn hold(&self) -> MutexGuard<'_, Hold> {
        self.hold.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn edit(&self, bytes: &mut [u8]) {
        let mut editor = self.editor();
        if editor.as_mut().is_some_and(|Editor(edit)| edit(bytes)) {
            *editor = None;
        }
    }

    /// Nothing panics while it holds this lock.
    fn editor(&self) -> MutexGuard<'_, Option<Editor>> {
        self.editor.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One task reads a connection, so nothing comes between loading and storing.
    fn hear(&self, bytes: &[u8]) {
        let millis = self.since.elapsed().as_millis();
        self.last_at
            .store(millis.try_into().unwrap_or(u64::MAX), Relaxed);
        let last = bytes.iter().skip(bytes.len().saturating_sub(8));
        let push = |tail: u64, byte: &u8| tail << 8 | u64::from(*byte);
        self.tail
            .store(last.fold(self.tail.load(Relaxed), push), Relaxed);
    }
}

impl Held {
    /// Waits for more to read, and adds at least one byte of it to `bytes`.
    ///
    /// # Errors
    /// When nothing will come any more.
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
    /// When the connection is over.
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

    /// Lets the server read `heard` again, in two parts. What it writes before it reads the second part, which begins at
    /// `second`, is taken for written.
    pub(crate) fn give_back(self, heard: Vec<u8>, second: usize) {
        *self.traffic.hold() = Hold::given_back(heard, second);
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut hold = self.traffic.hold();
        if let Hold::Held = *hold {
            *hold = Hold::Free;
            let _ = SockRef::from(&*self.stream).shutdown(Shutdown::Both);
        }
    }
}

/// A stream that can be cut through its [`Line`] while it is being read and written.
pub(super) struct Connection {
    stream: Arc<TcpStream>,
    traffic: Arc<Traffic>,
    pace: Option<DefaultDirectRateLimiter>,
    counters: Counters,
    _permit: OwnedSemaphorePermit,
}

impl Connection {
    /// What was accepted: it may send as fast as `pace` says, and keeps `permit` for as long as its file is open.
    pub(super) fn new(
        stream: TcpStream,
        pace: Option<Quota>,
        counters: Counters,
        permit: OwnedSemaphorePermit,
    ) -> Self {
        Self {
            stream: Arc::new(stream),
            traffic: Arc::new(Traffic::new()),
            pace: pace.map(DefaultDirectRateLimiter::direct),
            counters,
            _permit: permit,
        }
    }

    pub(super) fn line(&self) -> Line {
        Line {
            stream: Arc::downgrade(&self.stream),
            traffic: self.traffic.clone(),
        }
    }

    /// Takes note of what came, or that nothing will come any more.
    fn hear(&self, bytes: &[u8]) -> io::Result<()> {
        let Some(count) = u32::try_from(bytes.len()).ok().and_then(NonZeroU32::new) else {
            self.traffic.is_over.store(true, Relaxed);
            return Ok(());
        };
        self.traffic.hear(bytes);
        let in_time = |pace: &DefaultDirectRateLimiter| matches!(pace.check_n(count), Ok(Ok(())));
        if self.pace.as_ref().is_none_or(in_time) {
            return Ok(());
        }
        self.counters.count(Counter::ByteFlood);
        self.traffic.is_over.store(true, Relaxed);
        let _ = SockRef::from(&*self.stream).shutdown(Shutdown::Both);
        Err(io::Error::new(
            io::ErrorKind::ConnectionAborted,
            "sends too fast",
        ))
    }

    /// Writes, and takes for written what cannot be because the connection is over. Whoever reads it learns of that, and
    /// only then does the library end a session: one whose first packet cannot be written it would never let go of.
    fn poll_try(
        &self,
        cx: &mut Context<'_>,
        bytes: usize,
        write: impl Fn(&TcpStream) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        if self.traffic.hold().is_written() {
            return Poll::Ready(Ok(bytes));
        }
        loop {
            ready!(self.stream.poll_write_ready(cx))?;
            match write(&self.stream) {
                Ok(written) => {
                    if let Some(backlog) = self.traffic.backlog.get() {
                        backlog.shrink(written);
                    }
                    return Poll::Ready(Ok(written));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => {
                    // So that reading comes to an end, whatever it was.
                    let _ = SockRef::from(&*self.stream).shutdown(Shutdown::Both);
                    return Poll::Ready(Ok(bytes));
                }
            }
        }
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        if ready!(self.traffic.hold().replay(buffer)) {
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

impl AsyncWrite for Connection {
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
        // An error means that the peer was faster.
        let _ = SockRef::from(&*self.stream).shutdown(Shutdown::Write);
        Poll::Ready(Ok(()))
    }
}
