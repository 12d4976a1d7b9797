//! Addresses and methods, and the format of refusals.

use http::{Method, StatusCode, header};

use super::{FORM, Rig, browsing, get, post};

#[tokio::test]
async fn the_root_redirects_to_the_form_with_exactly_302() {
    for path in ["/admin", "/admin/", "/"] {
        for method in [Method::GET, Method::HEAD] {
            let mut request = get(path);
            *request.method_mut() = method.clone();
            let answer = Rig::new().ask(request).await;
            assert_eq!(answer.status, StatusCode::FOUND, "{method} {path}");
            let location = answer.header(header::LOCATION);
            assert_eq!(location, "/admin/broadcast/", "{method} {path}");
        }
    }
}

#[tokio::test]
async fn an_unknown_address_is_not_found_in_the_format_of_the_caller() {
    for path in [
        "/nowhere",
        "/admin/nowhere",
        "/admin/static/",
        "/socket.io/",
        "/demo/",
        "/demo",
    ] {
        let answer = Rig::new().get(path).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{path}");
        let expected = r#"{"success":false,"error":"there is nothing at this address; "#;
        assert!(answer.body.starts_with(expected), "{path}: {}", answer.body);
        let answer = Rig::new().ask(browsing(get(path))).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{path}");
        assert_eq!(answer.title(), "Not Found - CLA presence", "{path}");
        let expected = "<p>There is nothing at this address; this listener has ";
        assert!(answer.html().contains(expected), "{path}: {}", answer.body);
    }
}

#[tokio::test]
async fn a_wrong_method_is_answered_with_the_right_ones() {
    for (method, path, allowed) in [
        (Method::POST, "/admin", "GET,HEAD"),
        (Method::DELETE, "/admin/broadcast/", "GET,HEAD,POST"),
        (Method::OPTIONS, "/admin/broadcast", "GET,HEAD,POST"),
        (Method::POST, "/admin/peopleMap/", "GET,HEAD"),
        (Method::GET, "/admin/notifications/", "POST"),
        (Method::PUT, "/admin/notifications", "POST"),
        (Method::POST, "/healthz", "GET,HEAD"),
        (Method::POST, "/admin/static/admin.css", "GET,HEAD"),
    ] {
        let mut request = get(path);
        *request.method_mut() = method.clone();
        let answer = Rig::new().ask(request).await;
        let row = format!("{method} {path}");
        assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED, "{row}");
        assert_eq!(answer.header(header::ALLOW), allowed, "{row}");
        let expected = format!(
            "this address does not take that method; it takes {}",
            allowed.replace(',', ", ")
        );
        assert_eq!(answer.json()["error"], expected, "{row}");
    }
    let answer = Rig::new()
        .ask(browsing(post("/admin/peopleMap/", FORM, "")))
        .await;
    assert_eq!(answer.header(header::ALLOW), "GET,HEAD");
    assert!(
        answer
            .html()
            .contains("This address does not take that method; it takes GET, HEAD.")
    );
}

#[tokio::test]
async fn notifications_are_refused_in_json_even_to_a_browser() {
    for path in ["/admin/notifications", "/admin/notifications/"] {
        let answer = Rig::new().ask(browsing(get(path))).await;
        assert_eq!(answer.json()["success"], false, "{path}");
    }
}

#[tokio::test]
async fn the_stylesheet_and_the_script_have_their_media_types() {
    for (path, media_type) in [
        ("/admin/static/admin.css", "text/css; charset=utf-8"),
        ("/admin/static/admin.js", "text/javascript; charset=utf-8"),
    ] {
        let answer = Rig::new().get(path).await;
        assert_eq!(answer.status, StatusCode::OK, "{path}");
        assert_eq!(answer.header(header::CONTENT_TYPE), media_type, "{path}");
        assert!(!answer.body.is_empty(), "{path}");
    }
}
