//! One HTTP server for both listeners.
//!
//! Lives here: accepting, socket options, time-outs, ending connections. Not here: one connection (`stream`), what is served.

use std::{convert::Infallible, io, net::IpAddr, pin::pin, sync::Arc, time::Duration};

use axum::body::Body;
use governor::Quota;
use http::{Request, Response};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use socket2::SockRef;
use tokio::{
    net::TcpListener,
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::{Service, ServiceExt};
use tracing::debug;

use super::{
    stream::{TrackedStream, WriteErrors},
    timeouts::Timeouts,
};
use crate::{
    config::{Limits, Settings},
    stats::{Counter, Counters},
};

/// How long to wait before accepting again after an error that will not pass by itself, such as too many open files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Longest head of a request, in bytes, and a little more: hyper's read buffer. nginx passes on up to 33 KiB by default and
/// adds headers of its own.
///
/// <https://nginx.org/en/docs/http/ngx_http_core_module.html#large_client_header_buffers>
const BUFFER: usize = 40 * 1024;

/// How long a request may go on once the daemon stops, so that no client can hold up the stop.
pub(crate) const FINISH_TIMEOUT: Duration = Duration::from_secs(2);

/// How long a connection that was accepted just before the stop may take to send its first request.
///
/// If it were closed at once, a request on its way would be reset, and its sender could not know whether it was carried out.
const FIRST_REQUEST_TIMEOUT: Duration = Duration::from_secs(1);

/// The peer of the TCP connection that a request came over.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer(pub(crate) IpAddr);

/// Accepts connections and serves them.
#[derive(Clone, Debug)]
pub(crate) struct Server {
    pub(crate) settings: Settings,
    /// The rate in bytes at which a connection may send, if there is one. It is read off the limits when the connection is
    /// accepted.
    pub(crate) rate: Option<fn(&Limits) -> Quota>,
    pub(crate) write_errors: WriteErrors,
    /// Tracks the connections that HTTP is spoken over.
    pub(crate) tracker: TaskTracker,
    pub(crate) counters: Counters,
    /// One permit for every connection that may be open. A connection gives its permit back once its file is closed.
    pub(crate) permits: Arc<Semaphore>,
    /// Cancelled when the listener shall accept no more connections.
    pub(crate) closed: CancellationToken,
    /// Cancelled when open connections shall end. Requests under way are finished first.
    pub(crate) stop: CancellationToken,
}

impl Server {
    /// Serves the connections of `listener` until `closed` is cancelled.
    pub(crate) async fn run<S>(self, listener: TcpListener, service: S)
    where
        S: HttpService,
    {
        let mut inherited = None;
        while let Some(accepted) = self
            .closed
            .run_until_cancelled(self.accept(&listener, &mut inherited))
            .await
        {
            match accepted {
                Ok((stream, peer, timeouts)) => {
                    let service = service.clone();
                    self.tracker
                        .spawn(self.clone().serve(stream, peer, timeouts, service));
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

    /// Accepts a connection, and sets its options unless it has `inherited` them from the listener.
    async fn accept(
        &self,
        listener: &TcpListener,
        inherited: &mut Option<Duration>,
    ) -> io::Result<(TrackedStream, Peer, Timeouts)> {
        let permit = self.permit().await?;
        let (stream, peer) = listener.accept().await?;
        let config = self.settings.now();
        let timeouts = Timeouts::new(&config.limits);
        let age = timeouts.unacknowledged;
        if *inherited != Some(age) {
            set_options(&SockRef::from(&stream), age)?;
            // On Linux, connections that arrive from now on have the options of the listener.
            let is_set = set_options(&SockRef::from(listener), age).is_ok();
            *inherited = (is_set && cfg!(target_os = "linux")).then_some(age);
        }
        let rate = self.rate.map(|rate| rate(&config.limits));
        let counters = self.counters.clone();
        let stream = TrackedStream::new(stream, rate, self.write_errors, counters, permit);
        Ok((stream, Peer(peer.ip()), timeouts))
    }

    /// Waits for a permit, before accepting: while none is free, a client waits in the kernel's backlog, where it costs no file.
    async fn permit(&self) -> io::Result<OwnedSemaphorePermit> {
        if let Ok(free) = self.permits.clone().try_acquire_owned() {
            return Ok(free);
        }
        self.counters.count(Counter::AcceptDelayed);
        let freed = self.permits.clone().acquire_owned().await;
        freed.map_err(io::Error::other)
    }

    async fn serve<S>(self, stream: TrackedStream, peer: Peer, timeouts: Timeouts, service: S)
    where
        S: HttpService,
    {
        let tcp = stream.handle();
        let requested = CancellationToken::new();
        let service = {
            let (tcp, requested) = (tcp.clone(), requested.clone());
            service_fn(move |mut request: Request<Incoming>| {
                requested.cancel();
                let extensions = request.extensions_mut();
                extensions.insert(peer);
                extensions.insert(tcp.clone());
                // Boxed, so that a connection without a request is small.
                Box::pin(service.clone().oneshot(request))
            })
        };
        let mut connection = pin!(
            http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(timeouts.header)
                .max_buf_size(BUFFER)
                .serve_connection(TokioIo::new(stream), service)
                .with_upgrades()
        );
        let served = tokio::select! {
            served = connection.as_mut() => served,
            () = self.time_to_end(&requested) => {
                connection.as_mut().graceful_shutdown();
                timeout(FINISH_TIMEOUT, connection).await.unwrap_or(Ok(()))
            }
        };
        if let Err(error) = served {
            debug!(%error, "connection ended: {error}");
            // A client that has its response and sends nothing more has done nothing wrong.
            let has_begun = !requested.is_cancelled() || tcp.silence() < timeouts.header;
            if error.is_timeout() && has_begun {
                self.counters.count(Counter::HeaderTimeout);
            } else if error.is_parse() {
                self.counters.count(Counter::BadHead);
            }
        }
    }

    async fn time_to_end(&self, requested: &CancellationToken) {
        self.stop.cancelled().await;
        // The connection ends either way.
        let _ = timeout(FIRST_REQUEST_TIMEOUT, requested.cancelled()).await;
    }
}

/// A service that a listener offers over HTTP.
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

/// Sends small packets without delay, and ends a connection whose peer acknowledges nothing for `age`.
fn set_options(socket: &SockRef<'_>, age: Duration) -> io::Result<()> {
    socket.set_tcp_nodelay(true)?;
    end_when_unacknowledged_for(age, socket)
}

/// Has the kernel end a connection whose peer acknowledges nothing for `age`.
#[cfg(target_os = "linux")]
fn end_when_unacknowledged_for(age: Duration, socket: &SockRef<'_>) -> io::Result<()> {
    socket.set_tcp_user_timeout(Some(age))
}

/// Does nothing: only Linux has such an option. On other systems the heartbeat finds a dead connection.
#[cfg(not(target_os = "linux"))]
#[expect(clippy::unnecessary_wraps, reason = "Linux may refuse")]
fn end_when_unacknowledged_for(_age: Duration, _socket: &SockRef<'_>) -> io::Result<()> {
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

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use tokio::net::TcpStream;

    use super::*;

    #[tokio::test]
    async fn connections_inherit_the_options_of_the_listener() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let age = Duration::from_secs(7);
        set_options(&SockRef::from(&listener), age).unwrap();
        let connect = TcpStream::connect(listener.local_addr().unwrap());
        let (_peer, accepted) = tokio::join!(connect, listener.accept());
        let (stream, _) = accepted.unwrap();
        let socket = SockRef::from(&stream);
        assert!(socket.tcp_nodelay().unwrap());
        assert_eq!(socket.tcp_user_timeout().unwrap(), Some(age));
    }
}
