//! The checks before every route: address, host, origin, size and time of a body, security headers.

use std::io;

use axum::body::Body;
use http::{Request, StatusCode, Uri, Version, header};

use crate::stats::Counter;

use super::{
    BODY_LIMIT, BROADCAST, FORM, JSON, NOTIFICATIONS, REQUEST_TIMEOUT, Rig, browsing, get, post,
};

#[tokio::test]
async fn every_answer_carries_the_security_headers() {
    let mut elsewhere = get("/healthz");
    elsewhere
        .headers_mut()
        .insert(header::HOST, "evil.example".parse().unwrap());
    for request in [
        get("/"),
        get("/admin"),
        get(BROADCAST),
        get("/admin/static/admin.css"),
        get("/admin/static/admin.js"),
        get("/admin/peopleMap/"),
        get("/healthz"),
        get("/readyz"),
        get("/nowhere"),
        get(NOTIFICATIONS),
        post(NOTIFICATIONS, "text/plain", ""),
        post(BROADCAST, FORM, &"x".repeat(5000)),
        from("https://evil.example", "cross-site"),
        elsewhere,
    ] {
        let uri = request.uri().clone();
        let answer = Rig::peopled().ask(request).await;
        for (name, value) in [
            (
                "content-security-policy",
                "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
            ),
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "same-origin"),
            ("cache-control", "no-store"),
            ("x-frame-options", "DENY"),
            ("cross-origin-opener-policy", "same-origin"),
            ("cross-origin-resource-policy", "same-origin"),
        ] {
            assert_eq!(answer.header(name), value, "{name} of {uri}");
        }
    }
}

