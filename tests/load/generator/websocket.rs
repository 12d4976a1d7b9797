//! A minimal websocket client: the generator must cost less than the server that it loads.
//!
//! Lives here: bytes and frames. Not here: the packets in them (`page`).

use std::{
    cell::RefCell,
    future::poll_fn,
    io, mem,
    net::{Ipv4Addr, SocketAddrV4},
    pin::Pin,
    task::{Poll, ready},
};

use tokio::{
    io::{AsyncRead, ReadBuf},
    net::{
        TcpSocket,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
};

/// Sends frames to the server.
pub(crate) struct Writer(OwnedWriteHalf);

/// Receives frames from the server.
pub(crate) struct Reader {
    socket: OwnedReadHalf,
    is_upgraded: bool,
    /// The beginning of an incomplete frame.
    rest: Vec<u8>,
}

/// Size of the read buffer, which all websockets share because one thread reads at a time.
const BUFFER_BYTES: usize = 64 * 1024;

thread_local! {
    static BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; BUFFER_BYTES]);
}

const TEXT: u8 = 0x81;
const MASKED: u8 = 0x80;

/// Opens a websocket of a client, whose address is sent as `X-Real-IP`, as behind nginx.
pub(crate) async fn open(
    server: SocketAddrV4,
    target: &str,
    client: Ipv4Addr,
) -> io::Result<(Writer, Reader)> {
    let socket = TcpSocket::new_v4()?;
    socket.bind((source(client), 0).into())?;
    let stream = socket.connect(server.into()).await?;
    stream.set_nodelay(true)?;
    let (socket, writer) = stream.into_split();
    let request = format!(
        "GET {target} HTTP/1.1\r\nHost: {server}\r\nX-Real-IP: {client}\r\n\
         User-Agent: Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:115.0) Gecko/20100101 Firefox/115.0\r\n\
         Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    let writer = Writer(writer);
    writer.write(request.as_bytes())?;
    let reader = Reader {
        socket,
        is_upgraded: false,
        rest: Vec::new(),
    };
    Ok((writer, reader))
}

/// One of sixteen source addresses. With a single one, the kernel would need longer and longer to find a free port.
fn source(client: Ipv4Addr) -> Ipv4Addr {
    let [.., last] = client.octets();
    Ipv4Addr::new(127, 0, 0, 2 + last % 16)
}

impl Writer {
    /// Sends a text of less than 126 bytes.
    pub(crate) fn send(&self, text: &str) -> io::Result<()> {
        let length = u8::try_from(text.len()).map_err(io::Error::other)?;
        // A mask of zeros leaves the text unchanged.
        let head = [TEXT, MASKED | length, 0, 0, 0, 0];
        self.write(&[&head, text.as_bytes()].concat())
    }

    /// Writes to the send buffer of the kernel, which has room unless the server has stopped reading.
    fn write(&self, bytes: &[u8]) -> io::Result<()> {
        if self.0.try_write(bytes)? == bytes.len() {
            Ok(())
        } else {
            Err(io::Error::other("the server does not read"))
        }
    }
}

impl Reader {
    /// Waits for the answer to the handshake.
    pub(crate) async fn until_upgraded(&mut self) -> io::Result<()> {
        while !self.is_upgraded {
            self.receive(|_| {}).await?;
        }
        Ok(())
    }

    /// Waits for data and calls `on_text` for every text frame in it.
    pub(crate) async fn receive(&mut self, mut on_text: impl FnMut(&[u8])) -> io::Result<()> {
        poll_fn(|cx| {
            BUFFER.with_borrow_mut(|shared| {
                let mut buffer = ReadBuf::new(shared);
                ready!(Pin::new(&mut self.socket).poll_read(cx, &mut buffer))?;
                Poll::Ready(self.take(buffer.filled(), &mut on_text))
            })
        })
        .await
    }

    fn take(&mut self, bytes: &[u8], on_text: &mut impl FnMut(&[u8])) -> io::Result<()> {
        if bytes.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let mut begun = mem::take(&mut self.rest);
        let mut bytes = if begun.is_empty() {
            bytes
        } else {
            begun.extend(bytes);
            &begun
        };
        if !self.is_upgraded {
            self.is_upgraded = upgraded(&mut bytes)?;
        }
        while self.is_upgraded
            && let Some(text) = text(&mut bytes)?
        {
            on_text(text);
        }
        self.rest.extend(bytes);
        Ok(())
    }
}

/// Removes the answer to the handshake from the data. Returns whether it was complete.
fn upgraded(bytes: &mut &[u8]) -> io::Result<bool> {
    let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else {
        return Ok(false);
    };
    if !bytes.starts_with(b"HTTP/1.1 101") {
        let head = String::from_utf8_lossy(bytes)
            .lines()
            .next()
            .map(str::to_owned);
        return Err(io::Error::other(head.unwrap_or_default()));
    }
    *bytes = bytes.get(end + 4..).unwrap_or_default();
    Ok(true)
}

/// Removes the first frame from the data, if it is complete. Socket.IO servers send only unfragmented texts and a close frame.
fn text<'bytes>(bytes: &mut &'bytes [u8]) -> io::Result<Option<&'bytes [u8]>> {
    let (length, rest) = match **bytes {
        [TEXT, 127, ref rest @ ..] => match rest.split_first_chunk() {
            Some((length, rest)) => (u64::from_be_bytes(*length), rest),
            None => return Ok(None),
        },
        [TEXT, 126, a, b, ref rest @ ..] => (u16::from_be_bytes([a, b]).into(), rest),
        [TEXT, length @ ..=125, ref rest @ ..] => (length.into(), rest),
        [] | [TEXT, ..] => return Ok(None),
        [first, ..] => return Err(io::Error::other(format!("frame of type {first:#x}"))),
    };
    let length = usize::try_from(length).map_err(io::Error::other)?;
    let Some((text, rest)) = rest.split_at_checked(length) else {
        return Ok(None);
    };
    *bytes = rest;
    Ok(Some(text))
}
