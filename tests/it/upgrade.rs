//! Upgrades from polling to a websocket, and networks that block websockets.

use std::time::{Duration, Instant};

use serde_json::json;
use socket2::SockRef;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use crate::support::{
    WAIT,
    browser::Browser,
    daemon::{Daemon, settings},
    http,
    poller::Poller,
    protocol::{VERSIONS, Version, event_frame},
};

/// The answer to a probe, as a frame.
const PROBE_ANSWER: &[u8] = b"\x81\x063probe";

/// The ways in which a websocket can fail after its handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Failure {
    Closed,
    Reset,
    Frame(&'static [u8]),
    /// The connection closes after the answer to the probe.
    ClosedAfterProbe,
}

const FAILURES: [Failure; 8] = [
    Failure::Closed,
    Failure::Reset,
    // The frame of the smoke test of cla_frontend.
    Failure::Frame(b"\x81\x84\0\0\0\x000:::"),
    // The upgrade packet without a probe.
    Failure::Frame(b"\x81\x81\0\0\0\x005"),
    // A binary frame, a frame without a mask, and a frame with continuation.
    Failure::Frame(b"\x82\x86\0\0\0\x002probe"),
    Failure::Frame(b"\x81\x062probe"),
    Failure::Frame(b"\x01\x86\0\0\0\x002probe"),
    Failure::ClosedAfterProbe,
];

#[tokio::test]
async fn a_failed_upgrade_leaves_the_polling_session_as_it_was() {
    let daemon = settings().start().await;
    for version in VERSIONS {
        for failure in FAILURES {
            let (mut adam, eve) = on_one_case(&daemon, version).await;
            let mut poll = eve.held().await;
            fail(&eve, failure, &mut poll).await;
            adam.close_case("X").await;
            if failure == Failure::ClosedAfterProbe {
                eve.until(r#"["peopleViewing",["eve"]]"#).await;
            } else {
                let list = rest(&mut poll).await;
                let expected = r#"["peopleViewing",["eve"]]"#;
                assert!(list.contains(expected), "{version:?}, {failure:?}: {list}");
            }
            adam.open_case("X").await;
            eve.until(r#"["peopleViewing",["#).await;
            let people = daemon.people().await;
            let case = &people["eve"]["connections"][&eve.id]["caseViewed"];
            assert_eq!(case, "X", "{version:?}, {failure:?}: {people}");
            eve.post(&["41/socket.io,"]).await;
            adam.close().await;
            daemon.until_nobody().await;
        }
    }
    let failed = 2 * FAILURES.len();
    let line = format!("cla_socketserver_upgrade_total{{outcome=\"failed\"}} {failed}");
    daemon.until_shown(&line).await;
}

#[tokio::test]
async fn after_a_probe_the_waiting_poll_is_answered_and_later_polls_ten_times_a_second() {
    let daemon = settings().start().await;
    for version in VERSIONS {
        let (adam, eve) = on_one_case(&daemon, version).await;
        let mut poll = eve.held().await;
        let mut socket = websocket(&eve).await;
        let before_the_probe = timeout(Duration::from_millis(200), poll.read_u8()).await;
        assert!(before_the_probe.is_err(), "{version:?}: the poll waits");
        probe(&mut socket).await;
        let noop = rest(&mut poll).await;
        assert!(noop.ends_with('6'), "{version:?}: {noop}");
        let begun = Instant::now();
        for _ in 0..5 {
            let answer = eve.poll().await;
            assert!(answer.body.ends_with('6'), "{version:?}: {answer:?}");
        }
        let five = begun.elapsed();
        assert!(five >= Duration::from_millis(400), "{version:?}: {five:?}");
        drop(socket);
        drop(eve.held().await);
        adam.close().await;
        daemon.until_nobody().await;
    }
}

#[tokio::test]
async fn events_sent_with_the_upgrade_packet_are_handled_whatever_the_pieces() {
    let daemon = settings().start().await;
    let events = event_frame("startViewingCase", json!("Y"));
    for version in VERSIONS {
        for piece in [1, 5, usize::MAX] {
            let (mut adam, eve) = on_one_case(&daemon, version).await;
            let mut socket = websocket(&eve).await;
            write(&mut socket, &frame("2probe"), piece).await;
            let claim = format!("{version:?}, {piece} bytes at a time");
            let answer = read(&mut socket, PROBE_ANSWER.len()).await;
            assert_eq!(answer, PROBE_ANSWER, "{claim}");
            let upgrade = [frame("5"), frame(&events)].concat();
            write(&mut socket, &upgrade, piece).await;
            adam.until_viewing(&["adam"]).await;
            // The list and nothing else: no second handshake, no second answer to the probe.
            let list = event_frame("peopleViewing", json!(["eve"]));
            let head = [0x81, u8::try_from(list.len()).unwrap()];
            assert_eq!(read(&mut socket, 2).await, head, "{claim}");
            let read = read(&mut socket, list.len()).await;
            assert_eq!(read, list.as_bytes(), "{claim}");
            write(&mut socket, &frame("41/socket.io,"), piece).await;
            adam.close().await;
            daemon.until_nobody().await;
        }
    }
}

#[tokio::test]
async fn a_stop_does_not_wait_for_a_probe() {
    let mut daemon = settings().start().await;
    let eve = Poller::joined(daemon.public, Version::Three).await;
    let _socket = websocket(&eve).await;
    let begun = Instant::now();
    daemon.stop().await;
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(1), "{took:?}");
}

#[tokio::test]
async fn only_websocket_version_13_over_http_1_1_is_accepted() {
    let daemon = settings().start().await;
    let eve = Poller::open(daemon.public, Version::Four).await;
    let sessions = ["", &format!("&sid={}", eve.id)];
    for session in sessions {
        for (http, version) in [
            ("1.1", ""),
            ("1.1", "Sec-WebSocket-Version: 8\r\n"),
            ("1.0", "Sec-WebSocket-Version: 13\r\n"),
        ] {
            let request = format!(
                "GET /socket.io/?EIO=4&transport=websocket{session} HTTP/{http}\r\nHost: x\r\nConnection: Upgrade, close\r\n\
                 Upgrade: websocket\r\n{version}Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
            );
            let answer = http::raw(daemon.public, request.as_bytes()).await;
            assert_eq!(answer.status, 400, "{request}");
        }
    }
}

/// Adam, over a websocket, and eve, by polling. Both have the list with both names.
async fn on_one_case(daemon: &Daemon, version: Version) -> (Browser, Poller) {
    let mut adam = daemon.browser_on_case(version, "adam", "X").await;
    let eve = Poller::on_case_x(daemon.public, version, "eve", &[]).await;
    eve.until("peopleViewing").await;
    adam.until_viewing(&["adam", "eve"]).await;
    (adam, eve)
}

async fn fail(session: &Poller, failure: Failure, poll: &mut TcpStream) {
    let mut socket = websocket(session).await;
    match failure {
        Failure::Closed => {}
        Failure::Reset => SockRef::from(&socket)
            .set_linger(Some(Duration::ZERO))
            .unwrap(),
        Failure::Frame(frame) => {
            socket.write_all(frame).await.unwrap();
            assert_eq!(
                rest(&mut socket).await,
                "",
                "{failure:?}: closed without a frame"
            );
        }
        Failure::ClosedAfterProbe => {
            probe(&mut socket).await;
            assert!(rest(poll).await.ends_with('6'), "a noop");
        }
    }
}

/// A websocket for a session, after its HTTP handshake.
async fn websocket(session: &Poller) -> TcpStream {
    let mut socket = TcpStream::connect(session.server()).await.unwrap();
    let path = session.path().replace("polling", "websocket");
    let request = http::upgrade_request(&path, &[]);
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.extend(read(&mut socket, 1).await);
    }
    let head = String::from_utf8(head).unwrap().to_lowercase();
    assert!(head.starts_with("http/1.1 101 "), "{head}");
    // The answer to this key, as in RFC 6455, section 1.3.
    assert!(
        head.contains("sec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo=\r\n"),
        "{head}"
    );
    socket
}

