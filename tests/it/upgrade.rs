//! Moving from polling to a websocket, and networks on which that cannot be done.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal::SIGTERM;
use serde_json::json;
use socket2::SockRef;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use crate::{
    daemon::{Daemon, PATIENCE, settings},
    http,
    wire::{Browser, Poller, VERSIONS, Version, event_frame},
};

/// The answer to a probe, as a frame.
const PROBE_ANSWER: &[u8] = b"\x81\x063probe";

/// How a websocket can come to nothing after its handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Failure {
    Closed,
    Reset,
    Frame(&'static [u8]),
    /// The client hears the answer to its probe, and then the connection is closed.
    ClosedAfterProbe,
}

const FAILURES: [Failure; 8] = [
    Failure::Closed,
    Failure::Reset,
    // What the smoke test of cla_frontend sends.
    Failure::Frame(b"\x81\x84\0\0\0\x000:::"),
    // The upgrade packet without a probe.
    Failure::Frame(b"\x81\x81\0\0\0\x005"),
    // A binary frame, one without a mask, one that goes on in the next, and no frame at all.
    Failure::Frame(b"\x82\x86\0\0\0\x002probe"),
    Failure::Frame(b"\x81\x062probe"),
    Failure::Frame(b"\x01\x86\0\0\0\x002probe"),
    Failure::ClosedAfterProbe,
];

