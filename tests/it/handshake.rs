//! Who may begin a session, and how queries are read.

use serde_json::json;

use crate::{
    daemon::{Daemon, settings},
    http::{self, Answer},
    wire::{Poller, VERSIONS, Version, event_frame},
};

const FOREIGN: [(&str, &str); 1] = [("Origin", "http://cla-frontend-socket-server:8005")];

#[tokio::test]
async fn the_origin_of_a_page_matters_only_where_a_session_begins() {
    let daemon = settings().env("SITE_HOSTNAME", "chs.example").start().await;
    for version in VERSIONS {
        let session = Poller::open(daemon.public, version).await;
        let path = session.path();
        let poll = http::request(daemon.public, "GET", &path, &FOREIGN, "").await;
        let close = if version == Version::Three {
            "1:1"
        } else {
            "1"
        };
        let post = http::request(daemon.public, "POST", &path, &FOREIGN, close).await;
        let session = Poller::open(daemon.public, version).await;
        let upgrade = upgrade(&daemon, &session, "http://cla-frontend-socket-server").await;
        // The open packet of version 3 waits with the first answer of `/`; that of version 4 has nothing to say but a ping.
        for (answer, status) in [(poll, 200), (post, 200), (upgrade, 101)] {
            assert_eq!(answer.status, status, "{version:?}: {answer:?}");
            assert_no_cors(&answer);
        }
    }
}

#[tokio::test]
async fn a_foreign_page_is_told_nothing() {
    let daemon = settings().env("SITE_HOSTNAME", "chs.example").start().await;
    let session = Poller::open(daemon.public, Version::Four).await;
    let begin = "/socket.io/?EIO=4&transport=polling";
    let preflight = [FOREIGN[0], ("Access-Control-Request-Method", "POST")];
    for (method, path, headers) in [
        ("GET", begin, &FOREIGN[..]),
        ("POST", begin, &FOREIGN),
        ("OPTIONS", begin, &preflight),
        ("OPTIONS", &session.path(), &preflight),
        ("OPTIONS", "/socket.io/", &preflight),
        ("GET", "/", &FOREIGN),
    ] {
        let answer = http::request(daemon.public, method, path, headers, "").await;
        assert_eq!(answer.status, 403, "{method} {path}: {answer:?}");
        assert_no_cors(&answer);
    }
    daemon.counted("session_refused", "origin", 6).await;
}

/// An `<img>`, a script, a frame or a link of another site sends no `Origin`, but browsers say that it is another site's.
#[tokio::test]
async fn a_request_of_another_site_opens_no_session_though_it_has_no_origin() {
    let daemon = settings().env("SITE_HOSTNAME", "chs.example").start().await;
    let own = ("Origin", "https://chs.example");
    let site = |says| ("Sec-Fetch-Site", says);
    for (headers, status) in [
        (vec![site("cross-site")], 403),
        (vec![site("same-site")], 403),
        (vec![site("same-origin"), site("cross-site")], 403),
        (vec![site("same-origin")], 200),
        (vec![site("none")], 200),
        (vec![], 200),
        (vec![own, site("cross-site")], 200),
        (vec![own, site("same-site")], 200),
        (vec![FOREIGN[0], site("same-origin")], 403),
    ] {
        for version in VERSIONS {
            let number = version.number();
            let path = format!("/socket.io/?EIO={number}&transport=polling");
            let answer = http::request(daemon.public, "GET", &path, &headers, "").await;
            assert_eq!(answer.status, status, "{headers:?}");
            assert_eq!(answer.session().is_some(), status == 200, "{headers:?}");
        }
    }
    let session = Poller::open(daemon.public, Version::Four).await;
    let headers = [site("cross-site")];
    let poll = http::request(daemon.public, "GET", &session.path(), &headers, "").await;
    assert_eq!(poll.status, 200, "a session is known by its id: {poll:?}");
}

#[tokio::test]
async fn a_query_that_could_be_read_in_two_ways_opens_no_session() {
    let daemon = settings().start().await;
    for (query, message) in [
        ("EIO=4&transport=websocket=x", "Transport unknown"),
        ("EIO=4&transport=polling=x", "Transport unknown"),
        ("EIO=4&transport=websocket&transport=polling", "Bad request"),
        ("EIO=4&transport=polling&transport=polling", "Bad request"),
        ("EIO=4&transport=polling&EIO=3", "Bad request"),
        ("EIO=4=3&transport=polling", "Bad request"),
        ("EIO=%34&transport=polling", "Bad request"),
        ("%45IO=4&transport=polling", "Bad request"),
        (
            "EIO=4&tr%61nsport=websocket&transport=polling",
            "Bad request",
        ),
        ("EIO=4&transport=p%6Flling", "Transport unknown"),
        ("EIO=4&transport=Polling", "Transport unknown"),
        ("EIO=4&transport", "Transport unknown"),
        ("EIO=4&transport=polling&sid", "Session ID unknown"),
        ("EIO=4&transport=polling&sid=", "Session ID unknown"),
        ("EIO=4&transport=polling&s%69d=x", "Bad request"),
        ("EIO=4&transport=polling&b64=1&b64=0", "Bad request"),
        ("EIO=4&transport=polling&j=0", "Bad request"),
    ] {
        for headers in [&[][..], &UPGRADE] {
            let path = format!("/socket.io/?{query}");
            let answer = http::request(daemon.public, "GET", &path, headers, "").await;
            assert_eq!(answer.status, 400, "{query}: {answer:?}");
            assert_eq!(answer.json()["message"], message, "{query}");
        }
    }
    assert_eq!(
        daemon
            .get("/metrics")
            .await
            .body
            .matches("sessions 0")
            .count(),
        1
    );
}

/// Pages add parameters of their own, and old clients some that have had their day.
#[tokio::test]
async fn what_clients_add_to_a_query_is_no_matter() {
    let daemon = settings().start().await;
    for more in [
        "t=Px3k9fA",
        "t=1700000000000-0&b64=1",
        "token=a%20b&page%5B%5D=1&page%5B%5D=2",
        "xtransport=websocket&transports=websocket&Transport=websocket",
        "=&&;transport=websocket&sids=x",
        "eio=3",
    ] {
        let path = format!("/socket.io/?EIO=4&transport=polling&{more}");
        let answer = http::request(daemon.public, "GET", &path, &[], "").await;
        let session = answer
            .session()
            .unwrap_or_else(|| panic!("{more}: {answer:?}"));
        let session = Poller::known(daemon.public, Version::Four, session);
        session.join().await;
        let said = [
            event_frame("identify", json!("adam")),
            event_frame("startViewingCase", json!("X")),
        ];
        session.post(&said.each_ref().map(String::as_str)).await;
        session.until("peopleViewing").await;
    }
}

const UPGRADE: [(&str, &str); 4] = [
    ("Connection", "Upgrade"),
    ("Upgrade", "websocket"),
    ("Sec-WebSocket-Version", "13"),
    ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
];

/// Asks to go on as a websocket, and breaks that off.
async fn upgrade(daemon: &Daemon, session: &Poller, origin: &str) -> Answer {
    let path = session.path().replace("polling", "websocket");
    let upgrade = format!(
        "GET {path} HTTP/1.1\r\nHost: x\r\nOrigin: {origin}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n\u{81}"
    );
    http::raw(daemon.public, upgrade.as_bytes()).await
}

fn assert_no_cors(answer: &Answer) {
    let head = answer.head.to_ascii_lowercase();
    assert!(!head.contains("access-control-"), "{head}");
}
