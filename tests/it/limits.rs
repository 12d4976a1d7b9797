//! Every limit holds, has a counter of its own, and affects no other client.

mod readers;
mod requests;
mod senders;
mod sessions;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use crate::support::{
    WAIT,
    daemon::Daemon,
    http::{self, Answer},
    poller::Poller,
    protocol::Version,
};

/// A session in the namespace, and the TCP connection of its handshake, which stays open.
async fn polls_over_one_connection(daemon: &Daemon, header: &str) -> (TcpStream, Poller) {
    let mut stream = TcpStream::connect(daemon.public).await.unwrap();
    let handshake =
        format!("GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: x\r\n{header}\r\n");
    let open = answered(&mut stream, &handshake, "pingInterval").await;
    let (_, id) = open.split_once(r#""sid":""#).unwrap();
    let (id, _) = id.split_once('"').unwrap();
    let session = Poller::known(daemon.public, Version::Four, id.to_owned());
    session.join().await;
    (stream, session)
}

/// Sends a request over an open connection and reads until the answer contains `text`.
async fn answered(stream: &mut TcpStream, request: &str, text: &str) -> String {
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut bytes = Vec::new();
    while !String::from_utf8_lossy(&bytes).contains(text) {
        let read = timeout(WAIT, stream.read_buf(&mut bytes)).await;
        assert_ne!(read.unwrap().unwrap(), 0, "closed");
    }
    String::from_utf8(bytes).unwrap()
}

async fn post_notifications(daemon: &Daemon, body: &str) -> Answer {
    http::post_json(daemon.admin, "/admin/notifications/", body).await
}