#[tokio::test]
async fn a_websocket_that_fails_costs_a_polling_session_nothing() {
    let daemon = settings().start().await;
    for version in VERSIONS {
        for failure in FAILURES {
            let (mut adam, eve) = on_one_case(&daemon, version).await;
            let mut poll = eve.held().await;
            fail(&eve, failure, &mut poll).await;
            adam.say("stopViewingCase", json!("X")).await;
            if failure == Failure::ClosedAfterProbe {
                eve.until(r#"["peopleViewing",["eve"]]"#).await;
            } else {
                let list = rest(&mut poll).await;
                let expected = r#"["peopleViewing",["eve"]]"#;
                assert!(list.contains(expected), "{failure:?}: {list}");
            }
            adam.say("startViewingCase", json!("X")).await;
            eve.until(r#"["peopleViewing",["#).await;
            let people = daemon.people().await;
            assert_eq!(people["eve"]["connections"][&eve.id]["caseViewed"], "X");
            eve.post(&["41/socket.io,"]).await;
            adam.close().await;
            daemon.until_people(|people| *people == json!({})).await;
        }
    }
    let failed = 2 * FAILURES.len();
    let line = format!("cla_socketserver_upgrade_total{{outcome=\"failed\"}} {failed}");
    daemon.until_shown(&line).await;
}

#[tokio::test]
async fn a_poll_that_waits_is_answered_when_a_websocket_was_probed_and_later_ones_ten_times_a_second()
 {
    let daemon = settings().start().await;
    for version in VERSIONS {
        let (adam, eve) = on_one_case(&daemon, version).await;
        let mut poll = eve.held().await;
        let mut socket = websocket(&eve).await;
        let before_the_probe = timeout(Duration::from_millis(200), poll.read_u8()).await;
        assert!(before_the_probe.is_err(), "the poll waits");
        probe(&mut socket).await;
        assert!(rest(&mut poll).await.ends_with('6'));
        let noop = Instant::now();
        for _ in 0..5 {
            assert!(eve.poll().await.body.ends_with('6'));
        }
        let five = noop.elapsed();
        assert!(five >= Duration::from_millis(400), "{five:?}");
        drop(socket);
        drop(eve.held().await);
        adam.close().await;
        daemon.until_people(|people| *people == json!({})).await;
    }
}

#[tokio::test]
async fn what_is_said_with_the_upgrade_packet_is_heard_however_it_is_cut() {
    let daemon = settings().start().await;
    let events = event_frame("startViewingCase", json!("Y"));
    for version in VERSIONS {
        for piece in [1, 5, usize::MAX] {
            let (mut adam, eve) = on_one_case(&daemon, version).await;
            let mut socket = websocket(&eve).await;
            write(&mut socket, &frame("2probe"), piece).await;
            assert_eq!(read(&mut socket, PROBE_ANSWER.len()).await, PROBE_ANSWER);
            let said = [frame("5"), frame(&events)].concat();
            write(&mut socket, &said, piece).await;
            adam.until_viewing(&["adam"]).await;
            // Nothing but the list: neither the handshake nor the answer to the probe a second time.
            let list = event_frame("peopleViewing", json!(["eve"]));
            let head = [0x81, u8::try_from(list.len()).unwrap()];
            assert_eq!(read(&mut socket, 2).await, head);
            assert_eq!(read(&mut socket, list.len()).await, list.as_bytes());
            write(&mut socket, &frame("41/socket.io,"), piece).await;
            adam.close().await;
            daemon.until_people(|people| *people == json!({})).await;
        }
    }
}

#[tokio::test]
async fn a_stop_does_not_wait_for_a_probe() {
    let mut daemon = settings().start().await;
    let eve = Poller::joined(daemon.public, Version::Three).await;
    let _socket = websocket(&eve).await;
    let asked = Instant::now();
    daemon.signal(SIGTERM);
    assert_eq!(daemon.exit().await.code(), Some(0));
    assert!(
        asked.elapsed() < Duration::from_secs(1),
        "{:?}",
        asked.elapsed()
    );
}

#[tokio::test]
async fn what_asks_for_no_websocket_of_version_13_over_http_1_1_gets_none() {
    let daemon = settings().start().await;
    let eve = Poller::open(daemon.public, Version::Four).await;
    let sessions = ["", &format!("&sid={}", eve.id)];
    for session in sessions {
        for (http, version) in [
            ("1.1", ""),
            ("1.1", "Sec-WebSocket-Version: 8\r\n"),
            ("1.0", "Sec-WebSocket-Version: 13\r\n"),
        ] {
            let asked = format!(
                "GET /socket.io/?EIO=4&transport=websocket{session} HTTP/{http}\r\nHost: x\r\nConnection: Upgrade, close\r\n\
                 Upgrade: websocket\r\n{version}Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
            );
            let answer = http::raw(daemon.public, asked.as_bytes()).await;
            assert_eq!(answer.status, 400, "{asked}");
        }
    }
}

/// Adam, over a websocket, and eve, by polling, who see each other.
async fn on_one_case(daemon: &Daemon, version: Version) -> (Browser, Poller) {
    let mut adam = Browser::identified(daemon.public, version, "adam").await;
    let eve = Poller::joined(daemon.public, version).await;
    adam.say("startViewingCase", json!("X")).await;
    adam.until_viewing(&["adam"]).await;
    let identify = event_frame("identify", json!("eve"));
    let start = event_frame("startViewingCase", json!("X"));
    eve.post(&[&identify, &start]).await;
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
            assert_eq!(rest(&mut socket).await, "", "closed without a word");
        }
        Failure::ClosedAfterProbe => {
            probe(&mut socket).await;
            assert!(rest(poll).await.ends_with('6'), "a noop");
        }
    }
}

/// A websocket for a session, of which nothing but the handshake has been seen.
async fn websocket(session: &Poller) -> TcpStream {
    let mut socket = TcpStream::connect(session.server()).await.unwrap();
    let path = session.path().replace("polling", "websocket");
    let asks = format!(
        "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    socket.write_all(asks.as_bytes()).await.unwrap();
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

/// Writes so many bytes at a time, each time after the other end had the chance to read the ones before.
async fn write(socket: &mut TcpStream, bytes: &[u8], piece: usize) {
    socket.set_nodelay(true).unwrap();
    for piece in bytes.chunks(piece.min(bytes.len())) {
        socket.write_all(piece).await.unwrap();
        tokio::task::yield_now().await;
    }
}

async fn read(socket: &mut TcpStream, count: usize) -> Vec<u8> {
    let mut bytes = vec![0; count];
    let read = timeout(PATIENCE, socket.read_exact(&mut bytes)).await;
    read.expect("something should have come").unwrap();
    bytes
}

/// What comes until an answer is complete or the connection closed.
async fn rest(socket: &mut TcpStream) -> String {
    let mut text = String::new();
    let read = timeout(PATIENCE, async {
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
