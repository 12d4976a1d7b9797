//! The floor: a bare tokio-tungstenite server that sends the same bytes as the daemon with as little work as possible.
//!
//! `tests/load/compare` compares the daemon with it. It supports websockets only, and has no merging, limits, origin check,
//! time-outs or heartbeats: the additional cost of the daemon is the price of these.
//! Allocator and buffers have the defaults, except one: tungstenite fills its read buffer with zeros before every read, and
//! with the default of 128 KiB a list cost twice as much here. The buffer has the 4 KiB that tungstenite recommends for many
//! connections.
#![expect(
    clippy::disallowed_methods,
    reason = "the daemon's rules about tasks and channels are part of the cost that the floor leaves out"
)]

use std::{
    collections::{BTreeMap, HashMap},
    mem,
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use axum::{Router, extract::State, response::IntoResponse, routing::post};
use futures_util::{SinkExt, StreamExt};
use http::{StatusCode, header::CONTENT_TYPE};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde::Deserialize;
use serde_json::{Value, value::RawValue};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio_tungstenite::tungstenite::{
    Error, Message, Utf8Bytes,
    handshake::server::{Request, Response},
    protocol::WebSocketConfig,
};
use tokio_tungstenite::{WebSocketStream, accept_hdr_async_with_config};

type Socket = WebSocketStream<TcpStream>;
type Out = UnboundedSender<Utf8Bytes>;
type Shared = Arc<Mutex<Presence>>;

/// A connection: its outgoing queue, its user and its case.
struct Connection {
    id: u64,
    out: Out,
    identity: Option<Identity>,
    case: Option<String>,
}

struct Identity {
    /// The name as JSON text.
    username: Arc<str>,
    usertype: String,
    /// Position of the user in the order of identify.
    rank: u64,
}

/// All users, and the viewers of each case.
#[derive(Default)]
struct Presence {
    /// Rank and number of connections of each user.
    users: HashMap<Arc<str>, (u64, usize)>,
    types: HashMap<String, HashMap<u64, Out>>,
    cases: HashMap<String, Viewers>,
    next_rank: u64,
}

/// Viewers by rank and connection id, which is the order of the list. Connections of one user are adjacent.
type Viewers = BTreeMap<(u64, u64), (Arc<str>, Out)>;

#[derive(Deserialize)]
struct Notification<'text> {
    #[serde(borrow)]
    notifications: &'text RawValue,
    usertype: String,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    // The other servers raise the limit too.
    let maximum = getrlimit(Resource::Nofile).maximum;
    let current = maximum;
    setrlimit(Resource::Nofile, Rlimit { current, maximum })?;
    let presence = Shared::default();
    let (public, admin) = (listen("public")?, listen("admin")?);
    let routes = Router::new().route("/admin/notifications/", post(notify));
    let routes = routes.with_state(presence.clone());
    tokio::spawn(async { axum::serve(admin, routes).await });
    // In a task, because the main thread is not one of the worker threads, on which the connections run.
    tokio::spawn(accept(public, presence)).await?
}

fn listen(name: &str) -> anyhow::Result<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
    let listener = socket.listen(4096)?;
    eprintln!("{name}: listening on {}", listener.local_addr()?);
    Ok(listener)
}

async fn accept(listener: TcpListener, presence: Shared) -> anyhow::Result<()> {
    loop {
        let (stream, _) = listener.accept().await?;
        let presence = presence.clone();
        tokio::spawn(async move { serve(stream, &presence).await });
    }
}

