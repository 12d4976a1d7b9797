//! A client with a websocket, frame by frame.

use std::net::SocketAddr;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::{net::TcpStream, time::timeout};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async_with_config,
    tungstenite::{
        Error, Message,
        client::IntoClientRequest,
        protocol::{CloseFrame, frame::coding::CloseCode},
    },
};

use super::{
    WAIT,
    protocol::{Version, event_frame, identity},
};

/// Headers of a handshake: those of the page, and those that nginx adds.
pub type Headers<'a> = &'a [(&'static str, &'a str)];

/// A websocket in the namespace.
pub struct Browser {
    pub id: String,
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
}

impl Browser {
    /// Opens a session and joins the namespace.
    pub async fn connect(server: SocketAddr, version: Version) -> Self {
        Self::connect_with(server, version, &[]).await
    }

    /// Opens a session by a handshake with more headers, and joins the namespace.
    pub async fn connect_with(server: SocketAddr, version: Version, headers: Headers<'_>) -> Self {
        let mut browser = Self::open_with(server, version, headers).await;
        browser.join().await;
        browser
    }

    /// Opens a session without joining the namespace.
    pub async fn open(server: SocketAddr, version: Version) -> Self {
        Self::open_with(server, version, &[]).await
    }

    /// Opens a session by a handshake with more headers, without joining the namespace.
    pub async fn open_with(server: SocketAddr, version: Version, headers: Headers<'_>) -> Self {
        let uri = format!(
            "ws://{server}/socket.io/?EIO={}&transport=websocket",
            version.number()
        );
        let mut request = uri.into_client_request().unwrap();
        for (name, value) in headers {
            request.headers_mut().insert(*name, value.parse().unwrap());
        }
        // Without delays for small packets, as browsers do.
        let connected = connect_async_with_config(request, None, true).await;
        let (socket, _) = connected.unwrap();
        let mut browser = Self::over(socket, String::new());
        let open = browser.frame().await;
        let open: Value = serde_json::from_str(open.strip_prefix('0').unwrap()).unwrap();
        open["sid"].as_str().unwrap().clone_into(&mut browser.id);
        if version == Version::Three {
            assert_eq!(browser.frame().await, "40");
        }
        browser
    }

    /// A browser whose session is open already.
    pub fn over(socket: WebSocketStream<MaybeTlsStream<TcpStream>>, id: String) -> Self {
        Self { id, socket }
    }

    pub async fn join(&mut self) {
        self.send("40/socket.io,").await;
        let joined = self.frame().await;
        assert!(joined.starts_with("40/socket.io"), "{joined}");
    }

    /// Connects and identifies, as every browser does on every connect. Does not wait until the daemon has handled that.
    pub async fn returning(
        server: SocketAddr,
        version: Version,
        name: &str,
        headers: Headers<'_>,
    ) -> Self {
        let mut browser = Self::connect_with(server, version, headers).await;
        browser.identify(name).await;
        browser
    }

    /// A connection that the daemon has identified.
    pub async fn identified(server: SocketAddr, version: Version, name: &str) -> Self {
        let mut browser = Self::returning(server, version, name, &[]).await;
        // The answer to a later event shows that `identify` was handled.
        let own_case = format!("only for {}", browser.id);
        browser.open_case(&own_case).await;
        browser.until_viewing(&[name]).await;
        browser.close_case(&own_case).await;
        browser
    }

    pub async fn identify(&mut self, name: &str) {
        self.emit("identify", identity(name)).await;
    }

    pub async fn open_case(&mut self, case: &str) {
        self.emit("startViewingCase", json!(case)).await;
    }

    pub async fn close_case(&mut self, case: &str) {
        self.emit("stopViewingCase", json!(case)).await;
    }

    pub async fn emit(&mut self, event: &str, payload: Value) {
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

    /// The next event: its name and its payload.
    pub async fn event(&mut self) -> (String, Value) {
        let frame = self.frame().await;
        let json = frame
            .strip_prefix("42/socket.io,")
            .unwrap_or_else(|| panic!("{frame}"));
        serde_json::from_str(json).unwrap()
    }

    /// Reads lists of viewers until one is as expected.
    pub async fn until_viewing(&mut self, names: &[&str]) {
        let expected = ("peopleViewing".to_owned(), json!(names));
        let mut events = Vec::new();
        let reading = timeout(WAIT, async {
            while events.last() != Some(&expected) {
                events.push(self.event().await);
            }
        });
        let in_time = reading.await.is_ok();
        assert!(in_time, "expected {expected:?}, got {events:?}");
    }

    /// Reads events until one is a list of viewers that contains `name`.
    pub async fn until_listed(&mut self, name: &str) {
        loop {
            let (event, payload) = self.event().await;
            let names = payload.as_array().filter(|_| event == "peopleViewing");
            if names.is_some_and(|names| names.contains(&json!(name))) {
                return;
            }
        }
    }

    /// Reads events until one is a notification.
    pub async fn until_notification(&mut self) {
        while self.event().await.0 != "notification" {}
    }

    /// Waits for the end of the connection and returns the frames before it.
    pub async fn until_closed(&mut self) -> Vec<String> {
        let mut frames = Vec::new();
        while let Some(frame) = self.next().await {
            frames.push(frame);
        }
        frames
    }

    /// A clean close: the page was closed, left or reloaded.
    pub async fn close(mut self) {
        let going_away = CloseFrame {
            code: CloseCode::Away,
            reason: "".into(),
        };
        self.socket.close(Some(going_away)).await.unwrap();
    }

    /// Closes the connection as the client library does after a missed heartbeat. The page is still there.
    pub async fn give_up(mut self) {
        self.socket.close(None).await.unwrap();
    }

    /// The next text frame, or none at the end of the connection; pings are answered.
    pub async fn next(&mut self) -> Option<String> {
        loop {
            let message = timeout(WAIT, self.socket.next()).await;
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
