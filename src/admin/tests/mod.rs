//! The admin app against a hub that only takes notes.

mod broadcast;
mod demo;
mod guard;
mod health;
mod negotiation;
mod notifications;
mod people;
mod places;
mod refusals;

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use axum::body::Body;
use http::{HeaderMap, Request, StatusCode, header};
use http_body_util::BodyExt;
use serde_json::Value;
use tokio::sync::watch;
use tower::ServiceExt;

use super::{Admin, Demo, router};
use crate::{
    config::{Config, Settings},
    lifecycle::{Peer, Phase},
    presence::{
        AppVersion, Audience, CaseRef, Census, Connection, ConnectionId, Identity, Lost, Message,
        Person, UserType, Username,
    },
    realtime::{Delivery, inbox},
    stats::{Counters, Page, Pulse, Sources, Vitals},
};

const FORM: &str = "application/x-www-form-urlencoded";
const JSON: &str = "application/json";
const BODY_LIMIT: usize = 4096;
const REQUEST_TIMEOUT: Duration = Duration::from_secs(20);

/// The id of a connection that is lost.
const LOST: &str = "LOSTaaaaaaaaaaaa";

/// An admin app with the people and settings of one test.
struct Rig {
    people: Vec<Person>,
    delivery: Delivery,
    phase: Phase,
    hub: Hub,
    demo: Option<SocketAddr>,
    peer: IpAddr,
    counters: Counters,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Hub {
    Well,
    Stopped,
    Stuck,
}

fn config() -> Config {
    let mut config = Config::default();
    config.admin.hostnames = vec!["admin.example.org".to_owned(), "Tunnel".to_owned()];
    config.limits.admin_body_bytes = BODY_LIMIT;
    config.limits.request_timeout = REQUEST_TIMEOUT;
    config
}

/// An answer, and what the hub was asked to send meanwhile.
#[derive(Debug)]
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: String,
    sent: Vec<(Audience, Message)>,
}

impl Rig {
    fn new() -> Self {
        Self {
            people: Vec::new(),
            delivery: Delivery::default(),
            phase: Phase::Ready,
            hub: Hub::Well,
            demo: None,
            peer: Ipv4Addr::LOCALHOST.into(),
            counters: Counters::default(),
        }
    }

    /// Ben, who identified first, on two connections; and Adam on one.
    fn peopled() -> Self {
        let case = Some("AB-1234-5678");
        let ben = person(
            "ben",
            [("BEN1aaaaaaaaaaaa", case), ("BEN2aaaaaaaaaaaa", None)],
        );
        let adam = person("adam", [("ADAMaaaaaaaaaaaa", case)]);
        Self {
            people: vec![ben, adam],
            delivery: Delivery {
                reached: 3,
                kept: 0,
            },
            ..Self::new()
        }
    }

    async fn ask(self, mut request: Request<Body>) -> Answer {
        let (hub, requests) = inbox::channel(8);
        let sources = Sources {
            census: watch::channel(Census::default()).1,
            counters: self.counters.clone(),
            pulse: Pulse(Arc::new(Vitals::default)),
        };
        request.extensions_mut().insert(Peer(self.peer));
        let (_phase, phase) = watch::channel(self.phase);
        let app = router(Admin {
            hub,
            settings: Settings::new(config()),
            machine: "ip-10-0-1-5".to_owned(),
            metrics: Page::new(sources, 1),
            counters: self.counters.clone(),
            phase,
            demo: self.demo.map(Demo::new),
        });
        // The app holds the only handles, so the hub ends with it.
        let (response, sent) = tokio::join!(app.oneshot(request), self.serve(requests));
        let (parts, body) = response.unwrap().into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        Answer {
            status: parts.status,
            headers: parts.headers,
            body: String::from_utf8(bytes.to_vec()).unwrap(),
            sent,
        }
    }

