//! The demonstration page.

use http::{StatusCode, header};

use super::{Answer, Rig, browsing, get};

const POLICY: &str = "content-security-policy";

#[tokio::test]
async fn the_demonstration_may_connect_to_the_public_listener_and_nowhere_else() {
    for (public, socket, source) in [
        (
            "127.0.0.1:8005",
            "ws://127.0.0.1:8005",
            "ws://127.0.0.1:8005",
        ),
        ("0.0.0.0:9", "ws://127.0.0.1:9", "ws://127.0.0.1:9"),
        ("[::]:9", "ws://[::1]:9", "ws:"),
        ("[::1]:8005", "ws://[::1]:8005", "ws:"),
    ] {
        let answer = demo(public, "/demo/").await;
        assert_eq!(answer.status, StatusCode::OK, "{public}");
        let field = format!(r#"data-socket="{socket}""#);
        assert!(answer.html().contains(&field), "{public}: {}", answer.body);
        let policy = answer.header(POLICY);
        assert!(
            policy.starts_with("default-src 'none'; style-src 'self'; "),
            "{public}: {policy}"
        );
        assert!(
            policy.ends_with(&format!("; connect-src {source}")),
            "{public}: {policy}"
        );
    }
}

#[tokio::test]
async fn other_pages_may_not_connect_in_a_demonstration_either() {
    let answer = demo("127.0.0.1:8005", "/admin/broadcast/").await;
    assert!(!answer.header(POLICY).contains("connect-src"));
}

#[tokio::test]
async fn the_root_of_a_demonstration_redirects_to_it() {
    for path in ["/", "/demo"] {
        let answer = demo("127.0.0.1:8005", path).await;
        assert_eq!(answer.status, StatusCode::FOUND, "{path}");
        assert_eq!(answer.header(header::LOCATION), "/demo/", "{path}");
    }
    let answer = demo("127.0.0.1:8005", "/admin/").await;
    assert_eq!(answer.header(header::LOCATION), "/admin/broadcast/");
}

#[tokio::test]
async fn the_page_has_a_script_of_its_own() {
    let answer = demo("127.0.0.1:8005", "/demo/demo.js").await;
    assert_eq!(
        answer.header(header::CONTENT_TYPE),
        "text/javascript; charset=utf-8"
    );
    assert!(
        answer
            .body
            .contains("/socket.io/?EIO=4&transport=websocket")
    );
}

async fn demo(public: &str, path: &str) -> Answer {
    let rig = Rig {
        demo: Some(public.parse().unwrap()),
        ..Rig::new()
    };
    rig.ask(browsing(get(path))).await
}
