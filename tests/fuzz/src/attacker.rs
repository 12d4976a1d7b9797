//! An attacker of the public listener who follows a script.
//!
//! Lives here: the language of the inputs of `session`, and executing them. Not here: checks after the script.
//!
//! Each line of a script is a command: its first character is the verb, the rest the argument.
//!
//! | line | action |
//! |---|---|
//! | `W3`, `W4` | opens a websocket with this version of Engine.IO |
//! | `P3`, `P4` | opens a polling session |
//! | `U` | opens a websocket for the polling session, as in an upgrade |
//! | `O` | opens a connection and sends nothing |
//! | `t…` | sends a packet: a text frame of the websocket, or a POST of the session |
//! | `b…`, `c…`, `i…`, `o…` | sends a binary, close, ping or pong frame |
//! | `f…`, `+…`, `.…` | sends the first, a further and the last fragment of a text message |
//! | `l…` | sends a text frame that repeats the argument and is longer than the limit |
//! | `x…` | sends the argument as raw bytes |
//! | `h…` | sends the argument and a line end, as in the head of a request |
//! | `p…` | posts the argument as the body |
//! | `g` | polls |
//! | `w…` | waits briefly until the argument has been received |
//! | `d` | closes the connection |
//!
//! Other lines are ignored.

use std::{
    io::{self, Read, Write},
    net::{Shutdown, TcpStream},
    time::{Duration, Instant},
};

use crate::{
    TIMEOUT,
    daemon::daemon,
    http::connect,
    websocket::{self, TEXT, frame},
};

/// Time that all waits of one script may take together. Useful answers arrive sooner.
const WAIT_BUDGET: Duration = Duration::from_millis(40);

/// Time after which a poll without an answer is left open.
const POLL: Duration = Duration::from_millis(5);

/// Length of a message beyond the limit, in bytes.
const TOO_LONG: usize = 5000;

/// Number of lines of a script that are executed.
const MAX_LINES: usize = 64;

/// An attacker with at most one connection for frames, and any number of connections for polls.
#[derive(Debug)]
pub struct Attacker {
    /// Its client address, sent as `X-Real-IP`.
    address: String,
    stream: Option<TcpStream>,
    session: Option<Session>,
    /// Every polling session, closed at the end because sessions outlive their connections.
    sessions: Vec<Session>,
    polls: Vec<TcpStream>,
    received: Vec<u8>,
    waits: Duration,
}

#[derive(Clone, Debug)]
struct Session {
    version: u8,
    id: String,
}

impl Attacker {
    /// An attacker with this client address.
    #[must_use]
    pub fn new(address: String) -> Self {
        Self {
            address,
            stream: None,
            session: None,
            sessions: Vec::new(),
            polls: Vec::new(),
            received: Vec::new(),
            waits: WAIT_BUDGET,
        }
    }

    /// Executes a script and closes all connections.
    ///
    /// # Panics
    /// When the daemon keeps a connection whose client has closed it.
    pub fn follow(mut self, script: &[u8]) {
        for line in script.split(|byte| *byte == b'\n').take(MAX_LINES) {
            if let Some((verb, rest)) = line.split_first() {
                // An error is expected: the daemon may close the connection of an attacker.
                let _ = self.step(*verb, rest);
            }
        }
        self.leave();
    }

