//! All sessions of one handler.
//!
//! Lives here: beginning a session, finding it, handing over what it receives, telling its end. Not here: requests (`requests`).

use std::{
    collections::HashMap,
    sync::{Arc, Weak},
};

use engineioxide_core::{ProtocolVersion, Sid, TransportType};
use http::{
    HeaderValue, Request,
    header::{CONNECTION, UPGRADE},
    request::Parts,
};
use parking_lot::Mutex;

use crate::{
    Query, Rewrite, Socket,
    config::EngineIoConfig,
    ended::Ended,
    handler::EngineIoHandler,
    packet::Packet,
    session::{Report, Session, SessionHandle},
    sweep::Sweep,
};

/// The socket of a handler.
pub(crate) type SocketOf<H> = Arc<Socket<<H as EngineIoHandler>::Data>>;

/// All sessions of one handler.
pub(crate) struct Engine<H: EngineIoHandler> {
    pub(crate) config: EngineIoConfig,
    handler: Arc<H>,
    sockets: Mutex<HashMap<Sid, SocketOf<H>>>,
    /// The heartbeats of polling sessions. Websockets have their own.
    pub(crate) sweep: Sweep,
    me: Weak<Self>,
}

impl<H: EngineIoHandler> Engine<H> {
    pub(crate) fn new(handler: Arc<H>, config: EngineIoConfig) -> Arc<Self> {
        Arc::new_cyclic(|me| Self {
            config,
            handler,
            sockets: Mutex::default(),
            sweep: Sweep::default(),
            me: me.clone(),
        })
    }

    /// A new session. The handler is not told yet.
    pub(crate) fn open(&self, query: Query, request: Parts) -> SocketOf<H> {
        let mut request = lasting(request);
        let rewrite = request.extensions.remove();
        let session = Session::new(query, &self.config, rewrite, self.me.clone());
        let session: SessionHandle = Arc::new(session);
        request.extensions.insert(session.clone());
        let socket = Arc::new(Socket::new(session, request));
        self.sockets.lock().insert(socket.id, socket.clone());
        socket
    }

    /// Tells the handler of a session.
    pub(crate) fn connect(&self, socket: &SocketOf<H>) {
        self.handler.clone().on_connect(socket.clone());
    }

    /// Forgets a session that its handler was never told of.
    pub(crate) fn forget(&self, session: Sid) {
        self.sockets.lock().remove(&session);
    }

    pub(crate) fn socket(&self, session: Sid) -> Option<SocketOf<H>> {
        self.sockets.lock().get(&session).cloned()
    }

    /// The packet that a session begins with.
    pub(crate) fn open_packet(&self, socket: &Socket<H::Data>) -> String {
        let offers = socket.transport_type() == TransportType::Polling
            && self.config.allowed_transport(TransportType::Websocket);
        let upgrades = if offers { r#""websocket""# } else { "" };
        format!(
            r#"0{{"sid":"{}","upgrades":[{upgrades}],"pingInterval":{},"pingTimeout":{},"maxPayload":{}}}"#,
            socket.id,
            self.config.ping_interval.as_millis(),
            self.config.ping_timeout.as_millis(),
            self.config.max_payload,
        )
    }

    /// Handles one packet of a client.
    ///
    /// # Errors
    /// When it is the last one that is handled: the session has ended, or is to be ended for the reason that is returned.
    pub(crate) fn receive(&self, socket: &SocketOf<H>, packet: Packet) -> Result<(), Ended> {
        let session = &socket.session;
        if let Some(ended) = session.hear() {
            return Err(ended);
        }
        match (packet, session.version) {
            (Packet::Message(text), _) => {
                let text = match session.rewrite {
                    Some(Rewrite(rewrite)) => rewrite(text),
                    None => text,
                };
                self.handler.on_message(text, socket.clone());
            }
            (Packet::Binary(bytes), _) => self.handler.on_binary(bytes, socket.clone()),
            (Packet::Ping, ProtocolVersion::V3) => {
                session.refresh(&self.config);
                session.pong();
            }
            (Packet::Pong, ProtocolVersion::V4) => session.refresh(&self.config),
            (Packet::Close, _) => return Err(Ended::ClosePacket),
            // Pings and pongs are only the other side's to send. They are no sign of life.
            (Packet::Noop, _)
            | (Packet::Ping, ProtocolVersion::V4)
            | (Packet::Pong, ProtocolVersion::V3) => {}
        }
        Ok(())
    }
}

impl<H: EngineIoHandler> Report for Engine<H> {
    fn report(&self, session: Sid, ended: Ended) {
        let socket = self.sockets.lock().remove(&session);
        if let Some(socket) = socket {
            self.handler.on_disconnect(socket.clone(), ended.reason());
            socket.session.reported();
        }
    }
}

/// A request to keep: its address and its headers are copied, because each would keep the whole buffer that it was read into.
fn lasting(request: Parts) -> Parts {
    let (mut lasting, ()) = Request::new(()).into_parts();
    lasting.method = request.method;
    lasting.version = request.version;
    lasting.uri = request.uri.to_string().parse().unwrap_or_default();
    lasting.extensions = request.extensions;
    for (name, value) in &request.headers {
        // Only the handshake of a websocket needs these.
        if [CONNECTION, UPGRADE].contains(name) || name.as_str().starts_with("sec-websocket-") {
            continue;
        }
        if let Ok(value) = HeaderValue::from_bytes(value.as_bytes()) {
            lasting.headers.append(name, value);
        }
    }
    lasting
}
