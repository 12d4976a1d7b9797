//! Sends back what it is sent: the server that the official test suites of Engine.IO want, on port 3000 or the one named.
//!
//! <https://github.com/socketio/engine.io-protocol/tree/main/test-suite>

use std::{convert::Infallible, error::Error, sync::Arc, time::Duration};

use bytes::Bytes;
use engineioxide::{
    DisconnectReason, Socket, Str,
    config::EngineIoConfigBuilder,
    handler::EngineIoHandler,
    service::{EngineIoService, NotFoundService},
};
use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

#[derive(Debug)]
struct Echo;

impl EngineIoHandler for Echo {
    type Data = ();

    fn on_connect(self: Arc<Self>, _: Arc<Socket<()>>) {}

    fn on_disconnect(&self, _: Arc<Socket<()>>, _: DisconnectReason) {}

    fn on_message(self: &Arc<Self>, msg: Str, socket: Arc<Socket<()>>) {
        // A client that does not read is sent no more.
        let _ = socket.emit(msg);
    }

    fn on_binary(self: &Arc<Self>, data: Bytes, socket: Arc<Socket<()>>) {
        let _ = socket.emit_binary(data);
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "there is nothing that a task could stop"
)]
#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let config = EngineIoConfigBuilder::new()
        .ping_interval(Duration::from_millis(300))
        .ping_timeout(Duration::from_millis(200))
        .max_payload(1_000_000)
        .ws_read_buffer_size(512)
        .build();
    let service = EngineIoService::with_config_inner(NotFoundService, Arc::new(Echo), config);
    let port = std::env::args().nth(1).unwrap_or_else(|| "3000".to_owned());
    let listener = TcpListener::bind(format!("127.0.0.1:{port}")).await?;
    loop {
        let (stream, _) = listener.accept().await?;
        let service = service.clone();
        let service = service_fn(move |request| {
            let answer = hyper::service::Service::call(&service, request);
            async { answer.await.map_err(|never: Infallible| never) }
        });
        let served = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
        drop(tokio::task::spawn(served.with_upgrades()));
    }
}