    async fn serve(&self, mut requests: inbox::Inbox) -> Vec<(Audience, Message)> {
        let (mut sent, mut unanswered) = (Vec::new(), Vec::new());
        if self.hub == Hub::Stopped {
            return sent;
        }
        while let Some(request) = requests.recv().await {
            if self.hub == Hub::Stuck {
                unanswered.push(request);
                continue;
            }
            match request {
                inbox::Request::People(_, people) => {
                    let all = self.people.iter().cloned().zip(0..);
                    let all = all.map(|(person, rank)| Person { rank, ..person });
                    people.send((all.collect(), None)).unwrap();
                }
                inbox::Request::Ping(answer) => answer.send(()).unwrap(),
                inbox::Request::Post {
                    to,
                    message,
                    delivery,
                } => {
                    sent.push((to, message));
                    delivery.send(self.delivery).unwrap();
                }
                inbox::Request::Dismiss { conn, dismissed } => {
                    dismissed.send(conn == connection(LOST)).unwrap();
                }
                other @ (inbox::Request::Frame { .. }
                | inbox::Request::Ended { .. }
                | inbox::Request::Snapshot(_)
                | inbox::Request::Drain(_)
                | inbox::Request::Reload(_)
                | inbox::Request::Finish(_)) => panic!("no business of the admin app: {other:?}"),
            }
        }
        sent
    }

    async fn get(self, path: &str) -> Answer {
        self.ask(get(path)).await
    }

    async fn post(self, path: &str, media_type: &str, body: &str) -> Answer {
        self.ask(post(path, media_type, body)).await
    }
}

impl Answer {
    fn header(&self, name: impl header::AsHeaderName) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    fn json(&self) -> Value {
        assert_eq!(self.header(header::CONTENT_TYPE), JSON, "{}", self.body);
        serde_json::from_str(&self.body).unwrap()
    }

    /// The page, once it has been made sure that it is one.
    fn html(&self) -> &str {
        assert_eq!(
            self.header(header::CONTENT_TYPE),
            "text/html; charset=utf-8"
        );
        assert!(self.body.starts_with("<!DOCTYPE html>"), "{}", self.body);
        &self.body
    }

    fn title(&self) -> &str {
        let (_, rest) = self.html().split_once("<title>").unwrap();
        rest.split_once("</title>").unwrap().0
    }
}

fn get(path: &str) -> Request<Body> {
    with(Request::get(path), "")
}

fn post(path: &str, media_type: &str, body: &str) -> Request<Body> {
    with(
        Request::post(path).header(header::CONTENT_TYPE, media_type),
        body,
    )
}

fn with(builder: http::request::Builder, body: &str) -> Request<Body> {
    let builder = builder.header(header::HOST, "127.0.0.1:8006");
    builder.body(Body::from(body.to_owned())).unwrap()
}

/// The same request by somebody who reads `media_type`.
fn accepting(media_type: &str, mut request: Request<Body>) -> Request<Body> {
    let value = media_type.parse().unwrap();
    request.headers_mut().insert(header::ACCEPT, value);
    request
}

/// The same request as a browser sends it.
fn browsing(request: Request<Body>) -> Request<Body> {
    accepting("text/html,application/xhtml+xml;q=0.9,*/*;q=0.8", request)
}

fn person<const N: usize>(name: &str, connections: [(&str, Option<&str>); N]) -> Person {
    let identity = Identity {
        username: name.try_into().unwrap(),
        user_type: "operator".try_into().unwrap(),
        app_version: "1.0".try_into().unwrap(),
    };
    let connections = connections.map(|(id, case)| {
        let case = case.map(|case| CaseRef::try_from(case).unwrap());
        let identity = identity.clone();
        let lost = (id == LOST).then_some(Lost {
            since: Duration::from_millis(4200),
            left: Duration::from_millis(10_800),
        });
        (
            connection(id),
            Connection {
                identity,
                case,
                lost,
            },
        )
    });
    Person {
        rank: 0,
        username: identity.username.clone(),
        user_type: identity.user_type.clone(),
        connections: connections.into(),
    }
}

fn connection(id: &str) -> ConnectionId {
    id.try_into().unwrap()
}

fn user(name: &str) -> Username {
    name.try_into().unwrap()
}

fn user_type(name: &str) -> UserType {
    name.try_into().unwrap()
}

fn version(name: &str) -> AppVersion {
    name.try_into().unwrap()
}
