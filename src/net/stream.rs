//! The stream of a TCP connection, for its server.
//!
//! Lives here: reading and writing, and how fast a peer may send. Not here: accepting a connection, HTTP, and what others may do
//! to it (`handle`).

use std::{
    io::{self, IoSlice},
    net::Shutdown,
    num::NonZeroU32,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use governor::{DefaultDirectRateLimiter, Quota};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{
        TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::OwnedSemaphorePermit,
};

use super::handle::{TcpHandle, Traffic, shut_down};
use crate::stats::{Counter, Counters};

/// What a stream does when it cannot write because the connection has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WriteErrors {
    /// It returns the error.
    Reported,
    /// It shuts the socket down and reports success, so that the end is noticed by reading.
    ///
    /// The public listener needs this: a close frame that came before the error makes the end a clean close.
    FoundByReading,
}

/// A stream that others know, and send over, by its [`TcpHandle`].
pub(super) struct TrackedStream {
    reading: OwnedReadHalf,
    writing: Arc<OwnedWriteHalf>,
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
        let (reading, writing) = stream.into_split();
        Self {
            reading,
            writing: Arc::new(writing),
            traffic: Arc::new(Traffic::new()),
            rate: rate.map(DefaultDirectRateLimiter::direct),
            write_errors,
            counters,
            _permit: permit,
        }
    }

    pub(super) fn handle(&self) -> TcpHandle {
        TcpHandle::new(&self.writing, &self.traffic)
    }

    fn tcp(&self) -> &TcpStream {
        self.reading.as_ref()
    }

    /// Records received bytes; none means the end of the connection.
    ///
    /// # Errors
    /// When the peer sends faster than it may. The connection is closed then.
    fn hear(&self, bytes: &[u8]) -> io::Result<()> {
        let Some(count) = u32::try_from(bytes.len()).ok().and_then(NonZeroU32::new) else {
            return Ok(());
        };
        self.traffic.hear();
        let in_time = |rate: &DefaultDirectRateLimiter| matches!(rate.check_n(count), Ok(Ok(())));
        if self.rate.as_ref().is_none_or(in_time) {
            return Ok(());
        }
        self.counters.count(Counter::ByteFlood);
        shut_down(self.tcp(), Shutdown::Both);
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
        write: impl Fn() -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.tcp().poll_write_ready(cx))?;
            match (write(), self.write_errors) {
                (Ok(written), _) => return Poll::Ready(Ok(written)),
                (Err(error), _) if error.kind() == io::ErrorKind::WouldBlock => {}
                (Err(error), WriteErrors::Reported) => return Poll::Ready(Err(error)),
                (Err(_), WriteErrors::FoundByReading) => {
                    // Reading then ends as well, whatever the error was.
                    shut_down(self.tcp(), Shutdown::Both);
                    return Poll::Ready(Ok(bytes));
                }
            }
        }
    }

    /// Writes the frames that the outlet has left to this task.
    fn flush(&self, cx: &mut Context<'_>) {
        while self.traffic.can_flush() && self.tcp().poll_write_ready(cx).is_ready() {
            self.traffic.flush(self.tcp());
        }
    }
}

impl AsyncRead for TrackedStream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.traffic.reader.register(cx.waker());
        this.flush(cx);
        let before = buffer.filled().len();
        // After a short read it does not ask the kernel again whether there is more.
        ready!(Pin::new(&mut this.reading).poll_read(cx, buffer))?;
        Poll::Ready(this.hear(buffer.filled().get(before..).unwrap_or_default()))
    }
}

impl AsyncWrite for TrackedStream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_try(cx, bytes.len(), || self.traffic.write(self.tcp(), bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if !self.traffic.is_http() {
            let first = slices.iter().find(|slice| !slice.is_empty());
            return self.poll_write(cx, first.map_or(&[], |slice| slice));
        }
        let bytes = slices.iter().map(|slice| slice.len()).sum();
        self.poll_try(cx, bytes, || self.tcp().try_write_vectored(slices))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        shut_down(self.tcp(), Shutdown::Write);
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
