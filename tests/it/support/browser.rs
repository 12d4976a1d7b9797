//! A browser, frame by frame.

use std::{net::SocketAddr, time::Duration};

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{
        Error, Message,
        client::IntoClientRequest,
        protocol::{CloseFrame, frame::coding::CloseCode},
    },
};

use crate::{daemon::PATIENCE, http};

/// The version of Engine.IO that a browser speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// Clients 1.x and 2.x.
    Three,
    /// Clients 3.x and 4.x.
    Four,
}

pub const VERSIONS: [Version; 2] = [Version::Three, Version::Four];

/// A websocket in the namespace.
pub struct Browser {
    pub id: String,
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
}

impl Version {
    pub fn number(self) -> u8 {
        match self {
            Self::Three => 3,
            Self::Four => 4,
        }
    }
}

impl Browser {
    pub async fn connect(server: SocketAddr, version: Version) -> Self {
        let mut browser = Self::open(server, version).await;
        browser.join().await;
        browser
    }

    /// Opens a session without joining the namespace.
    pub async fn open(server: SocketAddr, version: Version) -> Self {
        Self::open_with(server, version, &[]).await
    }

    /// Does so with more headers.
    pub async fn open_with(
        server: SocketAddr,
        version: Version,
        headers: &[(&'static str, &str)],
    ) -> Self {
        let uri = format!(
            "ws://{server}/socket.io/?EIO={}&transport=websocket",
            version.number()
        );
        let mut request = uri.into_client_request().unwrap();
        for (name, value) in headers {
            request.headers_mut().insert(*name, value.parse().unwrap());
        }
        let (socket, _) = connect_async(request).await.unwrap();
        let mut browser = Self {
            id: String::new(),
            socket,
        };
        let open = browser.frame().await;
        let open: Value = serde_json::from_str(open.strip_prefix('0').unwrap()).unwrap();
        open["sid"].as_str().unwrap().clone_into(&mut browser.id);
        if version == Version::Three {
            assert_eq!(browser.frame().await, "40");
        }
        browser
    }

    pub async fn join(&mut self) {
        self.send("40/socket.io,").await;
        let joined = self.frame().await;
        assert!(joined.starts_with("40/socket.io"), "{joined}");
    }

    /// A connection that the daemon knows by name.
    pub async fn identified(server: SocketAddr, version: Version, name: &str) -> Self {
        let mut browser = Self::connect(server, version).await;
        browser.identify(name).await;
        // Who identified first is told by the answer to what was said after it.
        let nook = format!("nook of {}", browser.id);
        browser.say("startViewingCase", json!(nook)).await;
        browser.until_viewing(&[name]).await;
        browser.say("stopViewingCase", json!(nook)).await;
        browser
    }

    pub async fn identify(&mut self, name: &str) {
        let identity = json!({"username": name, "usertype": "operator", "appVersion": "1.0"});
        self.say("identify", identity).await;
    }

    pub async fn say(&mut self, event: &str, payload: Value) {
        self.send(&event_frame(event, payload)).await;
    }

    pub async fn send(&mut self, frame: &str) {
        self.socket.send(Message::text(frame)).await.unwrap();
    }

    /// Sends frames in one write.
    pub async fn send_together(&mut self, frames: &[&str]) {
        for frame in frames {
            self.socket.feed(Message::text(*frame)).await.unwrap();
        }
        self.socket.flush().await.unwrap();
    }

    pub async fn send_message(&mut self, message: Message) -> Result<(), Error> {
        self.socket.send(message).await
    }

    /// The next text frame; pings are answered.
    pub async fn frame(&mut self) -> String {
        self.next().await.expect("the connection should be open")
    }

    /// The next event.
    pub async fn hears(&mut self) -> (String, Value) {
        let frame = self.frame().await;
        let json = frame
            .strip_prefix("42/socket.io,")
            .unwrap_or_else(|| panic!("{frame}"));
        serde_json::from_str(json).unwrap()
    }

    /// Reads lists of viewers until one is as expected.
    pub async fn until_viewing(&mut self, names: &[&str]) {
        let expected = ("peopleViewing".to_owned(), json!(names));
        let mut heard = Vec::new();
        let reading = timeout(PATIENCE, async {
            while heard.last() != Some(&expected) {
                heard.push(self.hears().await);
            }
        });
        let in_time = reading.await.is_ok();
        assert!(in_time, "expected {expected:?}, heard {heard:?}");
    }

    /// Waits for the end of the connection and returns what came before it.
    pub async fn until_closed(&mut self) -> Vec<String> {
        let mut frames = Vec::new();
        while let Some(frame) = self.next().await {
            frames.push(frame);
        }
        frames
    }

    /// Goes away as a browser does whose page is closed, left or reloaded.
    pub async fn close(mut self) {
        let going_away = CloseFrame {
            code: CloseCode::Away,
            reason: "".into(),
        };
        self.socket.close(Some(going_away)).await.unwrap();
    }

    /// Closes the connection as the client library does that has missed the heartbeat. The page is still there.
    pub async fn give_up(mut self) {
        self.socket.close(None).await.unwrap();
    }

    /// The next text frame, or none at the end of the connection; pings are answered.
    pub async fn next(&mut self) -> Option<String> {
        loop {
            let message = timeout(PATIENCE, self.socket.next()).await;
            match message.expect("a frame should have come") {
                Some(Ok(Message::Text(frame))) if frame == "2" => {
                    // The server may have closed since; then the next read says so.
                    let _ = self.send_message(Message::text("3")).await;
                }
                Some(Ok(Message::Text(frame))) => return Some(frame.to_string()),
                Some(Ok(Message::Close(_)) | Err(_)) | None => return None,
                Some(Ok(other)) => panic!("unexpected message {other:?}"),
            }
        }
    }
}

pub fn event_frame(event: &str, payload: Value) -> String {
    format!("42/socket.io,{}", json!([event, payload]))
}

/// How long a poll must stay unanswered to count as held.
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
    pub async fn open_with(server: SocketAddr, version: Version, headers: &[(&str, &str)]) -> Self {
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

    /// Goes on as a websocket.
    pub async fn upgrade(self) -> Browser {
        let path = self.path().replace("polling", "websocket");
        let uri = format!("ws://{}{path}", self.server);
        let (socket, _) = connect_async(uri).await.unwrap();
        let mut browser = Browser {
            id: self.id,
            socket,
        };
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
        timeout(PATIENCE, async {
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
