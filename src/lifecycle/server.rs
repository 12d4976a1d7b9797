//! One HTTP server for both listeners.
//!
//! Lives here: accepting, socket options, time-outs, ending connections. Not here: one connection (`line`), what is served.

use std::{
    convert::Infallible, io, net::IpAddr, num::NonZeroU32, pin::pin, sync::Arc, time::Duration,
};

use axum::body::Body;
use governor::Quota;
use http::{Request, Response};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
#[cfg(target_os = "linux")]
use socket2::SockRef;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::{Service, ServiceExt};
use tracing::debug;

use super::line::Connection;
use crate::{
    config::{Limits, Settings},
    stats::{Counter, Counters},
};

/// How long to wait before accepting again after an error that will not pass by itself, such as too many open files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How many bytes of one connection are held before they are taken for a request or a part of its body, and so the most
/// that the headers of a request may have, or a little more: nginx passes on 33 KiB if nothing else is said, and adds to it.
///
/// <https://nginx.org/en/docs/http/ngx_http_core_module.html#large_client_header_buffers>
const BUFFER: usize = 40 * 1024;

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

impl Patience {
    /// With browsers.
    pub(crate) fn public(limits: &Limits) -> Self {
        let pace = limits.bytes_per_second;
        Self {
            pace: Some(Quota::per_second(pace).allow_burst(pace.saturating_mul(BURST_SECONDS))),
            ..Self::admin(limits)
        }
    }

    /// With staff and the back-end, who post bodies that are large and come at once.
    pub(crate) fn admin(limits: &Limits) -> Self {
        Self {
            header: limits.header_timeout,
            unacknowledged: limits.tcp_user_timeout,
            pace: None,
        }
    }
}

/// Where a request comes from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer(pub(crate) IpAddr);

/// Accepts connections and serves them.
#[derive(Clone, Debug)]
pub(crate) struct Server {
    pub(crate) settings: Settings,
    /// How patient it is with a connection: as the limits say when that is accepted.
    pub(crate) patience: fn(&Limits) -> Patience,
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
                Ok((connection, peer, patience)) => {
                    let service = service.clone();
                    let conversation = self.clone().converse(connection, peer, patience, service);
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

    async fn accept(&self, listener: &TcpListener) -> io::Result<(Connection, Peer, Patience)> {
        let permit = self.permit().await?;
        let (stream, peer) = listener.accept().await?;
        let patience = (self.patience)(&self.settings.now().limits);
        stream.set_nodelay(true)?;
        end_when_unacknowledged_for(patience.unacknowledged, &stream)?;
        let connection = Connection::new(stream, patience.pace, self.counters.clone(), permit);
        Ok((connection, Peer(peer.ip()), patience))
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

    async fn converse<S>(self, connection: Connection, peer: Peer, patience: Patience, service: S)
    where
        S: HttpService,
    {
        let line = connection.line();
        let asked = CancellationToken::new();
        let service = {
            let (line, asked) = (line.clone(), asked.clone());
            service_fn(move |mut request: Request<Incoming>| {
                asked.cancel();
                let extensions = request.extensions_mut();
                extensions.insert(peer);
                extensions.insert(line.clone());
                service.clone().oneshot(request)
            })
        };
        let mut connection = pin!(
            http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(patience.header)
                .max_buf_size(BUFFER)
                .serve_connection(TokioIo::new(connection), service)
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
            // Whoever has been answered, and says nothing more, has done nothing wrong.
            let has_begun = !asked.is_cancelled() || line.silence() < patience.header;
            if error.is_timeout() && has_begun {
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

/// Ends a connection whose peer acknowledges nothing for that long.
#[cfg(target_os = "linux")]
fn end_when_unacknowledged_for(patience: Duration, stream: &TcpStream) -> io::Result<()> {
    SockRef::from(stream).set_tcp_user_timeout(Some(patience))
}

/// Only Linux can be told to. On a developer's machine without Linux, heartbeats find a dead connection.
#[cfg(not(target_os = "linux"))]
#[expect(clippy::unnecessary_wraps, reason = "Linux may refuse")]
fn end_when_unacknowledged_for(_patience: Duration, _stream: &TcpStream) -> io::Result<()> {
    Ok(())
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
