//! Requests to the admin app: each is answered correctly, and an ambiguous one sends no message.
//!
//! An input is a request: a line with method and path, one with the type of the body, one with the accepted types, and the
//! body. `@OPERATOR@` and `@PROVIDER@` stand for the ids of the two connections.
#![no_main]

use std::sync::{LazyLock, Mutex, PoisonError};

use cla_socketserver_fuzz::{
    bystanders::Bystander,
    daemon::daemon,
    http::{Answer, Client},
    markup,
};
use libfuzzer_sys::{Corpus, fuzz_target};
use serde_json::{Value, json};

/// Names that would break a page without escaping.
const OPERATOR: &str = "<b>\"o'&amp;\u{202e}";
const PROVIDER: &str = "--><script>alert(1)</script>";

/// Methods of a request. CONNECT is left out, because the connection would no longer be HTTP.
const METHODS: [&str; 6] = ["POST", "GET", "HEAD", "PUT", "DELETE", "OPTIONS"];

/// Start of an HTTP/2 connection. If it follows an unreadable request, hyper closes the connection without an answer.
const HTTP_2: &str = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A client of the admin app, and two browsers that may receive messages.
struct Office {
    staff: Client,
    listeners: [Bystander; 2],
    round: u64,
}

/// The request of an input.
struct Request<'input> {
    bytes: Vec<u8>,
    path: &'input str,
    body: String,
}

static OFFICE: LazyLock<Mutex<Office>> = LazyLock::new(|| {
    let listeners = [(OPERATOR, "operator", 3), (PROVIDER, "provider", 4)];
    Mutex::new(Office {
        staff: Client::new(daemon().admin),
        listeners: listeners.map(|(name, kind, version)| Bystander::arrive(version, name, kind)),
        round: 0,
    })
});

fuzz_target!(|input: &[u8]| -> Corpus {
    let mut office = OFFICE.lock().unwrap_or_else(PoisonError::into_inner);
    let input = String::from_utf8_lossy(input);
    let Some(request) = office.request(&input) else {
        return Corpus::Reject;
    };
    let answer = office.staff.ask(&request.bytes);
    is_valid(&answer, input.starts_with("HEAD "));
    let received = office.received();
    assert_eq!(
        reached(&answer),
        received.len(),
        "{answer:?}, received: {received:?}"
    );
    if received.iter().any(|(event, _)| event == "systemMessage") {
        is_unambiguous(&request.body);
    }
    if request.path.starts_with("/admin/notifications")
        && let Ok(posted) = serde_json::from_str::<Value>(&request.body)
    {
        // The request may have been a form whose text happens to be JSON.
        for (event, payload) in received.iter().filter(|_| posted.is_object()) {
            assert_eq!(
                (event.as_str(), payload),
                ("notification", &posted["notifications"])
            );
        }
    }
    Corpus::Keep
});

impl Office {
    fn request<'input>(&self, input: &'input str) -> Option<Request<'input>> {
        let mut lines = input.splitn(4, '\n');
        let (method, path) = lines.next()?.split_once(' ')?;
        let [kind, accept] = [lines.next()?, lines.next()?];
        let visible = |text: &str| text.bytes().all(|byte| (0x20..0x7f).contains(&byte));
        let sound = METHODS.contains(&method) && [path, kind, accept].into_iter().all(visible);
        let body = lines.next().unwrap_or_default();
        if !sound || path.contains(' ') || body.starts_with(HTTP_2) {
            return None;
        }
        let [operator, provider] = &self.listeners;
        let body = body
            .replace("@OPERATOR@", &operator.id)
            .replace("@PROVIDER@", &provider.id);
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {kind}\r\nAccept: {accept}\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        Some(Request {
            bytes: [head.as_bytes(), body.as_bytes()].concat(),
            path,
            body,
        })
    }

    /// Events that both browsers have received since the last call.
    fn received(&mut self) -> Vec<(String, Value)> {
        self.round += 1;
        let mut received = Vec::new();
        for listener in &self.listeners {
            // Events sent before the list of this case arrive before it. No other user is on the case.
            let case = format!("round {} of {}", self.round, listener.id);
            listener.emit("startViewingCase", &json!(case));
        }
        for listener in &self.listeners {
            loop {
                let (event, payload) = listener.next();
                if event == "peopleViewing" {
                    break;
                }
                received.push((event, payload));
            }
        }
        received
    }
}

/// Checks that a body that sent a message names the message and exactly one audience.
fn is_unambiguous(body: &str) {
    // A byte order mark is not part of the body.
    let body = body.strip_prefix('\u{feff}').unwrap_or(body);
    let json = serde_json::from_str::<Value>(body)
        .ok()
        .filter(Value::is_object);
    let said = json.unwrap_or_else(|| {
        let fields = body.split('&').filter_map(|field| field.split_once('='));
        fields
            .map(|(name, value)| (unescaped(name), json!(unescaped(value))))
            .collect()
    });
    let pressed = |button: &str| said[button] == true || said[button] == "true";
    assert_eq!(said["msg"], "1", "{body}");
    assert!(
        pressed("allClients") != pressed("selectedClients"),
        "{body}"
    );
}

/// A name or a value of a form, as it was meant.
fn unescaped(text: &str) -> String {
    let mut parts = text.split('%');
    let mut bytes = parts
        .next()
        .unwrap_or_default()
        .replace('+', " ")
        .into_bytes();
    for part in parts {
        let code = part
            .get(..2)
            .and_then(|code| u8::from_str_radix(code, 16).ok());
        bytes.push(code.unwrap_or(b'%'));
        let rest = if code.is_some() { &part[2..] } else { part };
        bytes.extend(rest.replace('+', " ").bytes());
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn is_valid(answer: &Answer, bodiless: bool) {
    assert!(answer.status < 500, "{answer:?}");
    let text = str::from_utf8(&answer.body).expect("text");
    match answer.media_type.as_str() {
        _ if bodiless => assert_eq!(text, ""),
        "application/json" => assert!(serde_json::from_str::<Value>(text).is_ok(), "{text}"),
        "text/html" => markup::is_ours(text),
        "text/css" | "text/javascript" | "text/plain" | "application/openmetrics-text" => {}
        // A redirect, or a refusal of the HTTP server.
        "" => assert!(
            matches!(answer.status, 302 | 400..500) && text.is_empty(),
            "{answer:?}"
        ),
        other => panic!("an answer of type {other}"),
    }
}

/// Number of connections that a message has reached, according to the answer.
fn reached(answer: &Answer) -> usize {
    let text = String::from_utf8_lossy(&answer.body);
    match answer.media_type.as_str() {
        "application/json" => {
            let answer: Value = serde_json::from_str(&text).unwrap_or_default();
            answer["reached"]
                .as_u64()
                .map_or(0, |reached| reached as usize)
        }
        "text/html" => {
            let sent = text
                .split_once("<p>Sent to ")
                .and_then(|(_, rest)| rest.split_once(' '));
            sent.map_or(0, |(count, _)| {
                count.parse().expect("a number of connections")
            })
        }
        _ => 0,
    }
}
