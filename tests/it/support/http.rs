//! HTTP as bytes: a test decides every byte of a request.

use std::net::SocketAddr;

use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use super::WAIT;

/// A whole answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        let line = |line: &'_ str| {
            let (key, _) = line.split_once(": ")?;
            key.eq_ignore_ascii_case(name).then_some(key.len() + 2)
        };
        self.head
            .lines()
            .find_map(|text| Some(&text[line(text)?..]))
    }

    /// The id of the session, if this is the answer to a handshake that opened one.
    pub fn session(&self) -> Option<String> {
        let open: Value = serde_json::from_str(self.body.get(self.body.find('{')?..)?).ok()?;
        open["sid"].as_str().map(str::to_owned)
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// The path and query of a handshake that opens a polling session.
pub const HANDSHAKE: &str = "/socket.io/?EIO=4&transport=polling";

/// The headers of a request for a websocket.
pub const UPGRADE: [(&str, &str); 4] = [
    ("Connection", "Upgrade"),
    ("Upgrade", "websocket"),
    ("Sec-WebSocket-Version", "13"),
    ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
];

/// A request for a websocket, as text.
pub fn upgrade_request(path: &str, more: &[(&str, &str)]) -> String {
    let mut request = format!("GET {path} HTTP/1.1\r\nHost: x\r\n");
    for (name, value) in UPGRADE.iter().chain(more) {
        request += &format!("{name}: {value}\r\n");
    }
    request + "\r\n"
}

/// Asks for a new polling session.
pub async fn handshake(server: SocketAddr, headers: &[(&str, &str)]) -> Answer {
    request(server, "GET", HANDSHAKE, headers, "").await
}

/// Posts JSON.
pub async fn post_json(to: SocketAddr, path: &str, body: &str) -> Answer {
    let headers = [("Content-Type", "application/json")];
    request(to, "POST", path, &headers, body).await
}

/// Waits until the daemon at this admin address is ready.
pub async fn until_ready(admin: SocketAddr) {
    let ready = timeout(WAIT, async {
        while request(admin, "GET", "/readyz", &[], "").await.status != 200 {}
    });
    ready.await.expect("the daemon should be ready");
}

/// Sends one request on a connection of its own and reads the answer.
pub async fn request(
    to: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Answer {
    let mut head = format!("{method} {path} HTTP/1.1\r\nConnection: close\r\n");
    if !headers.iter().any(|(name, _)| *name == "Host") {
        head += &format!("Host: {to}\r\n");
    }
    for (name, value) in headers {
        head += &format!("{name}: {value}\r\n");
    }
    if !body.is_empty() {
        head += &format!("Content-Length: {}\r\n", body.len());
    }
    raw(to, format!("{head}\r\n{body}").as_bytes()).await
}

/// Sends bytes, no more, and returns everything that the server sends until it closes the connection.
pub async fn until_closed(server: SocketAddr, bytes: &str) -> String {
    let mut stream = TcpStream::connect(server).await.unwrap();
    stream.write_all(bytes.as_bytes()).await.unwrap();
    let mut rest = Vec::new();
    // A server that closes before it has read everything resets the connection after its answer.
    let closed = timeout(WAIT, stream.read_to_end(&mut rest)).await;
    assert!(closed.is_ok(), "still open after {bytes:?}");
    String::from_utf8(rest).unwrap()
}

/// Sends bytes and reads one answer.
pub async fn raw(to: SocketAddr, bytes: &[u8]) -> Answer {
    let answer = timeout(WAIT, async {
        let mut stream = TcpStream::connect(to).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        let mut answer = Vec::new();
        // A server that closes while we still write resets the connection after its answer.
        let _ = stream.read_to_end(&mut answer).await;
        String::from_utf8(answer).unwrap()
    });
    let answer = answer.await.expect("the server should have answered");
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok());
    Answer {
        status: status.unwrap_or_else(|| panic!("no answer: {answer:?}")),
        head: head.to_owned(),
        body: body.to_owned(),
    }
}