    fn step(&mut self, verb: u8, rest: &[u8]) -> io::Result<()> {
        let version = if rest == b"3" { 3 } else { 4 };
        match verb {
            b'W' => self.open_websocket(version),
            b'P' => self.open_polling(version),
            b'U' => self.upgrade(),
            b'O' => self.open(b""),
            b't' => self.packet(rest),
            b'b' => self.send(&frame(0x82, rest)),
            b'c' => self.send(&frame(0x88, rest)),
            b'i' => self.send(&frame(0x89, rest)),
            b'o' => self.send(&frame(0x8a, rest)),
            b'f' => self.send(&frame(0x01, rest)),
            b'+' => self.send(&frame(0x00, rest)),
            b'.' => self.send(&frame(0x80, rest)),
            b'l' => self.send(&frame(TEXT, &long(rest))),
            b'x' => self.send(rest),
            b'h' => self.send(&[rest, b"\r\n"].concat()),
            b'p' => self.post(rest),
            b'g' => self.poll(),
            b'w' => self.wait_for(rest),
            b'd' => {
                self.close();
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn open(&mut self, first: &[u8]) -> io::Result<()> {
        self.close();
        let stream = self.stream.insert(connect(daemon().public)?);
        stream.write_all(first)
    }

    fn open_websocket(&mut self, version: u8) -> io::Result<()> {
        self.session = None;
        let lines = self.lines();
        self.open(websocket::handshake(version, &lines).as_bytes())?;
        self.wait_for(b"\"sid\"")
    }

    fn open_polling(&mut self, version: u8) -> io::Result<()> {
        let lines = self.lines();
        let request = format!(
            "GET /socket.io/?EIO={version}&transport=polling HTTP/1.1\r\nHost: fuzz\r\nConnection: close\r\n{lines}\r\n"
        );
        let answer = exchange(request.as_bytes())?;
        let id = answer
            .split_once(r#""sid":""#)
            .and_then(|(_, rest)| rest.split_once('"'));
        let (id, _) = id.ok_or(io::ErrorKind::ConnectionRefused)?;
        let session = Session {
            version,
            id: id.to_owned(),
        };
        self.close();
        self.sessions.push(session.clone());
        self.session = Some(session);
        Ok(())
    }

    fn upgrade(&mut self) -> io::Result<()> {
        let Session { version, id } = self.session.clone().ok_or(io::ErrorKind::NotConnected)?;
        let request = websocket::handshake(version, &self.lines());
        let request = request.replacen(
            "transport=websocket",
            &format!("transport=websocket&sid={id}"),
            1,
        );
        self.open(request.as_bytes())?;
        self.wait_for(b"\r\n\r\n")
    }

    fn packet(&mut self, packet: &[u8]) -> io::Result<()> {
        match &self.session {
            Some(session) if self.stream.is_none() => {
                let body = session.body(packet);
                self.post(&body)
            }
            Some(_) | None => self.send(&frame(TEXT, packet)),
        }
    }

    fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream
            .as_ref()
            .map_or(Ok(()), |mut stream| stream.write_all(bytes))
    }

    fn post(&mut self, body: &[u8]) -> io::Result<()> {
        let session = self.session.as_ref().ok_or(io::ErrorKind::NotConnected)?;
        let answer = exchange(&session.post(body))?;
        self.received.extend(answer.as_bytes());
        Ok(())
    }

    /// Polls. A poll that is not answered at once is left open.
    fn poll(&mut self) -> io::Result<()> {
        let session = self.session.as_ref().ok_or(io::ErrorKind::NotConnected)?;
        let mut poll = connect(daemon().public)?;
        poll.write_all(session.poll().as_bytes())?;
        let timeout = POLL.min(self.waits);
        if !timeout.is_zero() {
            let began = Instant::now();
            poll.set_read_timeout(Some(timeout))?;
            let answered = poll.read_to_end(&mut self.received).is_ok();
            self.waits = self.waits.saturating_sub(began.elapsed());
            if answered {
                return Ok(());
            }
        }
        self.polls.push(poll);
        Ok(())
    }

    fn wait_for(&mut self, text: &[u8]) -> io::Result<()> {
        let Some(stream) = &mut self.stream else {
            return Ok(());
        };
        let began = Instant::now();
        let start = self.received.len();
        let mut chunk = [0; 1024];
        while !contains(&self.received[start..], text) {
            let timeout = self.waits.saturating_sub(began.elapsed());
            if timeout.is_zero() {
                break;
            }
            stream.set_read_timeout(Some(timeout))?;
            match stream.read(&mut chunk) {
                Ok(0) | Err(_) => break,
                Ok(count) => self.received.extend(&chunk[..count]),
            }
        }
        self.waits = self.waits.saturating_sub(began.elapsed());
        Ok(())
    }

    fn leave(mut self) {
        self.close();
        for session in &self.sessions {
            // The session may have ended already.
            let _ = exchange(&session.post(&session.body(b"1")));
        }
        for poll in self.polls.drain(..) {
            end(poll);
        }
    }

    fn close(&mut self) {
        if let Some(stream) = self.stream.take() {
            end(stream);
        }
    }

    fn lines(&self) -> String {
        format!(
            "X-Real-IP: {}\r\nReferer: http://localhost/call_centre/office/\r\n",
            self.address
        )
    }
}

impl Session {
    /// The body that carries one packet.
    fn body(&self, packet: &[u8]) -> Vec<u8> {
        if self.version == 4 {
            return packet.to_owned();
        }
        let length = String::from_utf8_lossy(packet).chars().count();
        [format!("{length}:").as_bytes(), packet].concat()
    }

    fn post(&self, body: &[u8]) -> Vec<u8> {
        let head = format!(
            "POST {} HTTP/1.1\r\nHost: fuzz\r\nConnection: close\r\nContent-Type: text/plain;charset=UTF-8\r\n\
             Content-Length: {}\r\n\r\n",
            self.address(),
            body.len()
        );
        [head.as_bytes(), body].concat()
    }

    fn poll(&self) -> String {
        format!(
            "GET {} HTTP/1.1\r\nHost: fuzz\r\nConnection: close\r\n\r\n",
            self.address()
        )
    }

    fn address(&self) -> String {
        let Self { version, id } = self;
        format!("/socket.io/?EIO={version}&transport=polling&sid={id}")
    }
}

/// Sends a request on a new connection and reads the answer.
fn exchange(request: &[u8]) -> io::Result<String> {
    let mut stream = connect(daemon().public)?;
    stream.write_all(request)?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

/// Closes a connection gracefully, so that all sent data arrives.
fn end(mut stream: TcpStream) {
    // Fails if the daemon has closed the connection first.
    let _ = stream.shutdown(Shutdown::Write);
    let _ = stream.set_read_timeout(Some(TIMEOUT));
    let rest = io::copy(&mut stream, &mut io::sink());
    let timed_out = rest.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock);
    assert!(
        !timed_out,
        "the daemon keeps a connection whose client has closed it"
    );
}

fn long(text: &[u8]) -> Vec<u8> {
    let text = if text.is_empty() { b"x" } else { text };
    text.iter().copied().cycle().take(TOO_LONG).collect()
}

fn contains(received: &[u8], text: &[u8]) -> bool {
    text.is_empty() || received.windows(text.len()).any(|window| window == text)
}
