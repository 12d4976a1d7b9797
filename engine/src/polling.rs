//! A session over polling.
//!
//! Lives here: polls, and what clients post. Not here: which request is which (`requests`).
//! Invariants: a poll that its client aborts ends the session at once. A poll is over when it has its answer, not when the answer
//! is written: the client may send the next one before the server knows that.

use std::{collections::VecDeque, future::poll_fn, sync::Arc};

use bytes::{Buf, Bytes};
use http::{HeaderMap, StatusCode, header::CONTENT_TYPE};
use http_body::Body;
use http_body_util::BodyExt;

use crate::{
    ended::Ended,
    engine::{Engine, SocketOf},
    handler::EngineIoHandler,
    packet::Packet,
    payload::Payload,
    response::{self, OurResponse},
    session::Session,
};

/// A poll without an answer. Dropping it means that its client did not wait for one.
struct Waiting(Option<Arc<Session>>);

impl Waiting {
    async fn answer(mut self) -> VecDeque<Packet> {
        let Some(session) = &self.0 else {
            return VecDeque::new();
        };
        let packets = poll_fn(|cx| session.poll_answer(cx)).await;
        self.0 = None;
        packets
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if let Some(session) = &self.0 {
            session.abort_poll();
        }
    }
}

/// Answers a poll once there is something to answer.
pub(crate) async fn poll(session: Arc<Session>, as_text: bool) -> OurResponse {
    if let Err(ended) = session.begin_poll() {
        session.end(ended);
        return response::empty(StatusCode::BAD_REQUEST);
    }
    let version = session.version;
    let packets = Waiting(Some(session)).answer().await;
    response::payload(Payload::of(version, as_text, &packets))
}

/// Handles what a client has posted.
pub(crate) async fn post<H, B>(
    engine: &Engine<H>,
    socket: &SocketOf<H>,
    headers: &HeaderMap,
    body: B,
) -> OurResponse
where
    H: EngineIoHandler,
    B: Body + Unpin,
{
    let is_binary = headers
        .get(CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().starts_with(b"application/octet-stream"));
    let (status, ended) = match read(body, engine.config.max_payload).await {
        Ok(body) => match handle(engine, socket, &Payload { body, is_binary }) {
            Ok(()) => return response::ok(),
            // Its client has said so, and knows that it has been heard.
            Err(ended @ Ended::ClosePacket) => (StatusCode::OK, ended),
            Err(ended) => (StatusCode::BAD_REQUEST, ended),
        },
        Err(Unread::TooLong) => (StatusCode::PAYLOAD_TOO_LARGE, Ended::BadPacket),
        // The client is gone, and what it began to send with it; the session may go on.
        Err(Unread::Incomplete) => return response::empty(StatusCode::BAD_REQUEST),
    };
    socket.session.end(ended);
    match status {
        StatusCode::OK => response::ok(),
        status => response::empty(status),
    }
}

fn handle<H: EngineIoHandler>(
    engine: &Engine<H>,
    socket: &SocketOf<H>,
    payload: &Payload,
) -> Result<(), Ended> {
    let packets = payload.read(socket.protocol);
    for packet in packets.map_err(|_| Ended::BadPacket)? {
        engine.receive(socket, packet)?;
    }
    Ok(())
}

/// Why a body was not read.
enum Unread {
    TooLong,
    Incomplete,
}

/// Reads a body of at most `most` bytes.
async fn read<B: Body + Unpin>(mut body: B, most: u64) -> Result<Bytes, Unread> {
    if body.size_hint().lower() > most {
        return Err(Unread::TooLong);
    }
    let mut read = Vec::new();
    while let Some(frame) = body.frame().await {
        let Ok(mut data) = frame.map_err(|_| Unread::Incomplete)?.into_data() else {
            continue;
        };
        if (read.len() + data.remaining()) as u64 > most {
            return Err(Unread::TooLong);
        }
        read.extend_from_slice(&data.copy_to_bytes(data.remaining()));
    }
    Ok(read.into())
}
