//! An engine behind hyper, on a real socket.

#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test may fail loudly, and spawn"
)]

mod support;

use std::time::Duration;

use engineioxide::{DisconnectReason, Ended, TransportType, config::EngineIoConfig};
use futures_util::{SinkExt, StreamExt};
use support::{Happened, Server, Session, WAIT, request, websocket};
use tokio::{
    io::AsyncReadExt,
    time::{Instant, sleep, timeout},
};
use tokio_tungstenite::tungstenite::Message;

const VERSIONS: [u8; 2] = [3, 4];

#[tokio::test]
async fn polling_echoes_in_order_and_several_packets_at_once() {
    let mut server = Server::start(EngineIoConfig::default()).await;
    for version in VERSIONS {
        let session = Session::open(&server, version).await;
        let socket = server.connected().await;
        for message in ["4one", "4zwei€", "4😀"] {
            assert_eq!(session.post(&[message]).await, (200, "ok".to_owned()));
        }
        for message in ["one", "zwei€", "😀"] {
            assert_eq!(server.next().await, Happened::Text(message.to_owned()));
        }
        assert_eq!(
            session.poll().await,
            (200, session.payload(&["4one", "4zwei€", "4😀"]))
        );
        let mut late = session.begin_poll().await;
        socket.emit("late").unwrap();
        let mut answer = String::new();
        late.read_to_string(&mut answer).await.unwrap();
        assert!(answer.ends_with(&session.payload(&["4late"])), "{answer}");
        session.post(&["1"]).await;
        assert_eq!(
            server.next().await,
            Happened::Ended(DisconnectReason::TransportClose)
        );
        assert_eq!(session.poll().await.0, 400);
    }
}