#[tokio::test]
async fn only_peers_of_this_machine_and_of_private_networks_are_answered() {
    for (peer, status) in [
        ("127.0.0.1", 200),
        ("127.1.2.3", 200),
        ("::1", 200),
        ("::ffff:127.0.0.1", 200),
        ("10.1.2.3", 200),
        ("100.64.0.1", 200),
        ("100.127.255.254", 200),
        ("172.31.0.1", 200),
        ("192.168.1.1", 200),
        ("fd00::1", 200),
        ("::ffff:192.0.2.1", 403),
        ("192.0.2.1", 403),
        ("172.32.0.1", 403),
        ("100.63.255.255", 403),
        ("100.128.0.1", 403),
        ("169.254.1.1", 403),
        ("2001:db8::1", 403),
        ("fe80::1", 403),
    ] {
        let rig = Rig {
            peer: peer.parse().unwrap(),
            ..Rig::peopled()
        };
        let answer = rig.get("/admin/peopleMap/").await;
        assert_eq!(answer.status, status, "{peer}");
        if status == 403 {
            let error = &answer.body;
            assert!(error.contains("admin.allow_from"), "{peer}: {error}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn refusals_are_counted_by_their_reason() {
    let slow = Body::from_stream(futures_util::stream::pending::<Result<&str, io::Error>>());
    let mut slow = post(BROADCAST, FORM, "").map(|_| slow);
    slow.headers_mut().remove(header::CONTENT_LENGTH);
    let mut misnamed = get("/healthz");
    misnamed
        .headers_mut()
        .insert(header::HOST, "evil.example".parse().unwrap());
    for (request, peer, counter) in [
        (get("/healthz"), "192.0.2.1", Counter::AdminAddress),
        (misnamed, "127.0.0.1", Counter::AdminHost),
        (
            from("https://evil.example", "cross-site"),
            "127.0.0.1",
            Counter::AdminOrigin,
        ),
        (
            post(BROADCAST, FORM, &"x".repeat(5000)),
            "127.0.0.1",
            Counter::AdminBody,
        ),
        (slow, "127.0.0.1", Counter::AdminTimeout),
    ] {
        let rig = Rig {
            peer: peer.parse().unwrap(),
            ..Rig::peopled()
        };
        let counters = rig.counters.clone();
        let answer = rig.ask(request).await;
        assert!(answer.status.is_client_error(), "{counter:?}");
        assert_eq!(counters.total(counter), 1, "{counter:?}: {answer:?}");
    }
}

#[tokio::test]
async fn metrics_are_shown_to_programs() {
    let answer = Rig::peopled().get("/metrics").await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(
        answer.header(header::CONTENT_TYPE),
        "application/openmetrics-text; version=1.0.0; charset=utf-8"
    );
    assert!(
        answer
            .body
            .contains("cla_socketserver_people_connected 0\n")
    );
}

#[tokio::test]
async fn only_the_names_of_this_app_are_answered() {
    for (host, status) in [
        ("127.0.0.1", 200),
        ("127.0.0.1:8006", 200),
        ("10.0.1.5:8005", 200),
        ("127.0.0.1:", 200),
        ("[::1]:8006", 200),
        ("[::1]", 200),
        ("localhost", 200),
        ("LocalHost.:8006", 200),
        ("demo.localhost:8006", 200),
        ("ip-10-0-1-5:8006", 200),
        ("IP-10-0-1-5.", 200),
        ("admin.example.org", 200),
        ("ADMIN.example.org.:80", 200),
        ("tunnel:8006", 200),
        ("evil.example", 421),
        ("evil.example:8006", 421),
        ("localhost.evil.example", 421),
        ("xlocalhost", 421),
        ("admin.example.org.evil.example", 421),
        ("x.admin.example.org", 421),
        ("127.0.0.1.evil.example", 421),
        ("127.1", 421),
        ("0x7f000001", 421),
        ("localhost..", 421),
        ("::1", 400),
        ("", 400),
        (":8006", 400),
        ("localhost:http", 400),
        ("user@localhost", 400),
        ("localhost@localhost", 400),
        ("localhost,evil.example", 421),
        ("http://localhost", 400),
        ("localhost/x", 400),
        ("local host", 400),
        ("[::1", 400),
    ] {
        let answer = Rig::new().ask(to(host)).await;
        assert_eq!(answer.status.as_u16(), status, "{host:?}");
    }
}

#[tokio::test]
async fn a_refused_name_is_answered_with_the_setting_to_change() {
    let answer = Rig::new().ask(to("evil.example:8006")).await;
    assert_eq!(
        answer.json()["error"],
        "this app does not answer to the name evil.example; if it should, add the name to admin.hostnames (CLA_ADMIN__HOSTNAMES)"
    );
    let answer = Rig::new().ask(browsing(to("evil.example"))).await;
    assert!(answer.html().contains("admin.hostnames"));
}

#[tokio::test]
async fn a_target_with_a_host_overrides_the_header() {
    for (target, status) in [
        ("http://localhost:8006/healthz", 200),
        ("http://evil.example/healthz", 421),
        ("http://user@localhost/healthz", 400),
    ] {
        let mut request = get("/healthz");
        *request.uri_mut() = Uri::from_static(target);
        assert_eq!(
            Rig::new().ask(request).await.status.as_u16(),
            status,
            "{target}"
        );
    }
    let mut request = to("evil.example");
    *request.uri_mut() = Uri::from_static("http://localhost/healthz");
    assert_eq!(Rig::new().ask(request).await.status, StatusCode::OK);
}

#[tokio::test]
async fn exactly_one_host_is_needed_except_in_http_1_0() {
    let mut two = get("/healthz");
    two.headers_mut()
        .append(header::HOST, "localhost".parse().unwrap());
    assert_eq!(Rig::new().ask(two).await.status, StatusCode::BAD_REQUEST);
    for (version, status) in [(Version::HTTP_11, 400), (Version::HTTP_10, 200)] {
        let mut none = get("/healthz");
        none.headers_mut().remove(header::HOST);
        *none.version_mut() = version;
        assert_eq!(
            Rig::new().ask(none).await.status.as_u16(),
            status,
            "{version:?}"
        );
    }
}

#[tokio::test]
async fn posts_of_pages_of_other_sites_are_refused() {
    for (origin, site) in [
        ("http://127.0.0.1:8006", "cross-site"),
        ("http://127.0.0.1:8006", "same-site"),
        ("https://evil.example", ""),
        ("http://127.0.0.1:9000", ""),
        ("null", ""),
        ("https://evil.example", "cross-site"),
        ("", "cross-site"),
    ] {
        let answer = Rig::peopled().ask(from(origin, site)).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{origin} {site}");
        assert!(answer.sent.is_empty(), "{origin} {site}");
        let error = answer.json()["error"].to_string();
        let expected = "a page of another site";
        assert!(error.contains(expected), "{origin} {site}: {error}");
    }
    let answer = Rig::peopled()
        .ask(browsing(from("https://evil.example", "cross-site")))
        .await;
    assert!(answer.html().contains("a page of another site"));
}

#[tokio::test]
async fn notifications_are_guarded_against_other_sites_too() {
    let mut request = browsing(post(NOTIFICATIONS, FORM, "notifications=x"));
    let site = "cross-site".parse().unwrap();
    request.headers_mut().insert("sec-fetch-site", site);
    let answer = Rig::peopled().ask(request).await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
    assert_eq!(answer.json()["success"], false);
    assert!(answer.sent.is_empty());
}

#[tokio::test]
async fn the_form_of_this_app_and_programs_are_accepted() {
    for (origin, site) in [
        ("http://127.0.0.1:8006", "same-origin"),
        ("http://127.0.0.1:8006", ""),
        ("", "none"),
        ("", ""),
    ] {
        let answer = Rig::peopled().ask(from(origin, site)).await;
        assert_eq!(answer.status, StatusCode::OK, "{origin} {site}");
        assert_eq!(answer.sent.len(), 1, "{origin} {site}");
    }
}

#[tokio::test]
async fn the_host_is_checked_before_the_origin() {
    for (origin, site) in [
        ("http://evil.example", "same-origin"),
        ("null", "cross-site"),
    ] {
        let mut request = from(origin, site);
        let host = "evil.example".parse().unwrap();
        request.headers_mut().insert(header::HOST, host);
        let answer = Rig::peopled().ask(request).await;
        let status = answer.status;
        assert_eq!(status, StatusCode::MISDIRECTED_REQUEST, "{origin} {site}");
        assert!(answer.sent.is_empty(), "{origin} {site}");
    }
}

#[tokio::test]
async fn a_body_up_to_the_limit_is_read_and_one_byte_more_is_not() {
    for (extra, status) in [(0, 200), (1, 413)] {
        let padding = " ".repeat(BODY_LIMIT - 19 + extra);
        let body = format!(r#"{{"notifications":1}}{padding}"#);
        let answer = Rig::new().post(NOTIFICATIONS, JSON, &body).await;
        assert_eq!(answer.status.as_u16(), status, "{extra} bytes more");
    }
    let request = browsing(post(BROADCAST, FORM, &"x".repeat(BODY_LIMIT + 1)));
    let answer = Rig::new().ask(request).await;
    assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE);
    assert!(
        answer
            .html()
            .contains("The body is larger than the 4096 bytes that limits.admin_body_bytes")
    );
}

#[tokio::test(start_paused = true)]
async fn a_body_that_never_ends_is_refused_after_the_request_time_out() {
    let begun = tokio::time::Instant::now();
    let mut request = post(BROADCAST, FORM, "");
    let endless = futures_util::stream::pending::<Result<Vec<u8>, std::io::Error>>();
    *request.body_mut() = Body::from_stream(endless);
    let answer = Rig::new().ask(request).await;
    assert_eq!(answer.status, StatusCode::REQUEST_TIMEOUT);
    assert_eq!(
        answer.json()["error"],
        "the request took longer than 20 s to arrive or to carry out; it may have been carried out all the same"
    );
    assert_eq!(begun.elapsed().as_secs(), REQUEST_TIMEOUT.as_secs());
}

#[tokio::test]
async fn a_body_that_breaks_off_is_refused() {
    let mut request = post(BROADCAST, FORM, "");
    let broken = std::io::Error::from(std::io::ErrorKind::ConnectionReset);
    let pieces = [Ok(b"msg=1&allClients=true".to_vec()), Err(broken)];
    *request.body_mut() = Body::from_stream(futures_util::stream::iter(pieces));
    let answer = Rig::peopled().ask(request).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    assert!(answer.sent.is_empty());
}

fn to(host: &str) -> Request<Body> {
    let mut request = get("/healthz");
    let host = host.parse().unwrap();
    request.headers_mut().insert(header::HOST, host);
    request
}

/// A broadcast with these headers. An empty one is left out.
fn from(origin: &str, site: &str) -> Request<Body> {
    let mut request = post(BROADCAST, FORM, "msg=1&allClients=true");
    for (name, value) in [("origin", origin), ("sec-fetch-site", site)] {
        if !value.is_empty() {
            request.headers_mut().insert(name, value.parse().unwrap());
        }
    }
    request
}
