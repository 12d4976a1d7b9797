//! The admin app with the real hub, which sends to a recorder.

mod broadcast;
mod broadcast_page;
mod demo;
mod guard;
mod health;
mod negotiation;
mod notifications;
mod people;
mod places;
mod refusals;

use std::{
    fmt::Display,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use axum::{Router, body::Body};
use http::{HeaderMap, Request, StatusCode, header};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tokio::sync::watch;
use tower::ServiceExt;

use super::{Admin, Demo, router};
use crate::{
    config::{Config, Settings},
    hub::{Delivery, HubHandle, Recorder, registry},
    lifecycle::Phase,
    net::Peer,
    presence::{
        AppVersion, Audience, Browser, CaseRef, Census, Change, ConnectionId, ConnectionView,
        Ending, Event, Identity, LossView, Message, Moment, Person, Rank, Registry, UserType,
        Username,
    },
    stats::{Counters, EdgeGauges, GaugeProbe, OpenMetrics, Sources},
};

const FORM: &str = "application/x-www-form-urlencoded";
const JSON: &str = "application/json";
const BROADCAST: &str = "/admin/broadcast/";
const NOTIFICATIONS: &str = "/admin/notifications/";
const END_PLACE: &str = "/admin/places/end/";
const PEOPLE_MAP: &str = "/admin/peopleMap/";
const BODY_LIMIT: usize = 4096;
const REQUEST_TIMEOUT: Duration = Duration::from_secs(20);

/// A connection of Ben, see [`Rig::peopled`].
const BEN1: &str = "BEN1aaaaaaaaaaaa";

/// The id of a connection that is lost.
const LOST: &str = "LOSTaaaaaaaaaaaa";

/// The time since the loss of that connection.
const LOST_FOR: Duration = Duration::from_millis(4200);

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

/// An answer, and the messages that were sent meanwhile.
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

    /// Ben, who identified first, has two connections, and Adam has one.
    fn peopled() -> Self {
        let case = Some("AB-1234-5678");
        let ben = person("ben", [(BEN1, case), ("BEN2aaaaaaaaaaaa", None)]);
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
        let recorder = Recorder::answering(self.delivery);
        let (handle, hub, inbox) = recorder.hub(self.registry());
        if self.people.iter().any(is_lost) {
            tokio::time::advance(LOST_FOR).await;
        }
        request.extensions_mut().insert(Peer(self.peer));
        let app = self.app(handle.clone());
        let (response, posted) = match self.hub {
            Hub::Well => {
                let asked = async {
                    // The hub ends with the last handle.
                    let (_, mut changes) = handle.snapshot().await.unwrap();
                    drop(handle);
                    let response = app.oneshot(request).await;
                    let mut posted = Vec::new();
                    while let Ok(change) = changes.try_recv() {
                        posted.extend(audience(change));
                    }
                    (response, posted)
                };
                tokio::join!(asked, hub.run(inbox)).0
            }
            Hub::Stopped => {
                drop((hub, inbox));
                (app.oneshot(request).await, Vec::new())
            }
            Hub::Stuck => {
                let response = app.oneshot(request).await;
                drop((hub, inbox));
                (response, Vec::new())
            }
        };
        let (parts, body) = response.unwrap().into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        let messages = recorder.take().into_iter().map(|(_, message)| message);
        Answer {
            status: parts.status,
            headers: parts.headers,
            body: String::from_utf8(bytes.to_vec()).unwrap(),
            sent: posted.into_iter().zip(messages).collect(),
        }
    }

    fn app(&self, hub: HubHandle) -> Router {
        let sources = Sources {
            census: watch::channel(Census::default()).1,
            counters: self.counters.clone(),
            gauges: GaugeProbe(Arc::new(EdgeGauges::default)),
        };
        router(Admin {
            hub,
            settings: Settings::new(config()),
            machine: "ip-10-0-1-5".to_owned(),
            metrics: OpenMetrics::new(sources, 1),
            counters: self.counters.clone(),
            phase: watch::channel(self.phase).1,
            demo: self.demo.map(Demo::new),
        })
    }

    /// A registry with the people of this test.
    fn registry(&self) -> Registry {
        let mut registry = registry();
        let connections = self.people.iter().flat_map(|person| &person.connections);
        let events = connections.flat_map(|(conn, connection)| arrival(*conn, connection));
        let losses = self.people.iter().filter(|person| is_lost(person));
        let losses = losses.map(|_| Event::Ended {
            conn: connection(LOST),
            ending: Ending::Lost {
                silence: Duration::ZERO,
            },
        });
        for event in events.chain(losses) {
            let _ = registry.apply(event, Moment::ZERO);
        }
        registry
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

    /// The body, after asserting that it is a page.
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

/// Asserts that a request was refused in JSON with an error that has all of `words` (separated by ` | `), and that nothing was
/// sent. `request` names the request.
///
/// A refusal has the members `success` and `error` and no other. Without `success`, `cla_backend` would not count the try and
/// would try for ever.
fn assert_refused(answer: &Answer, status: u16, words: &str, request: impl Display) {
    let answered = answer.json();
    let error = answered["error"].as_str().unwrap();
    let refusal = json!({"success": false, "error": error});
    assert_eq!(answered, refusal, "{request}");
    assert_eq!(answer.status.as_u16(), status, "{request}: {error}");
    for word in words.split(" | ") {
        assert!(error.contains(word), "{request}: {word:?} in {error:?}");
    }
    assert!(!error.contains("struct "), "{request}: {error}");
    assert!(answer.sent.is_empty(), "{request}: {error}");
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

/// The events that lead to a connection like this.
fn arrival(conn: ConnectionId, connection: &ConnectionView) -> impl Iterator<Item = Event> {
    let identified = Event::Identified {
        conn,
        identity: connection.identity.clone(),
        browser: Browser {
            address: Ipv4Addr::LOCALHOST.into(),
            agent: None,
        },
        page: None,
    };
    let case = connection.case.clone();
    let opened = case.map(|case| Event::CaseOpened { conn, case });
    [identified].into_iter().chain(opened)
}

fn is_lost(person: &Person) -> bool {
    let mut connections = person.connections.iter();
    connections.any(|(_, connection)| connection.lost.is_some())
}

fn audience(change: Change) -> Option<Audience> {
    if let Change::Posted { to, .. } = change {
        Some(to)
    } else {
        None
    }
}

/// The same request, with `media_type` in `Accept`.
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
        let lost = (id == LOST).then_some(LossView {
            since: LOST_FOR,
            left: Duration::from_millis(10_800),
        });
        (
            connection(id),
            ConnectionView {
                identity,
                case,
                lost,
            },
        )
    });
    Person {
        rank: Rank(0),
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