#[tokio::test]
async fn websockets_echo_text_and_bytes() {
    let mut server = Server::start(EngineIoConfig::default()).await;
    for version in VERSIONS {
        let mut client = websocket(&server, version, None).await.unwrap();
        let open = client.next().await.unwrap().unwrap().into_text().unwrap();
        assert!(open.starts_with(r#"0{"sid":""#), "{open}");
        server.connected().await;
        client.send(Message::text("4hello")).await.unwrap();
        assert_eq!(
            client.next().await.unwrap().unwrap(),
            Message::text("4hello")
        );
        assert_eq!(server.next().await, Happened::Text("hello".to_owned()));
        let bytes: &[u8] = if version == 3 { &[4, 0, 9] } else { &[0, 9] };
        client.send(Message::binary(bytes)).await.unwrap();
        assert_eq!(
            client.next().await.unwrap().unwrap(),
            Message::binary(bytes)
        );
        assert_eq!(server.next().await, Happened::Bytes(vec![0, 9]));
        client.close(None).await.unwrap();
        assert_eq!(
            server.next().await,
            Happened::Ended(DisconnectReason::TransportClose)
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_while_a_session_moves_to_a_websocket() {
    let mut server = Server::start(EngineIoConfig {
        max_buffer_size: 100_000,
        ..EngineIoConfig::default()
    })
    .await;
    for round in 0..20 {
        let session = Session::open(&server, 4).await;
        let socket = server.connected().await;
        let sender = tokio::spawn(async move {
            for number in 0..400 {
                socket.emit(number.to_string()).unwrap();
                if number % 7 == round % 7 {
                    tokio::task::yield_now().await;
                }
                if number % 50 == 0 {
                    sleep(Duration::from_millis(1)).await;
                }
            }
        });
        let mut received = Vec::new();
        let add = |received: &mut Vec<String>, body: &str| {
            let messages = body
                .split('\u{1e}')
                .filter_map(|packet| packet.strip_prefix('4'));
            received.extend(messages.map(str::to_owned));
        };
        for _ in 0..round % 5 {
            add(&mut received, &session.poll().await.1);
        }
        let mut client = websocket(&server, 4, Some(&session.id)).await.unwrap();
        client.send(Message::text("2probe")).await.unwrap();
        let (probed, last) = tokio::join!(client.next(), session.poll());
        assert_eq!(probed.unwrap().unwrap(), Message::text("3probe"));
        add(&mut received, &last.1);
        client.send(Message::text("5")).await.unwrap();
        while received.len() < 400 {
            let message = timeout(WAIT, client.next())
                .await
                .unwrap()
                .unwrap()
                .unwrap();
            add(&mut received, message.to_text().unwrap());
        }
        sender.await.unwrap();
        let expected: Vec<_> = (0..400).map(|number| number.to_string()).collect();
        assert_eq!(received, expected, "round {round}");
        drop(client);
        assert_eq!(
            server.next().await,
            Happened::Ended(DisconnectReason::TransportError)
        );
    }
}

#[tokio::test]
async fn a_failed_probe_costs_nothing() {
    let mut server = Server::start(EngineIoConfig {
        upgrade_timeout: Duration::from_millis(300),
        ..EngineIoConfig::default()
    })
    .await;
    let session = Session::open(&server, 4).await;
    let socket = server.connected().await;
    for says in [None, Some("5"), Some("0:::"), Some("2probe")] {
        let mut poll = session.begin_poll().await;
        let mut client = websocket(&server, 4, Some(&session.id)).await.unwrap();
        if let Some(says) = says {
            client.send(Message::text(says)).await.unwrap();
        }
        if says.is_none() {
            let second = websocket(&server, 4, Some(&session.id)).await;
            let closed = second.unwrap().next().await.unwrap();
            assert!(closed.is_err(), "one probe at a time");
        }
        while let Some(Ok(message)) = timeout(WAIT, client.next()).await.unwrap() {
            assert_eq!(message, Message::text("3probe"));
        }
        assert_eq!(socket.transport_type(), TransportType::Polling);
        socket.emit("still here").unwrap();
        let mut answer = String::new();
        poll.read_to_string(&mut answer).await.unwrap();
        let expected = if says == Some("2probe") {
            "6"
        } else {
            "4still here"
        };
        assert!(answer.ends_with(expected), "{says:?}: {answer}");
        if says == Some("2probe") {
            assert_eq!(session.poll().await.1, "4still here");
        }
    }
    assert!(!socket.is_closed());
}

#[tokio::test]
async fn an_aborted_poll_and_two_polls_end_a_session_at_once() {
    let mut server = Server::start(EngineIoConfig::default()).await;
    for version in VERSIONS {
        let session = Session::open(&server, version).await;
        let socket = server.connected().await;
        drop(session.begin_poll().await);
        assert_eq!(
            server.next().await,
            Happened::Ended(DisconnectReason::TransportError)
        );
        assert_eq!(support::handle(&socket).ended(), Some(Ended::PollAborted));

        let session = Session::open(&server, version).await;
        server.connected().await;
        let mut first = session.begin_poll().await;
        assert_eq!(session.poll().await.0, 400);
        let mut answer = String::new();
        first.read_to_string(&mut answer).await.unwrap();
        assert!(answer.ends_with(&session.payload(&["1"])), "{answer}");
        let reason = DisconnectReason::MultipleHttpPollingError;
        assert_eq!(server.next().await, Happened::Ended(reason));
    }
}

#[tokio::test]
async fn a_poll_may_follow_its_answer_at_once() {
    let mut server = Server::start(EngineIoConfig::default()).await;
    let session = Session::open(&server, 4).await;
    let socket = server.connected().await;
    for number in 0..300 {
        let poll = session.poll();
        let send = async {
            if number % 3 == 0 {
                tokio::task::yield_now().await;
            }
            socket.emit(number.to_string()).unwrap();
        };
        let (post, (status, body), ()) = tokio::join!(session.post(&["4x"]), poll, send);
        assert_eq!((post.0, status), (200, 200), "{number}");
        drop(body);
    }
    assert!(!socket.is_closed());
}

#[tokio::test]
async fn a_client_that_reads_nothing_is_closed_at_once() {
    let mut server = Server::start(EngineIoConfig {
        max_buffer_size: 100_000,
        ..EngineIoConfig::default()
    })
    .await;
    let client = websocket(&server, 4, None).await.unwrap();
    let socket = server.connected().await;
    let session = support::handle(&socket);
    let text = "x".repeat(100_000);
    while session.waiting().packets < 20 {
        socket.emit(text.clone()).unwrap();
        tokio::task::yield_now().await;
    }
    assert!(session.waiting().bytes >= 20 * text.len());
    let begun = Instant::now();
    session.close(DisconnectReason::ClosingServer);
    assert_eq!(
        server.next().await,
        Happened::Ended(DisconnectReason::ClosingServer)
    );
    socket.closed().await;
    assert!(begun.elapsed() < Duration::from_millis(500));
    assert!(socket.emit("late").is_err());
    drop(client);
}

#[tokio::test]
async fn close_frames_are_told_apart() {
    let mut server = Server::start(EngineIoConfig::default()).await;
    let frames: [(&[u8], Ended); 4] = [
        (b"\x88\x80\0\0\0\0", Ended::CloseFrame(None)),
        (b"\x88\x82\0\0\0\0\x03\xe9", Ended::CloseFrame(Some(1001))),
        (b"\x81\x01x", Ended::BadFrame),
        (b"\x81\x81\0\0\0\0x", Ended::BadPacket),
    ];
    for (frame, ended) in frames {
        let mut client = support::raw_websocket(&server).await;
        let socket = server.connected().await;
        tokio::io::AsyncWriteExt::write_all(&mut client, frame)
            .await
            .unwrap();
        assert_eq!(server.next().await, Happened::Ended(ended.reason()));
        assert_eq!(support::handle(&socket).ended(), Some(ended));
    }
}

#[tokio::test]
async fn only_real_websockets_of_known_sessions_are_accepted() {
    let server = Server::start(EngineIoConfig::default()).await;
    let unknown = websocket(&server, 4, Some("AAAAAAAAAAAAAAAA")).await;
    assert!(unknown.is_err());
    let (status, body) = request(
        &server,
        "GET",
        "EIO=4&transport=polling&sid=AAAAAAAAAAAAAAAA",
        "",
    )
    .await;
    assert_eq!(
        (status, &*body),
        (400, r#"{"code":1,"message":"Session ID unknown"}"#)
    );
    let (status, body) = request(&server, "GET", "EIO=4&transport=websocket", "").await;
    assert_eq!(
        (status, &*body),
        (400, r#"{"code":3,"message":"Bad request"}"#)
    );
    let (status, body) = request(&server, "POST", "EIO=4&transport=polling", "4x").await;
    assert_eq!(
        (status, &*body),
        (400, r#"{"code":2,"message":"Bad handshake method"}"#)
    );
    let (status, body) = request(&server, "GET", "EIO=4&transport=pigeon", "").await;
    assert_eq!(
        (status, &*body),
        (400, r#"{"code":0,"message":"Transport unknown"}"#)
    );
}

#[tokio::test]
async fn heartbeats_are_kept_on_both_transports() {
    let mut server = Server::start(EngineIoConfig {
        ping_interval: Duration::from_millis(200),
        ping_timeout: Duration::from_millis(300),
        ..EngineIoConfig::default()
    })
    .await;
    let begun = Instant::now();
    let session = Session::open(&server, 4).await;
    server.connected().await;
    for _ in 0..4 {
        assert_eq!(session.poll().await.1, "2");
        session.post(&["3"]).await;
    }
    assert!(
        begun.elapsed() >= Duration::from_millis(800),
        "no ping at once"
    );
    assert_eq!(
        server.next().await,
        Happened::Ended(DisconnectReason::HeartbeatTimeout)
    );
    let silent = begun.elapsed();
    assert!(silent < Duration::from_millis(2500), "{silent:?}");

    let mut client = websocket(&server, 4, None).await.unwrap();
    server.connected().await;
    client.next().await;
    for _ in 0..3 {
        assert_eq!(client.next().await.unwrap().unwrap(), Message::text("2"));
        client.send(Message::text("3")).await.unwrap();
    }
    assert_eq!(
        server.next().await,
        Happened::Ended(DisconnectReason::HeartbeatTimeout)
    );

    let begun = Instant::now();
    let session = Session::open(&server, 3).await;
    server.connected().await;
    for _ in 0..4 {
        sleep(Duration::from_millis(250)).await;
        session.post(&["2"]).await;
        assert_eq!(session.poll().await.1, "1:3");
    }
    assert!(begun.elapsed() > Duration::from_secs(1));
    assert_eq!(
        server.next().await,
        Happened::Ended(DisconnectReason::HeartbeatTimeout)
    );
}

#[tokio::test]
async fn long_and_malformed_posts_end_a_session() {
    let mut server = Server::start(EngineIoConfig {
        max_payload: 100,
        ..EngineIoConfig::default()
    })
    .await;
    for (body, status) in [("4".repeat(101), 413), ("junk".to_owned(), 400)] {
        let session = Session::open(&server, 4).await;
        server.connected().await;
        assert_eq!(session.post(&[&body]).await.0, status);
        let reason = DisconnectReason::PacketParsingError;
        assert_eq!(server.next().await, Happened::Ended(reason));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_clients_that_poll_and_post_miss_nothing_and_stay() {
    const MESSAGES: usize = 150;
    let mut server = Server::start(EngineIoConfig {
        max_buffer_size: 2 * MESSAGES,
        ..EngineIoConfig::default()
    })
    .await;
    let mut clients = Vec::new();
    for number in 0..40 {
        let session = Session::open(&server, VERSIONS[number % 2]).await;
        let socket = server.connected().await;
        clients.push(tokio::spawn(async move {
            let send = async {
                for message in 0..MESSAGES {
                    socket.emit(format!("<{message}>")).unwrap();
                    match (message * 7 + number) % 11 {
                        0..4 => tokio::task::yield_now().await,
                        4..6 => sleep(Duration::from_millis(1)).await,
                        _ => {}
                    }
                }
            };
            let post = async {
                for _ in 0..30 {
                    assert_eq!(session.post(&["4x"]).await.0, 200);
                }
            };
            let poll = async {
                let mut received = String::new();
                while received.matches('<').count() < MESSAGES {
                    let (status, body) = session.poll().await;
                    assert_eq!(status, 200, "{body}");
                    received += &body;
                }
                received
            };
            let (received, ..) = tokio::join!(poll, send, post);
            let numbers = received.split('<').skip(1);
            let numbers =
                numbers.map(|rest| rest.split('>').next().unwrap().parse::<usize>().unwrap());
            assert!(numbers.eq(0..MESSAGES), "{received}");
            assert!(!socket.is_closed());
        }));
    }
    for client in clients {
        client.await.unwrap();
    }
}

#[tokio::test]
async fn a_handler_that_panics_ends_its_own_session_only() {
    let mut server = Server::start(EngineIoConfig::default()).await;
    let mut client = websocket(&server, 4, None).await.unwrap();
    let socket = server.connected().await;
    client.send(Message::text("4panic")).await.unwrap();
    let reason = DisconnectReason::TransportError;
    assert_eq!(server.next().await, Happened::Ended(reason));
    assert!(socket.is_closed());
    Session::open(&server, 4).await;
}
