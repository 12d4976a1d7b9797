//! A session that begins by polling and moves to a websocket, as browsers make it.
//!
//! Lives here: the requests and packets until the websocket is the session's only transport. Not here: what follows (`page`).

use std::{
    io,
    net::{Ipv4Addr, SocketAddrV4},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::{
    page::{Engine, JOIN},
    websocket::{self, Reader, Writer},
};

/// A session that polls.
struct Session {
    server: SocketAddrV4,
    client: Ipv4Addr,
    engine: Engine,
    id: String,
    /// Whether the server has sent a ping that is not answered.
    was_pinged: bool,
}

/// Opens a session, joins the namespace by polling, and moves to a websocket.
pub(crate) async fn open(
    server: SocketAddrV4,
    engine: Engine,
    client: Ipv4Addr,
) -> io::Result<(Writer, Reader)> {
    let mut session = Session {
        server,
        client,
        engine,
        id: String::new(),
        was_pinged: false,
    };
    let opened = session.request("GET", "").await?;
    let id = opened.split(r#""sid":""#).nth(1);
    let id = id.and_then(|rest| rest.split('"').next());
    session.id = id
        .ok_or_else(|| io::Error::other(opened.clone()))?
        .to_owned();
    let join = match engine {
        Engine::Three => format!("{}:{JOIN}", JOIN.len()),
        Engine::Four => JOIN.to_owned(),
    };
    session.request("POST", &join).await?;
    while !session.poll().await?.contains("40/socket.io") {}
    session.move_to_websocket().await
}

impl Session {
    async fn move_to_websocket(mut self) -> io::Result<(Writer, Reader)> {
        let target = self.target("websocket");
        let (writer, mut reader) = websocket::open(self.server, &target, self.client).await?;
        reader.until_upgraded().await?;
        writer.send("2probe")?;
        let (probed, last_poll) = tokio::join!(probed(&mut reader), self.poll());
        probed?;
        last_poll?;
        writer.send("5")?;
        if self.was_pinged {
            writer.send("3")?;
        }
        Ok((writer, reader))
    }

    async fn poll(&mut self) -> io::Result<String> {
        let payload = self.request("GET", "").await?;
        self.was_pinged |= payload.split('\u{1e}').any(|packet| packet == "2");
        Ok(payload)
    }

    /// Sends a request on a connection of its own, as nginx does, and returns the body of the answer.
    async fn request(&self, method: &str, body: &str) -> io::Result<String> {
        let mut stream = TcpStream::connect(self.server).await?;
        let request = format!(
            "{method} {} HTTP/1.1\r\nHost: {}\r\nX-Real-IP: {}\r\nConnection: close\r\n\
             Content-Type: text/plain;charset=UTF-8\r\nContent-Length: {}\r\n\r\n{body}",
            self.target("polling"),
            self.server,
            self.client,
            body.len()
        );
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_default();
        if !head.starts_with("HTTP/1.1 200") {
            return Err(io::Error::other(answer));
        }
        Ok(body.to_owned())
    }

    fn target(&self, transport: &str) -> String {
        let version = match self.engine {
            Engine::Three => 3,
            Engine::Four => 4,
        };
        let target = format!("/socket.io/?EIO={version}&transport={transport}");
        if self.id.is_empty() {
            target
        } else {
            format!("{target}&sid={}", self.id)
        }
    }
}

async fn probed(reader: &mut Reader) -> io::Result<()> {
    let mut is_probed = false;
    while !is_probed {
        reader
            .receive(|text| is_probed |= text == b"3probe")
            .await?;
    }
    Ok(())
}
