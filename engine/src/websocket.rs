//! A session over a websocket.
//!
//! Lives here: the one task of a websocket, which reads, writes and keeps the heartbeat. Not here: frames (`frames`), how a session
//! comes to a websocket (`requests`, `upgrade`).

use std::{
    future::poll_fn,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll, ready},
    thread,
};

use engineioxide_core::ProtocolVersion;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::{Instant, Sleep, sleep_until},
};
use tungstenite::{Error, Message, error::ProtocolError};

use crate::{
    DisconnectReason,
    ended::Ended,
    engine::{Engine, SocketOf},
    frames::Frames,
    handler::EngineIoHandler,
    heartbeat::Beat,
    packet::Packet,
    payload::binary,
};

/// The most messages that are read before anything is written, and before other tasks have a turn.
const TURN: usize = 32;

/// A session and its websocket.
struct Websocket<H: EngineIoHandler, Io> {
    engine: Arc<Engine<H>>,
    socket: SocketOf<H>,
    frames: Frames<Io>,
}

/// Carries a session until it ends.
pub(crate) async fn run<H, Io>(engine: Arc<Engine<H>>, socket: SocketOf<H>, frames: Frames<Io>)
where
    H: EngineIoHandler,
    Io: AsyncRead + AsyncWrite + Unpin,
{
    let mut timer = pin!(sleep_until(Instant::now()));
    let mut websocket = Websocket {
        engine,
        socket,
        frames,
    };
    let ended = poll_fn(|cx| websocket.poll(cx, timer.as_mut())).await;
    websocket.socket.session.end(ended);
    poll_fn(|cx| {
        websocket.frames.finish(cx);
        Poll::Ready(())
    })
    .await;
}

impl<H, Io> Websocket<H, Io>
where
    H: EngineIoHandler,
    Io: AsyncRead + AsyncWrite + Unpin,
{
    fn poll(&mut self, cx: &mut Context<'_>, timer: Pin<&mut Sleep>) -> Poll<Ended> {
        // In this order: a pong that has come counts before the time-out, and a ping is written at once.
        if let Poll::Ready(ended) = self.receive(cx) {
            return Poll::Ready(ended);
        }
        if let Poll::Ready(()) = self.beat(cx, timer) {
            return Poll::Ready(Ended::Heartbeat);
        }
        let ended = self.socket.session.attach(cx.waker());
        let sent = self.send(cx);
        match (ended, sent) {
            (Some(ended), _) => Poll::Ready(ended),
            (None, Err(_)) => Poll::Ready(Ended::Connection),
            (None, Ok(())) => Poll::Pending,
        }
    }

    /// Handles what has come.
    fn receive(&mut self, cx: &mut Context<'_>) -> Poll<Ended> {
        for _ in 0..TURN {
            let message = ready!(self.frames.poll_read(cx));
            if let Err(ended) = self.handle(message) {
                return Poll::Ready(ended);
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn handle(&self, message: Result<Message, Error>) -> Result<(), Ended> {
        let version = self.socket.protocol;
        let packet = match message {
            Ok(Message::Text(text)) => Packet::read(version, &text),
            Ok(Message::Binary(bytes)) => match version {
                ProtocolVersion::V4 => Ok(Packet::Binary(bytes)),
                ProtocolVersion::V3 if bytes.first() == Some(&binary::MESSAGE) => {
                    Ok(Packet::Binary(bytes.slice(1..)))
                }
                ProtocolVersion::V3 => return Err(Ended::BadPacket),
            },
            Ok(Message::Close(frame)) => {
                let status = frame.map(|frame| frame.code.into());
                return Err(Ended::CloseFrame(status));
            }
            Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_)) => {
                self.socket.session.hear();
                return Ok(());
            }
            Err(error) => return Err(end_of(&error)),
        };
        let packet = packet.map_err(|_| Ended::BadPacket)?;
        self.engine.receive(&self.socket, packet)
    }

    /// Keeps the heartbeat. Ready when it has failed.
    fn beat(&self, cx: &mut Context<'_>, mut timer: Pin<&mut Sleep>) -> Poll<()> {
        loop {
            ready!(timer.as_mut().poll(cx));
            match self.socket.session.beat(&self.engine.config) {
                Beat::Wait(at) | Beat::Ping(at) => timer.as_mut().reset(at),
                Beat::Dead => return Poll::Ready(()),
            }
        }
    }

    /// Writes what waits, as far as the client takes it.
    fn send(&mut self, cx: &mut Context<'_>) -> Result<(), Error> {
        while let Poll::Ready(written) = self.frames.poll_write(cx) {
            written?;
            let Some(packet) = self.socket.session.next_packet() else {
                break;
            };
            let message = message(packet, self.socket.protocol);
            self.frames.start_write(cx, message)?;
        }
        Ok(())
    }
}

impl<H: EngineIoHandler, Io> Drop for Websocket<H, Io> {
    fn drop(&mut self) {
        // A handler that panics takes this task with it; its session must not stay.
        if thread::panicking() {
            self.socket.session.close(DisconnectReason::TransportError);
        }
    }
}

fn message(packet: Packet, version: ProtocolVersion) -> Message {
    match (packet, version) {
        (Packet::Binary(bytes), ProtocolVersion::V4) => Message::Binary(bytes),
        (Packet::Binary(bytes), ProtocolVersion::V3) => {
            Message::Binary([&[binary::MESSAGE], &*bytes].concat().into())
        }
        (packet, _) => Message::text(packet.text(version)),
    }
}

fn end_of(error: &Error) -> Ended {
    use ProtocolError::ResetWithoutClosingHandshake as Reset;
    if let Error::Io(_) | Error::ConnectionClosed | Error::AlreadyClosed | Error::Protocol(Reset) =
        error
    {
        Ended::Connection
    } else {
        Ended::BadFrame
    }
}
