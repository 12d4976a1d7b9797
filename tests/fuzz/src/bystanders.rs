//! People who mind their own business while a fuzzer is at work.
//!
//! Lives here: a browser that is as it should be, and two of them that must always be served.

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
    PATIENCE,
    daemon::daemon,
    http::{Client, connect},
    websocket::{self, TEXT, frame},
};

/// How often a client with Engine.IO 3 shows that it is alive.
const HEARTBEAT: Duration = Duration::from_secs(1);

/// How long to wait before looking again who is there.
const MOMENT: Duration = Duration::from_micros(200);

/// Where the two are while nobody looks at them. A fuzzer may come here.
const OFFICE: &str = "office";

/// A browser that is as it should be.
#[derive(Debug)]
pub struct Bystander {
    /// The id of its connection.
    pub id: String,
    /// Its user.
    pub name: String,
    stream: Arc<Mutex<TcpStream>>,
    heard: mpsc::Receiver<(String, Value)>,
}

/// Two people, of whom each must be shown what the other does.
#[derive(Debug)]
pub struct Pair {
    one: Bystander,
    other: Bystander,
    staff: Client,
    round: u64,
}

impl Bystander {
    /// Connects with a version of Engine.IO, and identifies.
    ///
    /// # Panics
    /// When that does not work.
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
        let (ears, heard) = mpsc::channel();
        let bystander = Self {
            id: open["sid"].as_str().expect("a session").to_owned(),
            name: name.to_owned(),
            stream: writer.clone(),
            heard,
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
        thread::spawn(move || listen(stream, &writer, &ears));
        send(&bystander.stream, &frame(TEXT, b"40/socket.io,"));
        bystander.hear("joined");
        bystander.identify(name, user_type);
        // Who identified before others is told by the answer to this.
        bystander.say(
            "startViewingCase",
            &json!(format!("nook of {}", bystander.id)),
        );
        bystander.hear("peopleViewing");
        bystander
    }

    /// Says whose browser this is.
    pub fn identify(&self, name: &str, user_type: &str) {
        let identity = json!({"username": name, "usertype": user_type, "appVersion": "1.0"});
        self.say("identify", &identity);
    }

    /// Sends an event.
    pub fn say(&self, event: &str, payload: &Value) {
        let text = format!("42/socket.io,{}", json!([event, payload]));
        send(&self.stream, &frame(TEXT, text.as_bytes()));
    }

    /// The payload of the next event, which must have this name.
    ///
    /// # Panics
    /// When it has not, or does not come.
    pub fn hear(&self, event: &str) -> Value {
        let (name, payload) = self.next();
        assert_eq!(name, event, "{}: {payload}", self.name);
        payload
    }

    /// The next event.
    ///
    /// # Panics
    /// When none comes.
    pub fn next(&self) -> (String, Value) {
        let heard = self.heard.recv_timeout(PATIENCE);
        heard.unwrap_or_else(|error| panic!("{} is not served: {error}", self.name))
    }

    fn until_viewing(&self, names: &[&str]) {
        let names = json!(names);
        while self.hear("peopleViewing") != names {}
    }
}

impl Pair {
    /// Both arrive.
    #[must_use]
    pub fn new() -> Self {
        Self {
            one: Bystander::arrive(4, "one", "operator"),
            other: Bystander::arrive(3, "other", "operator"),
            staff: Client::new(daemon().admin),
            round: 0,
        }
    }

    /// Waits until nobody else is there.
    ///
    /// # Panics
    /// When somebody stays.
    pub fn are_left_alone(&mut self) {
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
            assert!(began.elapsed() < PATIENCE, "somebody stays: {there:?}");
            sleep(MOMENT);
        }
    }

    /// One opens a case, the other one comes and goes, and the first is shown that.
    pub fn see_each_other(&mut self) {
        self.round += 1;
        let round = self.round;
        // With the names of another round a late answer to that one would do.
        let names = [format!("one {round}"), format!("other {round}")];
        let [one, other] = names.each_ref().map(String::as_str);
        let case = json!(format!("round {round}"));
        self.one.identify(one, "operator");
        self.one.say("startViewingCase", &case);
        self.one.until_viewing(&[one]);
        self.other.identify(other, "operator");
        self.other.say("startViewingCase", &case);
        self.one.until_viewing(&[one, other]);
        self.other.until_viewing(&[one, other]);
        self.other.say("stopViewingCase", &case);
        self.one.until_viewing(&[one]);
        self.one.say("startViewingCase", &json!(OFFICE));
        self.other.say("startViewingCase", &json!(OFFICE));
    }
}

impl Default for Pair {
    fn default() -> Self {
        Self::new()
    }
}

/// Answers heartbeats and passes events on, until the connection ends.
fn listen(mut stream: TcpStream, writer: &Mutex<TcpStream>, ears: &mpsc::Sender<(String, Value)>) {
    while let Ok(packet) = websocket::receive(&mut stream) {
        if packet == b"2" {
            send(writer, &frame(TEXT, b"3"));
        } else if packet.starts_with(b"40/socket.io") {
            let _ = ears.send(("joined".to_owned(), Value::Null));
        } else if let Some(event) = packet.strip_prefix(b"42/socket.io,") {
            let _ = ears.send(serde_json::from_slice(event).expect("an event"));
        }
    }
}

/// What cannot be sent is found missing by whoever waits for the answer.
fn send(stream: &Mutex<TcpStream>, bytes: &[u8]) {
    let mut stream = stream.lock().unwrap_or_else(PoisonError::into_inner);
    let _ = stream.write_all(bytes);
}

/// Reads to the end of the head and not a byte more.
fn skip_head(stream: &mut TcpStream) {
    let mut head = BufReader::with_capacity(1, stream).lines();
    while head
        .next()
        .is_some_and(|line| line.is_ok_and(|line| !line.is_empty()))
    {}
}
