//! Handshakes: the pages that may open a session, and the reading of queries.

use serde_json::{Value, json};

use crate::support::{
    daemon::{Daemon, settings},
    http::{self, Answer, HANDSHAKE, UPGRADE},
    poller::Poller,
    protocol::{VERSIONS, Version, event_frame},
};

const FOREIGN: [(&str, &str); 1] = [("Origin", "http://cla-frontend-socket-server:8005")];

#[tokio::test]
async fn the_origin_is_checked_only_when_a_session_opens() {
    let daemon = settings().env("SITE_HOSTNAME", "chs.example").start().await;
    for version in VERSIONS {
        let session = Poller::open(daemon.public, version).await;
        let path = session.path();
        session.post(&["40/socket.io,"]).await;
        let poll = http::request(daemon.public, "GET", &path, &FOREIGN, "").await;
        let close = if version == Version::Three {
            "1:1"
        } else {
            "1"
        };
        let post = http::request(daemon.public, "POST", &path, &FOREIGN, close).await;
        let session = Poller::open(daemon.public, version).await;
        let upgrade = upgrade(&daemon, &session, "http://cla-frontend-socket-server").await;
        for (answer, status) in [(poll, 200), (post, 200), (upgrade, 101)] {
            assert_eq!(answer.status, status, "{version:?}: {answer:?}");
            assert_no_cors(&answer);
        }
    }
}

#[tokio::test]
async fn a_page_of_another_site_is_refused_without_cors_headers() {
    let daemon = settings().env("SITE_HOSTNAME", "chs.example").start().await;
    let session = Poller::open(daemon.public, Version::Four).await;
    let preflight = [FOREIGN[0], ("Access-Control-Request-Method", "POST")];
    for (method, path, headers) in [
        ("GET", HANDSHAKE, &FOREIGN[..]),
        ("POST", HANDSHAKE, &FOREIGN),
        ("OPTIONS", HANDSHAKE, &preflight),
        ("OPTIONS", &session.path(), &preflight),
        ("OPTIONS", "/socket.io/", &preflight),
        ("GET", "/", &FOREIGN),
    ] {
        let answer = http::request(daemon.public, method, path, headers, "").await;
        assert_eq!(answer.status, 403, "{method} {path}: {answer:?}");
        assert_no_cors(&answer);
    }
    daemon.until_counted("session_refused", "origin", 6).await;
}

/// The request of an `<img>`, a script, a frame or a link of another site has no `Origin`, but browsers add `Sec-Fetch-Site`.
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
            let row = format!("{version:?}, {headers:?}: {answer:?}");
            assert_eq!(answer.status, status, "{row}");
            assert_eq!(answer.session().is_some(), status == 200, "{row}");
        }
    }
    let session = Poller::open(daemon.public, Version::Four).await;
    session.post(&["40/socket.io,"]).await;
    let headers = [site("cross-site")];
    let poll = http::request(daemon.public, "GET", &session.path(), &headers, "").await;
    assert_eq!(
        poll.status, 200,
        "a poll of an open session is not checked: {poll:?}"
    );
}

#[tokio::test]
async fn an_ambiguous_query_opens_no_session() {
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
    daemon.until_shown("cla_socketserver_sessions 0").await;
}

/// Pages add parameters of their own, and old clients add parameters without a meaning today.
#[tokio::test]
async fn additional_parameters_of_a_query_are_ignored() {
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
        let identify = event_frame("identify", json!("adam"));
        let start = event_frame("startViewingCase", json!("X"));
        session.post(&[&identify, &start]).await;
        session.until("peopleViewing").await;
    }
}

