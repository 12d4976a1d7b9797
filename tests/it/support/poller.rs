//! A client that polls.

use std::{net::SocketAddr, time::Duration};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use tokio_tungstenite::connect_async;

use super::{
    WAIT,
    browser::{Browser, Headers},
    http,
    protocol::{Version, event_frame, identity},
};

/// The time after which an unanswered poll counts as held.
const HELD: Duration = Duration::from_millis(500);

/// A session that polls.
pub struct Poller {
    server: SocketAddr,
    version: Version,
    pub id: String,
}

impl Poller {
    pub async fn open(server: SocketAddr, version: Version) -> Self {
        Self::open_with(server, version, &[]).await
    }

    /// Opens a session by a handshake with more headers.
    pub async fn open_with(server: SocketAddr, version: Version, headers: Headers<'_>) -> Self {
        let path = format!("/socket.io/?EIO={}&transport=polling", version.number());
        let answer = http::request(server, "GET", &path, headers, "").await;
        Self::known(server, version, answer.session().unwrap())
    }

    /// The session with that id.
    pub fn known(server: SocketAddr, version: Version, id: String) -> Self {
        Self {
            server,
            version,
            id,
        }
    }

    /// Upgrades the session to a websocket.
    pub async fn upgrade(self) -> Browser {
        let path = self.path().replace("polling", "websocket");
        let uri = format!("ws://{}{path}", self.server);
        let (socket, _) = connect_async(uri).await.unwrap();
        let mut browser = Browser::over(socket, self.id);
        browser.send("2probe").await;
        assert_eq!(browser.frame().await, "3probe");
        browser.send("5").await;
        browser
    }

    pub async fn joined(server: SocketAddr, version: Version) -> Self {
        let poller = Self::open(server, version).await;
        poller.join().await;
        poller
    }

    /// A session in the namespace that has sent `identify` as `name`.
    pub async fn identified(server: SocketAddr, version: Version, name: &str) -> Self {
        let session = Self::joined(server, version).await;
        session.emit("identify", identity(name)).await;
        session
    }

    /// A session that has sent `identify` as `name` and opened case X. `headers` are those of its handshake.
    pub async fn on_case_x(
        server: SocketAddr,
        version: Version,
        name: &str,
        headers: Headers<'_>,
    ) -> Self {
        let session = Self::open_with(server, version, headers).await;
        session.join().await;
        session.emit("identify", identity(name)).await;
        session.open_case("X").await;
        session
    }

    pub async fn open_case(&self, case: &str) -> http::Answer {
        self.emit("startViewingCase", json!(case)).await
    }

    pub async fn emit(&self, event: &str, payload: Value) -> http::Answer {
        self.post(&[&event_frame(event, payload)]).await
    }

    pub fn server(&self) -> SocketAddr {
        self.server
    }

    pub async fn join(&self) {
        self.post(&["40/socket.io,"]).await;
        self.until("40/socket.io").await;
    }

    /// Polls until the server has nothing to say, and returns the connection on which it holds the poll.
    pub async fn held(&self) -> TcpStream {
        let poll = format!("GET {} HTTP/1.1\r\nHost: x\r\n\r\n", self.path());
        loop {
            let mut stream = TcpStream::connect(self.server).await.unwrap();
            stream.write_all(poll.as_bytes()).await.unwrap();
            if timeout(HELD, stream.read_u8()).await.is_err() {
                return stream;
            }
        }
    }

    pub async fn post(&self, frames: &[&str]) -> http::Answer {
        let body = match self.version {
            Version::Three => frames
                .iter()
                .map(|frame| format!("{}:{frame}", frame.chars().count()))
                .collect(),
            Version::Four => frames.join("\u{1e}"),
        };
        let headers = [("Content-Type", "text/plain;charset=UTF-8")];
        http::request(self.server, "POST", &self.path(), &headers, &body).await
    }

    pub async fn poll(&self) -> http::Answer {
        http::request(self.server, "GET", &self.path(), &[], "").await
    }

    /// Polls until an answer contains `text`.
    pub async fn until(&self, text: &str) -> String {
        timeout(WAIT, async {
            loop {
                let answer = self.poll().await;
                assert_eq!(answer.status, 200, "{answer:?}");
                if answer.body.contains(text) {
                    return answer.body;
                }
            }
        })
        .await
        .unwrap_or_else(|_| panic!("never polled: {text}"))
    }

    pub fn path(&self) -> String {
        format!(
            "/socket.io/?EIO={}&transport=polling&sid={}",
            self.version.number(),
            self.id
        )
    }
}
