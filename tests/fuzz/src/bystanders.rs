//! Ordinary users beside the fuzzer.
//!
//! Lives here: a browser that follows the protocol, and a pair of them whom the daemon must always serve.

use std::{
    collections::BTreeSet,
    io::{BufRead, BufReader, Write},
    net::TcpStream,
    sync::{Arc, Mutex, PoisonError, mpsc},
    thread::{self, sleep},
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::{
    TIMEOUT,
    daemon::daemon,
    http::{Client, connect},
    websocket::{self, TEXT, frame},
};

/// Interval of the heartbeat of a client with Engine.IO 3.
const HEARTBEAT: Duration = Duration::from_secs(1);

/// Interval between two requests for the people map.
const POLL: Duration = Duration::from_micros(200);

/// Case of the pair between two checks. The attacker may open it too.
const OFFICE: &str = "office";

/// A browser that follows the protocol.
#[derive(Debug)]
pub struct Bystander {
    /// Id of its connection.
    pub id: String,
    /// Name of its user.
    pub name: String,
    stream: Arc<Mutex<TcpStream>>,
    received: mpsc::Receiver<(String, Value)>,
}

/// Two users, each of whom must receive the changes of the other.
#[derive(Debug)]
pub struct Pair {
    one: Bystander,
    other: Bystander,
    staff: Client,
    round: u64,
}

impl Bystander {
    /// Connects with a version of Engine.IO and identifies.
    ///
    /// # Panics
    /// When the daemon does not accept it.
    #[must_use]
    pub fn arrive(version: u8, name: &str, user_type: &str) -> Self {
        let mut stream = connect(daemon().public).expect("a public listener");
        stream.set_read_timeout(None).expect("a stream that waits");
        let writer = stream.try_clone().expect("a stream for two");
        let writer = Arc::new(Mutex::new(writer));
        send(&writer, websocket::handshake(version, "").as_bytes());
        skip_head(&mut stream);
        let open = websocket::receive(&mut stream).expect("an open packet");
        let open: Value = serde_json::from_slice(&open[1..]).expect("an open packet of JSON");
        let (events, received) = mpsc::channel();
        let bystander = Self {
            id: open["sid"].as_str().expect("a session").to_owned(),
            name: name.to_owned(),
            stream: writer.clone(),
            received,
        };
        if version == 3 {
            let writer = writer.clone();
            thread::spawn(move || {
                loop {
                    sleep(HEARTBEAT);
                    send(&writer, &frame(TEXT, b"2"));
                }
            });
        }
        thread::spawn(move || listen(stream, &writer, &events));
        send(&bystander.stream, &frame(TEXT, b"40/socket.io,"));
        bystander.receive("joined");
        bystander.identify(name, user_type);
        // The answer to this event shows that the daemon has processed identify, which fixes the order of users.
        bystander.emit(
            "startViewingCase",
            &json!(format!("case of {}", bystander.id)),
        );
        bystander.receive("peopleViewing");
        bystander
    }

    /// Sends identify.
    pub fn identify(&self, name: &str, user_type: &str) {
        let identity = json!({"username": name, "usertype": user_type, "appVersion": "1.0"});
        self.emit("identify", &identity);
    }

    /// Sends an event.
    pub fn emit(&self, event: &str, payload: &Value) {
        let text = format!("42/socket.io,{}", json!([event, payload]));
        send(&self.stream, &frame(TEXT, text.as_bytes()));
    }

    /// Payload of the next event.
    ///
    /// # Panics
    /// When the next event has another name, or none arrives.
    pub fn receive(&self, event: &str) -> Value {
        let (name, payload) = self.next();
        assert_eq!(name, event, "{}: {payload}", self.name);
        payload
    }

    /// The next event.
    ///
    /// # Panics
    /// When none arrives.
    pub fn next(&self) -> (String, Value) {
        let received = self.received.recv_timeout(TIMEOUT);
        received.unwrap_or_else(|error| panic!("{} is not served: {error}", self.name))
    }

    fn until_viewing(&self, names: &[&str]) {
        let names = json!(names);
        while self.receive("peopleViewing") != names {}
    }
}

impl Pair {
    /// Connects both users.
    #[must_use]
    pub fn new() -> Self {
        Self {
            one: Bystander::arrive(4, "one", "operator"),
            other: Bystander::arrive(3, "other", "operator"),
            staff: Client::new(daemon().admin),
            round: 0,
        }
    }

    /// Waits until the people map contains no other user.
    ///
    /// # Panics
    /// When another user remains.
    pub fn are_the_only_users(&mut self) {
        let began = Instant::now();
        let expected = BTreeSet::from([self.one.id.as_str(), self.other.id.as_str()]);
        loop {
            let answer = self
                .staff
                .ask(b"GET /admin/peopleMap/ HTTP/1.1\r\nHost: localhost\r\n\r\n");
            let people: Value = serde_json::from_slice(&answer.body).expect("people");
            let people = people.as_object().expect("a map").values();
            let connections = people.filter_map(|person| person["connections"].as_object());
            let there: BTreeSet<_> = connections.flatten().map(|(id, _)| id.as_str()).collect();
            if there == expected {
                return;
            }
            assert!(began.elapsed() < TIMEOUT, "other users remain: {there:?}");
            sleep(POLL);
        }
    }

    /// Checks that the first user, on a case, sees the second one open and leave it.
    pub fn see_each_other(&mut self) {
        self.round += 1;
        let round = self.round;
        // New names in each round, so that a late list of an earlier round does not count.
        let names = [format!("one {round}"), format!("other {round}")];
        let [one, other] = names.each_ref().map(String::as_str);
        let case = json!(format!("round {round}"));
        self.one.identify(one, "operator");
        self.one.emit("startViewingCase", &case);
        self.one.until_viewing(&[one]);
        self.other.identify(other, "operator");
        self.other.emit("startViewingCase", &case);
        self.one.until_viewing(&[one, other]);
        self.other.until_viewing(&[one, other]);
        self.other.emit("stopViewingCase", &case);
        self.one.until_viewing(&[one]);
        self.one.emit("startViewingCase", &json!(OFFICE));
        self.other.emit("startViewingCase", &json!(OFFICE));
    }
}

impl Default for Pair {
    fn default() -> Self {
        Self::new()
    }
}

/// Answers heartbeats and forwards events, until the connection ends.
fn listen(
    mut stream: TcpStream,
    writer: &Mutex<TcpStream>,
    events: &mpsc::Sender<(String, Value)>,
) {
    while let Ok(packet) = websocket::receive(&mut stream) {
        if packet == b"2" {
            send(writer, &frame(TEXT, b"3"));
        } else if packet.starts_with(b"40/socket.io") {
            let _ = events.send(("joined".to_owned(), Value::Null));
        } else if let Some(event) = packet.strip_prefix(b"42/socket.io,") {
            let _ = events.send(serde_json::from_slice(event).expect("an event"));
        }
    }
}

/// Writes to a connection. Errors are ignored: a missing answer shows them.
fn send(stream: &Mutex<TcpStream>, bytes: &[u8]) {
    let mut stream = stream.lock().unwrap_or_else(PoisonError::into_inner);
    let _ = stream.write_all(bytes);
}

/// Reads exactly the head of an answer.
fn skip_head(stream: &mut TcpStream) {
    let mut head = BufReader::with_capacity(1, stream).lines();
    while head
        .next()
        .is_some_and(|line| line.is_ok_and(|line| !line.is_empty()))
    {}
}