#[tokio::test]
async fn the_probes_of_cla_frontend_succeed() {
    let daemon = settings().start().await;
    let origin = [("Origin", "localhost:")];
    let path = "/socket.io/?eio=3&transport=polling";
    let answer = http::request(daemon.public, "GET", path, &origin, "").await;
    assert_eq!(answer.status, 200);
    let (framing, open) = answer.body.split_at(5);
    assert!(
        open.starts_with('{'),
        "byte 5 is where the smoke test reads JSON: {framing}{open}"
    );
    let open: Value = serde_json::from_str(open).unwrap();
    let sid = open["sid"].as_str().unwrap();
    let uri = format!(
        "ws://{}/socket.io/?eio=3&transport=websocket&sid={sid}",
        daemon.public
    );
    // The frame that the probe sends next is one of the failures in `upgrade`.
    tokio_tungstenite::connect_async(uri).await.unwrap();
}

#[tokio::test]
async fn only_pages_of_the_site_may_connect() {
    let daemon = settings()
        .env("SITE_HOSTNAME", "cases.example.uk, b.example")
        .start()
        .await;
    for (origin, status) in [
        ("https://cases.example.uk", 200),
        ("https://B.example:444", 200),
        ("http://localhost:3000", 200),
        ("https://evil.example", 403),
        ("null", 403),
    ] {
        for path in [HANDSHAKE, "/socket.io/?EIO=3&transport=polling"] {
            let answer = http::request(daemon.public, "GET", path, &[("Origin", origin)], "").await;
            assert_eq!(answer.status, status, "{origin}: {path}");
            let allowed = (status == 200).then_some(origin);
            let credentials = (status == 200).then_some("true");
            for (name, expected) in [
                ("access-control-allow-origin", allowed),
                ("access-control-allow-credentials", credentials),
            ] {
                assert_eq!(answer.header(name), expected, "{origin}: {name} of {path}");
            }
        }
        let headers = [
            ("Origin", origin),
            ("Access-Control-Request-Method", "POST"),
        ];
        let preflight = http::request(daemon.public, "OPTIONS", "/socket.io/", &headers, "").await;
        assert_eq!(preflight.status, status, "preflight from {origin}");
    }
}

#[tokio::test]
async fn the_public_listener_serves_nothing_but_socket_io() {
    let daemon = settings().start().await;
    for path in [
        "/",
        "/admin",
        "/admin/",
        "/admin/broadcast/",
        "/healthz",
        "/readyz",
        "/demo/",
    ] {
        let answer = http::request(daemon.public, "GET", path, &[], "").await;
        assert_eq!(answer.status, 404, "{path}");
    }
    for path in [
        "/admin/notifications/",
        "/socket.iox/",
        "/x/socket.io/",
        "*",
    ] {
        let headers = [("Content-Type", "application/json")];
        let body = r#"{"notifications":[]}"#;
        let answer = http::request(daemon.public, "POST", path, &headers, body).await;
        assert_eq!(answer.status, 404, "{path}");
        let media_type = answer.header("Content-Type");
        assert_eq!(media_type, Some("application/json"), "{path}");
        // `cla_backend` counts a try as failed only if this member is there.
        assert_eq!(answer.json()["success"], false, "{path}");
        let error = answer.json()["error"].to_string();
        let names_both = error.contains("/socket.io/") && error.contains("admin.listen");
        assert!(names_both, "{path}: {error}");
        let port = daemon.admin.port().to_string();
        assert!(!error.contains(&port), "{path}: {error}");
    }
    for path in ["/socket.io/", "/socket.io/?EIO=4&transport=carrier-pigeon"] {
        let answer = http::request(daemon.public, "GET", path, &[], "").await;
        assert_eq!(answer.status, 400, "{path}");
    }
}

/// Asks for an upgrade to a websocket, and sends the first byte of a frame only.
async fn upgrade(daemon: &Daemon, session: &Poller, origin: &str) -> Answer {
    let path = session.path().replace("polling", "websocket");
    let upgrade = http::upgrade_request(&path, &[("Origin", origin)]) + "\u{81}";
    http::raw(daemon.public, upgrade.as_bytes()).await
}

fn assert_no_cors(answer: &Answer) {
    let head = answer.head.to_ascii_lowercase();
    assert!(!head.contains("access-control-"), "{head}");
}
