//! Frames of a websocket over any stream.
//!
//! Lives here: the bridge between tungstenite, which knows the protocol, and tokio's streams. Not here: what a message means.
//! Invariant: a frame is written whole and before the next one is begun; at most one waits here.

use std::{
    future::poll_fn,
    io::{self, Read, Write},
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tungstenite::{
    Error, Message,
    protocol::{Role, WebSocketConfig, WebSocketContext},
};

use crate::config::EngineIoConfig;

/// A websocket.
pub(crate) struct Frames<Io> {
    io: Io,
    protocol: WebSocketContext,
}

/// A stream for the length of one call: it returns `WouldBlock` where tokio's wake the task later.
struct Bridge<'a, 'b, Io> {
    io: &'a mut Io,
    cx: &'a mut Context<'b>,
}

impl<Io: AsyncRead + AsyncWrite + Unpin> Frames<Io> {
    /// A websocket over a stream on which both sides have agreed to speak it.
    pub(crate) fn new(io: Io, config: &EngineIoConfig) -> Self {
        let config = WebSocketConfig::default()
            .read_buffer_size(config.ws_read_buffer_size)
            // Each message is written at once.
            .write_buffer_size(0)
            .max_message_size(Some(config.ws_max_message_size))
            .max_frame_size(Some(config.ws_max_frame_size));
        Self {
            io,
            protocol: WebSocketContext::new(Role::Server, Some(config)),
        }
    }

    /// The next message.
    pub(crate) fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Result<Message, Error>> {
        let io = &mut self.io;
        poll_of(self.protocol.read(&mut Bridge { io, cx }))
    }

    /// Begins to write a message. To be called when everything before it is written.
    pub(crate) fn start_write(
        &mut self,
        cx: &mut Context<'_>,
        message: Message,
    ) -> Result<(), Error> {
        let io = &mut self.io;
        match poll_of(self.protocol.write(&mut Bridge { io, cx }, message)) {
            Poll::Ready(written) => written,
            Poll::Pending => Ok(()),
        }
    }

    /// Writes what was begun, and answers to pings and close frames.
    pub(crate) fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        let io = &mut self.io;
        match ready!(poll_of(self.protocol.flush(&mut Bridge { io, cx }))) {
            // The answer to a close frame was the last one.
            Err(Error::ConnectionClosed) => Poll::Ready(Ok(())),
            written => Poll::Ready(written),
        }
    }

    pub(crate) async fn read(&mut self) -> Result<Message, Error> {
        poll_fn(|cx| self.poll_read(cx)).await
    }

    pub(crate) async fn write(&mut self, message: Message) -> Result<(), Error> {
        let mut message = Some(message);
        poll_fn(|cx| {
            if let Some(message) = message.take() {
                self.start_write(cx, message)?;
            }
            self.poll_write(cx)
        })
        .await
    }

    /// Says that the websocket is over, as far as that is possible without waiting, and ends the stream.
    pub(crate) fn finish(&mut self, cx: &mut Context<'_>) {
        let io = &mut self.io;
        let mut bridge = Bridge { io, cx };
        // Whoever has closed it already, or is gone, is not told.
        let _ = self.protocol.close(&mut bridge, None);
        let _ = self.protocol.flush(&mut bridge);
        let _ = Pin::new(bridge.io).poll_shutdown(bridge.cx);
    }
}

impl<Io: AsyncRead + Unpin> Read for Bridge<'_, '_, Io> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let mut buffer = ReadBuf::new(bytes);
        now(Pin::new(&mut self.io).poll_read(self.cx, &mut buffer))?;
        Ok(buffer.filled().len())
    }
}

impl<Io: AsyncWrite + Unpin> Write for Bridge<'_, '_, Io> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        now(Pin::new(&mut self.io).poll_write(self.cx, bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        now(Pin::new(&mut self.io).poll_flush(self.cx))
    }
}

fn now<T>(polled: Poll<io::Result<T>>) -> io::Result<T> {
    match polled {
        Poll::Ready(result) => result,
        Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
    }
}

fn poll_of<T>(result: Result<T, Error>) -> Poll<Result<T, Error>> {
    match result {
        Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => Poll::Pending,
        result => Poll::Ready(result),
    }
}