async fn probe(socket: &mut TcpStream) {
    socket.write_all(&frame("2probe")).await.unwrap();
    assert_eq!(read(socket, PROBE_ANSWER.len()).await, PROBE_ANSWER);
}

/// A text frame of a client.
fn frame(text: &str) -> Vec<u8> {
    let mask = [0x12, 0xab, 0, 0xff];
    let head = [0x81, 0x80 | u8::try_from(text.len()).unwrap()];
    let masked = text.bytes().zip(mask.into_iter().cycle());
    let masked = masked.map(|(byte, mask)| byte ^ mask);
    head.into_iter().chain(mask).chain(masked).collect()
}

/// Writes `piece` bytes at a time. The daemon may read each piece before the next one is written.
async fn write(socket: &mut TcpStream, bytes: &[u8], piece: usize) {
    socket.set_nodelay(true).unwrap();
    for piece in bytes.chunks(piece.min(bytes.len())) {
        socket.write_all(piece).await.unwrap();
        tokio::task::yield_now().await;
    }
}

async fn read(socket: &mut TcpStream, count: usize) -> Vec<u8> {
    let mut bytes = vec![0; count];
    let read = timeout(WAIT, socket.read_exact(&mut bytes)).await;
    read.expect("bytes should have come").unwrap();
    bytes
}

/// The bytes up to the end of an answer or of the connection.
async fn rest(socket: &mut TcpStream) -> String {
    let mut text = String::new();
    let read = timeout(WAIT, async {
        let mut buffer = [0; 1024];
        while let Ok(count @ 1..) = socket.read(&mut buffer).await {
            text += str::from_utf8(&buffer[..count]).unwrap();
            let body = text.split_once("\r\n\r\n").map(|(_, body)| body);
            if body.is_some_and(|body| !body.is_empty()) {
                break;
            }
        }
    });
    read.await.expect("an answer, or the end");
    text
}
