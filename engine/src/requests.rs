//! Requests of clients.
//!
//! Lives here: which request is which, and beginning sessions. Not here: polls and posts (`polling`), probes (`upgrade`).

use std::sync::Arc;

use engineioxide_core::TransportType;
use http::{Method, Request, Response, request::Parts};
use http_body::Body;
use http_body_util::Full;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::timeout,
};
use tungstenite::{Message, handshake::server::create_response_with_body};

use crate::{
    engine::{Engine, SocketOf},
    frames::Frames,
    handler::EngineIoHandler,
    polling,
    query::{Query, Refusal},
    response::{self, OurResponse},
    spawn,
    upgrade::{self, Probe},
    websocket,
};

impl<H: EngineIoHandler> Engine<H> {
    /// Whether a request is for Engine.IO.
    pub(crate) fn serves(&self, path: &str) -> bool {
        let rest = path.strip_prefix(&*self.config.req_path);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    /// Answers a request.
    pub(crate) async fn respond<B>(self: Arc<Self>, request: Request<B>) -> OurResponse
    where
        B: Body + Unpin,
    {
        let answered = self.answer(request).await;
        answered.unwrap_or_else(response::refused)
    }

    async fn answer<B>(self: Arc<Self>, request: Request<B>) -> Result<OurResponse, Refusal>
    where
        B: Body + Unpin,
    {
        let query = Query::of(request.uri())?;
        if !self.config.allowed_transport(query.transport) {
            return Err(Refusal::Transport);
        }
        let Some(session) = query.session else {
            return self.begin(query, request);
        };
        let socket = self.socket(session).ok_or(Refusal::Session)?;
        let is_polling = socket.transport_type() == TransportType::Polling;
        match (query.transport, request.method()) {
            (TransportType::Websocket, &Method::GET) => self.upgrade(socket, request),
            (TransportType::Polling, &Method::GET) if is_polling => {
                // It would be kept for as long as the poll waits.
                drop(request);
                Ok(polling::poll(socket.session.clone()).await)
            }
            (TransportType::Polling, &Method::POST) if is_polling => {
                let (head, body) = request.into_parts();
                Ok(polling::post(&self, &socket, &head.headers, body).await)
            }
            _ => Err(Refusal::Request),
        }
    }

    fn begin<B>(
        self: Arc<Self>,
        query: Query,
        mut request: Request<B>,
    ) -> Result<OurResponse, Refusal> {
        if request.method() != Method::GET {
            return Err(Refusal::Method);
        }
        if query.transport == TransportType::Polling {
            let socket = self.open(query, request.into_parts().0);
            self.connect(&socket);
            self.watch(socket.id);
            return Ok(response::opened(query.version, self.open_packet(&socket)));
        }
        let (accepted, stream) = accept(&mut request)?;
        let (request, _) = request.into_parts();
        spawn::task(async move {
            if let Ok(stream) = stream.await {
                let stream = TokioIo::new(stream);
                self.begin_websocket(stream, query, request).await;
            }
        });
        Ok(accepted)
    }

    /// Begins a session over a stream on which both sides have agreed to speak websocket, and carries it.
    pub(crate) async fn begin_websocket<Io>(self: Arc<Self>, stream: Io, query: Query, head: Parts)
    where
        Io: AsyncRead + AsyncWrite + Unpin,
    {
        let socket = self.open(query, head);
        let mut frames = Frames::new(stream, &self.config);
        let open = Message::text(self.open_packet(&socket));
        let opened = timeout(self.config.upgrade_timeout, frames.write(open)).await;
        if let Ok(Ok(())) = opened {
            self.connect(&socket);
            websocket::run(self, socket, frames).await;
        } else {
            self.forget(socket.id);
        }
    }

    fn upgrade<B>(
        self: Arc<Self>,
        socket: SocketOf<H>,
        mut request: Request<B>,
    ) -> Result<OurResponse, Refusal> {
        let (accepted, stream) = accept(&mut request)?;
        let hook = request.extensions_mut().remove();
        match Probe::of(&socket.session) {
            Some(probe) => spawn::task(upgrade::run(self, socket, probe, stream, hook)),
            // It is closed, as by the Node.js server.
            None => spawn::task(async { drop(stream.await) }),
        }
        Ok(accepted)
    }
}

/// Accepts the handshake of a websocket.
fn accept<B>(request: &mut Request<B>) -> Result<(OurResponse, OnUpgrade), Refusal> {
    let accepted = create_response_with_body(request, || ()).map_err(|_| Refusal::Request)?;
    let (head, ()) = accepted.into_parts();
    let accepted = Response::from_parts(head, Full::default());
    Ok((accepted, hyper::upgrade::on(request)))
}
