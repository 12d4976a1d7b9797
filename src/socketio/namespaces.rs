//! Joining a namespace.
//!
//! Lives here: letting sockets in, and ending sessions that do not join or identify in time. Not here: what a connection sends
//! (`connection`).

use std::{sync::Arc, time::Duration};

use socketioxide::{
    ProtocolVersion, SocketIo,
    adapter::LocalAdapter,
    extract::SocketRef,
    handler::{ConnectHandler, DisconnectHandler},
    socket::DisconnectReason,
};
use tracing::debug;

use super::{
    close::{CloseReason, close},
    connection::{Connection, ConnectionContext, InOrder, NotLetIn, end_with_namespace},
    deadlines::Deadlines,
    engine::{NAMESPACE, Socket},
    session::Session,
};
use crate::stats::Counter;

/// The namespace that clients of Engine.IO 3 join by themselves.
const ROOT: &str = "/";

/// The namespaces that the daemon offers.
pub(super) struct Namespaces {
    context: Arc<ConnectionContext>,
    /// How long a session may stay outside the namespace, and a connection without a name.
    identify_timeout: Duration,
}

/// Why a socket was not let into the root namespace.
#[derive(Debug, thiserror::Error)]
#[error("nothing is offered here")]
struct NothingHere;

impl Namespaces {
    pub(super) fn new(context: ConnectionContext, identify_timeout: Duration) -> Self {
        Self {
            context: Arc::new(context),
            identify_timeout,
        }
    }

    /// Tells the library about the namespaces. Returns a task which ends sessions that do not join or identify in time.
    pub(super) fn register(self, io: &SocketIo) -> impl Future<Output = ()> + Send + use<> {
        let unidentified = Arc::new(Deadlines::new(io, NAMESPACE, self.identify_timeout));
        let unjoined = Arc::new(Deadlines::new(io, ROOT, self.identify_timeout));
        self.register_ours(io, unidentified.clone());
        Self::register_root(io, unjoined.clone());
        let io = io.clone();
        async move {
            tokio::join!(
                self.await_identify(&unidentified, &io),
                self.await_join(&unjoined, &io)
            );
        }
    }

    /// Handlers are set in a middleware: the library answers CONNECT before it runs the connect handler, and drops what arrives
    /// in between.
    fn register_ours(&self, io: &SocketIo, unidentified: Arc<Deadlines>) {
        let context = self.context.clone();
        let let_in = move |socket: SocketRef| {
            let let_in = let_in(&context, &socket);
            async move { let_in }
        };
        let connected = move |socket: SocketRef| {
            if let Some(session) = Session::of(&socket) {
                session.connected(&socket);
            }
            unidentified.start(socket.id);
            async {}
        };
        io.ns(NAMESPACE, connected.with(let_in));
    }

    /// A client of Engine.IO 3 joins the root namespace by itself, and the library ends its session if it cannot. Other clients
    /// are not let in.
    fn register_root(io: &SocketIo, unjoined: Arc<Deadlines>) {
        let only_version_3 = async |socket: SocketRef| match socket.protocol() {
            ProtocolVersion::V4 => Ok(()),
            ProtocolVersion::V5 => Err(NothingHere),
        };
        let connected = move |socket: SocketRef| {
            socket.on_disconnect(RootNamespace);
            unjoined.start(socket.id);
            async {}
        };
        io.ns(ROOT, connected.with(only_version_3));
    }

    /// Ends connections that do not identify in time.
    async fn await_identify(&self, unidentified: &Deadlines, io: &SocketIo) {
        loop {
            let sid = unidentified.next().await;
            let socket = io.of(NAMESPACE).and_then(|ns| ns.get_socket(sid));
            if let Some(socket) = socket
                && !Session::of(&socket).is_some_and(|session| session.has_identified())
                && close(&socket, CloseReason::Misbehaved)
            {
                debug!(conn.id = %sid, "connection closed: it did not identify in time");
                self.context.counters.count(Counter::NeverIdentified);
            }
        }
    }

    /// Ends sessions of Engine.IO 3 that do not join our namespace in time. For Engine.IO 4 the library does so.
    async fn await_join(&self, unjoined: &Deadlines, io: &SocketIo) {
        loop {
            let sid = unjoined.next().await;
            let find = |name| io.of(name)?.get_socket(sid);
            if let (Some(idle), None) = (find(ROOT), find(NAMESPACE)) {
                close(&idle, CloseReason::Misbehaved);
            }
        }
    }
}

/// Lets a socket into our namespace.
fn let_in(context: &Arc<ConnectionContext>, socket: &SocketRef) -> Result<(), NotLetIn> {
    let session = Session::of(socket).ok_or(NotLetIn::NoHandshake)?;
    let connection = Connection::new(context.clone(), socket)?;
    session.permit.joined();
    socket.on_disconnect(connection.clone());
    socket.on_fallback(connection.clone());
    session.when_connected(move |socket| connection.connected(socket));
    Ok(())
}

/// Handles the end of a socket in the root namespace.
struct RootNamespace;

impl DisconnectHandler<LocalAdapter, InOrder> for RootNamespace {
    fn call_with_defer(
        &self,
        socket: Arc<Socket>,
        reason: DisconnectReason,
        defer: fn(Arc<Socket>),
    ) {
        end_with_namespace(&socket, reason);
        defer(socket);
    }
}
