//! A stranger who follows a script.
//!
//! Lives here: the language of the inputs of `session`, and doing what they say. Not here: what must hold afterwards.
//!
//! A script is lines; the first character of each says what to do with the rest.
//!
//! | line | does |
//! |---|---|
//! | `W3`, `W4` | opens a websocket of that version of Engine.IO |
//! | `P3`, `P4` | opens a session that polls |
//! | `U` | opens a websocket for the session that polls, as a client does that upgrades |
//! | `O` | opens a connection and says nothing |
//! | `t…` | sends a packet: a text frame of the websocket, or a POST of the session |
//! | `b…`, `c…`, `i…`, `o…` | sends a binary, close, ping or pong frame |
//! | `f…`, `+…`, `.…` | sends the first, a further and the last fragment of a text message |
//! | `l…` | sends a text frame that says so over and over, longer than any that is allowed |
//! | `x…` | sends these bytes and nothing else |
//! | `h…` | sends these bytes and the end of a line, as of the head of a request |
//! | `p…` | posts this body as it is |
//! | `g` | polls |
//! | `w…` | waits until that has been received, for a moment |
//! | `d` | ends the connection |
//!
//! Any other line is left out.

use std::{
    io::{self, Read, Write},
    net::{Shutdown, TcpStream},
    time::{Duration, Instant},
};

use crate::{
    PATIENCE,
    daemon::daemon,
    http::connect,
    websocket::{self, TEXT, frame},
};

/// How long one script may wait in all; what is worth waiting for comes sooner.
const WAITING: Duration = Duration::from_millis(40);

/// How long one poll waits for news before it is left hanging.
const POLL: Duration = Duration::from_millis(5);

/// Longer than the longest message that is allowed.
const TOO_LONG: usize = 5000;

/// Lines of one script that are followed.
const MAX_LINES: usize = 64;

/// A stranger with at most one connection for frames, and as many as it likes for polls.
#[derive(Debug)]
pub struct Attacker {
    /// Where it pretends to be, as a proxy tells the daemon.
    address: String,
    stream: Option<TcpStream>,
    session: Option<Session>,
    /// Every session that polls, to be ended in the end: it would outlive its connections.
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
    /// A stranger who seems to come from that address.
    #[must_use]
    pub fn new(address: String) -> Self {
        Self {
            address,
            stream: None,
            session: None,
            sessions: Vec::new(),
            polls: Vec::new(),
            received: Vec::new(),
            waits: WAITING,
        }
    }

    /// Does what a script says, and goes away.
    ///
    /// # Panics
    /// When the daemon does not let go of somebody who has gone.
    pub fn follow(mut self, script: &[u8]) {
        for line in script.split(|byte| *byte == b'\n').take(MAX_LINES) {
            if let Some((verb, rest)) = line.split_first() {
                // The daemon may have closed the connection, and with good reason.
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
                self.hang_up();
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn open(&mut self, first: &[u8]) -> io::Result<()> {
        self.hang_up();
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
        self.hang_up();
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

    /// A poll that finds no news at once is left hanging.
    fn poll(&mut self) -> io::Result<()> {
        let session = self.session.as_ref().ok_or(io::ErrorKind::NotConnected)?;
        let mut poll = connect(daemon().public)?;
        poll.write_all(session.poll().as_bytes())?;
        let patience = POLL.min(self.waits);
        if !patience.is_zero() {
            let began = Instant::now();
            poll.set_read_timeout(Some(patience))?;
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
            let patience = self.waits.saturating_sub(began.elapsed());
            if patience.is_zero() {
                break;
            }
            stream.set_read_timeout(Some(patience))?;
            match stream.read(&mut chunk) {
                Ok(0) | Err(_) => break,
                Ok(count) => self.received.extend(&chunk[..count]),
            }
        }
        self.waits = self.waits.saturating_sub(began.elapsed());
        Ok(())
    }

    fn leave(mut self) {
        self.hang_up();
        for session in &self.sessions {
            // It may have ended in another way.
            let _ = exchange(&session.post(&session.body(b"1")));
        }
        for poll in self.polls.drain(..) {
            end(poll);
        }
    }

    fn hang_up(&mut self) {
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

/// Sends a request on a connection of its own and reads the answer.
fn exchange(request: &[u8]) -> io::Result<String> {
    let mut stream = connect(daemon().public)?;
    stream.write_all(request)?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

/// Ends a connection in order, so that nothing that was sent is lost.
fn end(mut stream: TcpStream) {
    // Fails where the daemon has been faster.
    let _ = stream.shutdown(Shutdown::Write);
    let _ = stream.set_read_timeout(Some(PATIENCE));
    let rest = io::copy(&mut stream, &mut io::sink());
    let waited_in_vain = rest.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock);
    assert!(
        !waited_in_vain,
        "the daemon keeps a connection whose client has gone"
    );
}

fn long(text: &[u8]) -> Vec<u8> {
    let text = if text.is_empty() { b"x" } else { text };
    text.iter().copied().cycle().take(TOO_LONG).collect()
}

fn contains(received: &[u8], text: &[u8]) -> bool {
    text.is_empty() || received.windows(text.len()).any(|window| window == text)
}
