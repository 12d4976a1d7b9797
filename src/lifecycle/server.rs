//! One HTTP server for both listeners.
//!
//! Lives here: accepting, socket options, time-outs, ending connections. Not here: what is served.

use std::{
    convert::Infallible,
    io::{self, IoSlice},
    net::{IpAddr, Shutdown},
    num::NonZeroU32,
    pin::{Pin, pin},
    sync::{
        Arc, OnceLock, Weak,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::body::Body;
use governor::{DefaultDirectRateLimiter, Quota};
use http::{Request, Response};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use socket2::SockRef;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::{Service, ServiceExt};
use tracing::debug;

use super::Backlog;
use crate::{
    config::Limits,
    stats::{Counter, Counters},
};

/// How long to wait before accepting again after an error that will not pass by itself, such as too many open files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How long a request that is under way may take once the daemon stops, so that nobody can hold up the stop.
pub(crate) const LAST_WORDS: Duration = Duration::from_secs(2);

/// How long a connection that was accepted just before the stop may take to ask for something.
///
/// Closed at once, a request that is on its way would be reset, and its sender could not know whether it was heard.
const FIRST_WORDS: Duration = Duration::from_secs(1);

/// How patient the server is with its peers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// From the first byte of a request, or its absence, to the end of the headers.
    pub(crate) header: Duration,
    /// How long sent data may stay unacknowledged. Without it a browser that stops reading stays for ever.
    pub(crate) unacknowledged: Duration,
    /// How fast one connection may send, in bytes, if that matters.
    pub(crate) pace: Option<Quota>,
}

/// For so many seconds a connection may save up what it may send in one.
const BURST_SECONDS: NonZeroU32 = NonZeroU32::MIN.saturating_add(9);

impl From<&Limits> for Patience {
    fn from(limits: &Limits) -> Self {
        Self {
            header: limits.header_timeout,
            unacknowledged: limits.tcp_user_timeout,
            pace: Some(
                Quota::per_second(limits.bytes_per_second)
                    .allow_burst(limits.bytes_per_second.saturating_mul(BURST_SECONDS)),
            ),
        }
    }
}

/// Where a request comes from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer(pub(crate) IpAddr);

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
        }
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

/// Accepts connections and serves them.
#[derive(Clone, Debug)]
pub(crate) struct Server {
    pub(crate) patience: Patience,
    /// Knows the conversations that are under way.
    pub(crate) tracker: TaskTracker,
    pub(crate) counters: Counters,
    /// One permit for every connection that may be open; it comes back with the file of the connection.
    pub(crate) share: Arc<Semaphore>,
    /// Ends accepting.
    pub(crate) closed: CancellationToken,
    /// Ends what was accepted; the requests under way are finished.
    pub(crate) stop: CancellationToken,
}

impl Server {
    /// Serves what comes to `listener` until that is closed.
    pub(crate) async fn run<S>(self, listener: TcpListener, service: S)
    where
        S: HttpService,
    {
        while let Some(accepted) = self
            .closed
            .run_until_cancelled(self.accept(&listener))
            .await
        {
            match accepted {
                Ok(stream) => {
                    let conversation = self.clone().converse(stream, service.clone());
                    self.tracker.spawn(conversation);
                }
                Err(error) => {
                    debug!(%error, "cannot accept a connection: {error}");
                    self.counters.count(Counter::AcceptFailed);
                    if !is_about_one_connection(&error) {
                        sleep(ACCEPT_PAUSE).await;
                    }
                }
            }
        }
    }

    async fn accept(&self, listener: &TcpListener) -> io::Result<Shared> {
        let permit = self.permit().await?;
        let (stream, peer) = listener.accept().await?;
        stream.set_nodelay(true)?;
        SockRef::from(&stream).set_tcp_user_timeout(Some(self.patience.unacknowledged))?;
        Ok(Shared {
            stream: Arc::new(stream),
            peer: Peer(peer.ip()),
            traffic: Arc::new(Traffic::new()),
            pace: self.patience.pace.map(DefaultDirectRateLimiter::direct),
            counters: self.counters.clone(),
            _permit: permit,
        })
    }

    /// Taken before accepting: whoever finds none free waits in the backlog, where it costs no file.
    async fn permit(&self) -> io::Result<OwnedSemaphorePermit> {
        if let Ok(free) = self.share.clone().try_acquire_owned() {
            return Ok(free);
        }
        self.counters.count(Counter::AcceptDelayed);
        let freed = self.share.clone().acquire_owned().await;
        freed.map_err(io::Error::other)
    }

    async fn converse<S>(self, stream: Shared, service: S)
    where
        S: HttpService,
    {
        let (peer, line) = (stream.peer, stream.line());
        let asked = CancellationToken::new();
        let asks = asked.clone();
        let service = service_fn(move |mut request: Request<Incoming>| {
            asks.cancel();
            let extensions = request.extensions_mut();
            extensions.insert(peer);
            extensions.insert(line.clone());
            service.clone().oneshot(request)
        });
        let mut connection = pin!(
            http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(self.patience.header)
                .serve_connection(TokioIo::new(stream), service)
                .with_upgrades()
        );
        let served = tokio::select! {
            served = connection.as_mut() => served,
            () = self.time_to_end(&asked) => {
                connection.as_mut().graceful_shutdown();
                timeout(LAST_WORDS, connection).await.unwrap_or(Ok(()))
            }
        };
        if let Err(error) = served {
            debug!(%error, "connection ended: {error}");
            if error.is_timeout() {
                self.counters.count(Counter::HeaderTimeout);
            } else if error.is_parse() {
                self.counters.count(Counter::BadHead);
            }
        }
    }

    async fn time_to_end(&self, asked: &CancellationToken) {
        self.stop.cancelled().await;
        // Whether it asks or not, it ends.
        let _ = timeout(FIRST_WORDS, asked.cancelled()).await;
    }
}

/// What a listener serves.
pub(crate) trait HttpService:
    Service<Request<Incoming>, Response = Response<Body>, Error = Infallible, Future: Send>
    + Clone
    + Send
    + 'static
{
}

impl<S> HttpService for S where
    S: Service<Request<Incoming>, Response = Response<Body>, Error = Infallible, Future: Send>
        + Clone
        + Send
        + 'static
{
}

fn is_about_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, InvalidInput, NotConnected};
    let kinds = [
        ConnectionAborted,
        ConnectionReset,
        InvalidInput,
        NotConnected,
    ];
    kinds.contains(&error.kind())
}

/// A stream that can be cut through its [`Line`] while it is being read and written.
struct Shared {
    stream: Arc<TcpStream>,
    peer: Peer,
    traffic: Arc<Traffic>,
    pace: Option<DefaultDirectRateLimiter>,
    counters: Counters,
    _permit: OwnedSemaphorePermit,
}

impl AsyncRead for Shared {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        loop {
            ready!(self.stream.poll_read_ready(cx))?;
            match self.stream.try_read_buf(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => {
                    self.traffic.is_over.store(true, Relaxed);
                    return Poll::Ready(Err(error));
                }
                Ok(_) => {
                    let heard = buffer.filled().get(before..).unwrap_or_default();
                    return Poll::Ready(self.hear(heard));
                }
            }
        }
    }
}

impl Shared {
    fn line(&self) -> Line {
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

impl AsyncWrite for Shared {
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
