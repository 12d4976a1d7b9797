//! The stream of a TCP connection, for its server.
//!
//! Lives here: reading and writing, and how fast a peer may send. Not here: accepting a connection, HTTP, and what others may do
//! to it (`handle`).

use std::{
    io::{self, IoSlice},
    net::Shutdown,
    num::NonZeroU32,
    pin::Pin,
    sync::{Arc, atomic::Ordering::Relaxed},
    task::{Context, Poll, ready},
};

use governor::{DefaultDirectRateLimiter, Quota};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    sync::OwnedSemaphorePermit,
};

use super::handle::{TcpHandle, Traffic, shut_down};
use crate::{
    presence::Bytes,
    stats::{Counter, Counters},
};

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

/// A stream whose traffic its [`TcpHandle`] tells of.
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
        TcpHandle::new(&self.traffic)
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
        self.traffic.hear();
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

impl AsyncRead for TrackedStream {
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
    use std::time::Duration;

    use socket2::SockRef;
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
