//! A session over polling.
//!
//! Lives here: polls, and what clients post. Not here: which request is which (`requests`).
//! Invariants: a poll that its client aborts ends the session at once. A poll is over when it has its answer, not when the answer
//! is written: the client may send the next one before the server knows that.

use std::{future::poll_fn, sync::Arc};

use bytes::{Buf, BufMut, Bytes};
use http::{HeaderMap, StatusCode, header::CONTENT_TYPE};
use http_body::Body;
use http_body_util::BodyExt;

use crate::{
    ended::Ended,
    engine::{Engine, SocketOf},
    handler::EngineIoHandler,
    payload::Payload,
    response::{self, OurResponse},
    session::Session,
};

/// A poll. Dropping it before it is answered means that its client did not wait.
struct Waiting {
    session: Arc<Session>,
    is_answered: bool,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if !self.is_answered {
            self.session.abort_poll();
        }
    }
}

/// Answers a poll once there is something to answer.
pub(crate) async fn poll(session: Arc<Session>) -> OurResponse {
    if !session.begin_poll() {
        session.end(Ended::TwoPolls);
        return response::empty(StatusCode::BAD_REQUEST);
    }
    let is_answered = false;
    let mut waiting = Waiting {
        session,
        is_answered,
    };
    let session = &waiting.session;
    let packets = poll_fn(|cx| session.poll_answer(cx)).await;
    let payload = Payload::of(session.version, session.as_text, &packets);
    waiting.is_answered = true;
    response::payload(payload)
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
    let session = &socket.session;
    let body = match read(body, engine.config.max_payload).await {
        Ok(body) => body,
        Err(status) => {
            // A client that does not send all of its body is gone, or tries again.
            if status == StatusCode::PAYLOAD_TOO_LARGE {
                session.end(Ended::BadPacket);
            }
            return response::empty(status);
        }
    };
    match handle(engine, socket, &Payload { body, is_binary }) {
        Ok(()) => response::ok(),
        Err(ended) => {
            session.end(ended);
            if ended == Ended::ClosePacket {
                return response::ok();
            }
            response::empty(StatusCode::BAD_REQUEST)
        }
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

/// Reads a body of at most `most` bytes.
async fn read<B: Body + Unpin>(mut body: B, most: u64) -> Result<Bytes, StatusCode> {
    if body.size_hint().lower() > most {
        return Err(StatusCode::PAYLOAD_TOO_LARGE);
    }
    let mut read = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| StatusCode::BAD_REQUEST)?;
        let Ok(data) = frame.into_data() else {
            continue;
        };
        if (read.len() + data.remaining()) as u64 > most {
            return Err(StatusCode::PAYLOAD_TOO_LARGE);
        }
        read.put(data);
    }
    Ok(read.into())
}
