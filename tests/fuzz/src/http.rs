//! Requests to the admin app without an HTTP library.
//!
//! Lives here: sending bytes and reading the answer, one request at a time on a kept-alive connection.

use std::{
    io::{self, BufRead, BufReader, Write},
    net::{SocketAddr, TcpStream},
};

use crate::TIMEOUT;

/// A client of the admin app.
#[derive(Debug)]
pub struct Client {
    server: SocketAddr,
    connection: Option<BufReader<TcpStream>>,
}

/// An answer of the admin app.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// Media type of the body without parameters. Empty without a `Content-Type`.
    pub media_type: String,
    /// The body.
    pub body: Vec<u8>,
}

impl Client {
    /// A client that connects at its first request.
    #[must_use]
    pub fn new(server: SocketAddr) -> Self {
        Self {
            server,
            connection: None,
        }
    }

    /// Sends a request and waits for the answer.
    ///
    /// # Panics
    /// When no answer arrives.
    pub fn ask(&mut self, request: &[u8]) -> Answer {
        let reused = self.connection.is_some();
        let mut answer = self.try_to_ask(request);
        if reused && answer.is_err() {
            // The server may close a kept-alive connection at any time.
            answer = self.try_to_ask(request);
        }
        answer.unwrap_or_else(|error| panic!("no answer from the admin app: {error}"))
    }

    fn try_to_ask(&mut self, request: &[u8]) -> io::Result<Answer> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => BufReader::new(connect(self.server)?),
        };
        connection.get_mut().write_all(request)?;
        let bodiless = request.starts_with(b"HEAD ");
        let (answer, kept) = answer(&mut connection, bodiless)?;
        self.connection = kept.then_some(connection);
        Ok(answer)
    }
}

/// Connects to a listener.
///
/// # Errors
/// When the connection fails.
pub fn connect(server: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(server)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    Ok(stream)
}

/// Reads an answer. Returns it, and whether the connection stays open.
fn answer(connection: &mut impl BufRead, bodiless: bool) -> io::Result<(Answer, bool)> {
    let mut line = String::new();
    connection.read_line(&mut line)?;
    let status = line.split(' ').nth(1).and_then(|word| word.parse().ok());
    let status = status.ok_or_else(|| io::Error::other(format!("no status in {line:?}")))?;
    let (mut media_type, mut length, mut kept) = (String::new(), 0, true);
    loop {
        line.clear();
        connection.read_line(&mut line)?;
        let Some((name, value)) = line.split_once(':') else {
            break;
        };
        match name.to_ascii_lowercase().as_str() {
            "content-type" => value
                .split(';')
                .next()
                .unwrap_or_default()
                .trim()
                .clone_into(&mut media_type),
            "content-length" => length = value.trim().parse().map_err(io::Error::other)?,
            "connection" => kept = value.trim() != "close",
            _ => {}
        }
    }
    let mut body = vec![0; if bodiless { 0 } else { length }];
    connection.read_exact(&mut body)?;
    Ok((
        Answer {
            status,
            media_type,
            body,
        },
        kept,
    ))
}