#[expect(
    clippy::result_large_err,
    reason = "tungstenite defines the type of a refusal; this server never refuses"
)]
async fn serve(stream: TcpStream, presence: &Mutex<Presence>) -> Result<(), Error> {
    static NEXT_ID: AtomicU64 = AtomicU64::new(0);
    stream.set_nodelay(true)?;
    let mut is_v3 = false;
    let config = WebSocketConfig::default().read_buffer_size(4096);
    let see_version = |request: &Request, response: Response| {
        let query = request.uri().query().unwrap_or_default();
        is_v3 = query.contains("EIO=3");
        Ok(response)
    };
    let mut socket = accept_hdr_async_with_config(stream, see_version, Some(config)).await?;
    let id = NEXT_ID.fetch_add(1, Relaxed);
    let (out, inbox) = unbounded_channel();
    let mut connection = Connection {
        id,
        out,
        identity: None,
        case: None,
    };
    let open = r#""upgrades":[],"pingInterval":25000,"pingTimeout":45000,"maxPayload":16384"#;
    let open = format!(r#"0{{"sid":"{id:016x}",{open}}}"#);
    socket.feed(open.into()).await?;
    let welcome = if is_v3 {
        socket.feed("40".into()).await?;
        "40/socket.io,".into()
    } else {
        format!(r#"40/socket.io,{{"sid":"{id:016x}"}}"#).into()
    };
    socket.flush().await?;
    let ended = converse(&mut socket, inbox, &mut connection, welcome, presence).await;
    lock(presence).leave(&mut connection);
    ended
}

/// Reads the frames of a connection and writes its outgoing queue, until it ends.
async fn converse(
    socket: &mut Socket,
    mut inbox: UnboundedReceiver<Utf8Bytes>,
    connection: &mut Connection,
    welcome: Utf8Bytes,
    presence: &Mutex<Presence>,
) -> Result<(), Error> {
    loop {
        tokio::select! {
            biased;
            frame = socket.next() => match frame.transpose()? {
                Some(Message::Text(text)) => match text.as_str() {
                    "2" => socket.send("3".into()).await?,
                    text if text.starts_with("40/") => socket.send(Message::Text(welcome.clone())).await?,
                    text if text.starts_with("41/") => return Ok(()),
                    text => handle(text, connection, presence),
                },
                Some(_) => {}
                None => return Ok(()),
            },
            Some(text) = inbox.recv() => {
                socket.feed(Message::Text(text)).await?;
                while let Ok(text) = inbox.try_recv() {
                    socket.feed(Message::Text(text)).await?;
                }
                socket.flush().await?;
            }
        }
    }
}

/// Handles an event. Other text is ignored.
fn handle(text: &str, connection: &mut Connection, presence: &Mutex<Presence>) {
    let json = text.strip_prefix("42/socket.io,").unwrap_or_default();
    match serde_json::from_str(json) {
        Ok(("identify", said)) => lock(presence).identify(connection, &said),
        Ok(("startViewingCase", Value::String(case))) => {
            lock(presence).view(connection, Some(case));
        }
        Ok(("stopViewingCase", Value::String(_))) => lock(presence).view(connection, None),
        Ok(_) | Err(_) => {}
    }
}

impl Presence {
    fn identify(&mut self, connection: &mut Connection, said: &Value) {
        let username = said.get("username").unwrap_or(said);
        if !username.is_string() {
            return;
        }
        let username: Arc<str> = username.to_string().into();
        if connection
            .identity
            .as_ref()
            .is_some_and(|known| known.username == username)
        {
            return;
        }
        let case = connection.case.take();
        if let (Some(case), Some(known)) = (&case, &connection.identity)
            && let Some(viewers) = self.cases.get_mut(case)
        {
            viewers.remove(&(known.rank, connection.id));
        }
        self.leave(connection);
        let newcomer = (self.next_rank, 0);
        self.next_rank += 1;
        let (rank, tabs) = self.users.entry(username.clone()).or_insert(newcomer);
        *tabs += 1;
        let usertype = said.get("usertype").and_then(Value::as_str);
        let usertype = usertype.unwrap_or("unknown").to_owned();
        let alike = self.types.entry(usertype.clone()).or_default();
        alike.insert(connection.id, connection.out.clone());
        let rank = *rank;
        connection.identity = Some(Identity {
            username,
            usertype,
            rank,
        });
        self.view(connection, case);
    }

    /// Makes a connection leave its case and view another one, or none.
    fn view(&mut self, connection: &mut Connection, case: Option<String>) {
        let Some(identity) = &connection.identity else {
            return;
        };
        let place = (identity.rank, connection.id);
        let left = mem::replace(&mut connection.case, case);
        if let Some(left) = left.filter(|left| connection.case.as_ref() != Some(left))
            && let Some(viewers) = self.cases.get_mut(&left)
        {
            viewers.remove(&place);
            announce(viewers);
            if viewers.is_empty() {
                self.cases.remove(&left);
            }
        }
        if let Some(case) = &connection.case {
            let viewers = self.cases.entry(case.clone()).or_default();
            viewers.insert(place, (identity.username.clone(), connection.out.clone()));
            announce(viewers);
        }
    }

    fn leave(&mut self, connection: &mut Connection) {
        self.view(connection, None);
        let Some(Identity {
            username, usertype, ..
        }) = connection.identity.take()
        else {
            return;
        };
        if let Some(alike) = self.types.get_mut(&usertype) {
            alike.remove(&connection.id);
        }
        if let Some((_, tabs)) = self.users.get_mut(&username) {
            *tabs -= 1;
            if *tabs == 0 {
                self.users.remove(&username);
            }
        }
    }
}

/// Sends the list of a case to all its viewers.
fn announce(viewers: &Viewers) {
    let mut text = String::from(r#"42/socket.io,["peopleViewing",["#);
    let mut listed = None;
    for ((rank, _), (username, _)) in viewers {
        if listed == Some(rank) {
            continue;
        }
        if listed.replace(rank).is_some() {
            text.push(',');
        }
        text.push_str(username);
    }
    text.push_str("]]");
    send(viewers.values().map(|(_, out)| out), text);
}

async fn notify(State(presence): State<Shared>, body: String) -> impl IntoResponse {
    let json = [(CONTENT_TYPE, "application/json")];
    let Ok(posted) = serde_json::from_str::<Notification>(&body) else {
        return (StatusCode::BAD_REQUEST, json, r#"{"success":false}"#);
    };
    let text = format!(r#"42/socket.io,["notification",{}]"#, posted.notifications);
    let alike = lock(&presence);
    let alike = alike.types.get(&posted.usertype).into_iter().flatten();
    send(alike.map(|(_, out)| out), text);
    (StatusCode::OK, json, r#"{"success":true}"#)
}

/// Sends one text to many connections.
fn send<'a>(outs: impl Iterator<Item = &'a Out>, text: String) {
    let text = Utf8Bytes::from(text);
    for out in outs {
        // An error means that the connection is ending. Its task removes it.
        let _ = out.send(text.clone());
    }
}

fn lock(presence: &Mutex<Presence>) -> MutexGuard<'_, Presence> {
    presence.lock().unwrap_or_else(PoisonError::into_inner)
}
