//! A server with an engine, and clients.

use std::{convert::Infallible, net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use engineioxide::{
    DisconnectReason, SessionHandle, Socket, Str,
    config::EngineIoConfig,
    handler::EngineIoHandler,
    service::{EngineIoService, NotFoundService},
};
use http_body_util::BodyExt;
use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::mpsc,
    time::timeout,
};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async, tungstenite::Error};

/// Longer than anything takes.
pub(crate) const WAIT: Duration = Duration::from_secs(10);

/// What a handler was told.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Happened {
    Text(String),
    Bytes(Vec<u8>),
    Ended(DisconnectReason),
}

/// Sends back what it is sent.
#[derive(Debug)]
struct Echo {
    connected: mpsc::Sender<Arc<Socket<()>>>,
    happened: mpsc::Sender<Happened>,
}

impl EngineIoHandler for Echo {
    type Data = ();

    fn on_connect(self: Arc<Self>, socket: Arc<Socket<()>>) {
        self.connected.try_send(socket).unwrap();
    }

    fn on_disconnect(&self, _: Arc<Socket<()>>, reason: DisconnectReason) {
        let _ = self.happened.try_send(Happened::Ended(reason));
    }

    fn on_message(self: &Arc<Self>, msg: Str, socket: Arc<Socket<()>>) {
        let text = msg.to_string();
        assert_ne!(text, "panic", "as a handler with a mistake does");
        if text != "x" {
            self.happened.try_send(Happened::Text(text)).unwrap();
            socket.emit(msg).unwrap();
        }
    }

    fn on_binary(self: &Arc<Self>, data: Bytes, socket: Arc<Socket<()>>) {
        self.happened
            .try_send(Happened::Bytes(data.to_vec()))
            .unwrap();
        socket.emit_binary(data).unwrap();
    }
}

/// A server on a free port.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    connected: mpsc::Receiver<Arc<Socket<()>>>,
    happened: mpsc::Receiver<Happened>,
}

impl Server {
    pub(crate) async fn start(config: EngineIoConfig) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (connected_sender, connected) = mpsc::channel(1000);
        let (happened_sender, happened) = mpsc::channel(100_000);
        let handler = Arc::new(Echo {
            connected: connected_sender,
            happened: happened_sender,
        });
        let service = EngineIoService::with_config_inner(NotFoundService, handler, config);
        tokio::spawn(accept(listener, service));
        Self {
            address,
            connected,
            happened,
        }
    }

    pub(crate) async fn connected(&mut self) -> Arc<Socket<()>> {
        timeout(WAIT, self.connected.recv()).await.unwrap().unwrap()
    }

    pub(crate) async fn next(&mut self) -> Happened {
        timeout(WAIT, self.happened.recv()).await.unwrap().unwrap()
    }
}

async fn accept(listener: TcpListener, service: EngineIoService<Echo>) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        stream.set_nodelay(true).unwrap();
        let service = service.clone();
        let service = service_fn(move |request| {
            let answer = hyper::service::Service::call(&service, request);
            async move {
                let response = answer.await?;
                Ok::<_, Infallible>(response.map(BodyExt::boxed))
            }
        });
        let served = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
        tokio::spawn(served.with_upgrades());
    }
}

/// The handle of a socket.
pub(crate) fn handle(socket: &Socket<()>) -> &SessionHandle {
    socket.req_parts.extensions.get().unwrap()
}

/// A client that polls.
pub(crate) struct Session {
    address: SocketAddr,
    version: u8,
    pub(crate) id: String,
}

impl Session {
    pub(crate) async fn open(server: &Server, version: u8) -> Self {
        let (status, open) = request(
            server,
            "GET",
            &format!("EIO={version}&transport=polling"),
            "",
        )
        .await;
        assert_eq!(status, 200);
        let id = open.split('"').nth(3).unwrap().to_owned();
        Self {
            address: server.address,
            version,
            id,
        }
    }

    /// Packets as one body.
    pub(crate) fn payload(&self, packets: &[&str]) -> String {
        if self.version == 4 {
            return packets.join("\u{1e}");
        }
        let framed = packets
            .iter()
            .map(|packet| format!("{}:{packet}", packet.encode_utf16().count()));
        framed.collect()
    }

    pub(crate) async fn poll(&self) -> (u16, String) {
        send(self.address, &self.head("GET", "")).await
    }

    /// The connection of a poll that waits.
    pub(crate) async fn begin_poll(&self) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream
            .write_all(self.head("GET", "").as_bytes())
            .await
            .unwrap();
        // Until the server waits.
        tokio::time::sleep(Duration::from_millis(50)).await;
        stream
    }

    pub(crate) async fn post(&self, packets: &[&str]) -> (u16, String) {
        send(self.address, &self.head("POST", &self.payload(packets))).await
    }

    fn head(&self, method: &str, body: &str) -> String {
        let query = format!("EIO={}&transport=polling&sid={}", self.version, self.id);
        head(method, &query, body)
    }
}

pub(crate) async fn request(
    server: &Server,
    method: &str,
    query: &str,
    body: &str,
) -> (u16, String) {
    send(server.address, &head(method, query, body)).await
}

fn head(method: &str, query: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "{method} /engine.io/?{query} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
    )
}

async fn send(address: SocketAddr, request: &str) -> (u16, String) {
    let answer = timeout(WAIT, async {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    });
    let answer = answer.await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (
        head.split(' ').nth(1).unwrap().parse().unwrap(),
        body.to_owned(),
    )
}

pub(crate) async fn websocket(
    server: &Server,
    version: u8,
    session: Option<&str>,
) -> Result<WebSocketStream<MaybeTlsStream<TcpStream>>, Error> {
    let sid = session.map(|id| format!("&sid={id}")).unwrap_or_default();
    let address = format!(
        "ws://{}/engine.io/?EIO={version}&transport=websocket{sid}",
        server.address
    );
    Ok(connect_async(address).await?.0)
}

/// The connection of a websocket that has been answered.
pub(crate) async fn raw_websocket(server: &Server) -> TcpStream {
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let request = "GET /engine.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
        Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    stream.write_all(request.as_bytes()).await.unwrap();
    stream.read_u8().await.unwrap();
    stream
}
