//! The formats of the systemd journal: priorities, and entries with fields.
//!
//! Lives here: the native protocol, <https://systemd.io/JOURNAL_NATIVE_PROTOCOL/>, and the prefixes of lines, `sd-daemon(3)`. Not
//! here: what is logged, and when it is written.
//! The crate `tracing-journald` cannot be used: it sends while the caller waits, so a journal that hangs would hang the daemon.

use std::{
    fmt::{Debug, Write as _},
    fs::File,
    io,
    os::unix::{fs::MetadataExt, net::UnixDatagram},
};

use tracing::{
    Event, Level,
    field::{Field, Visit},
};

/// The socket of the journal.
const SOCKET: &str = "/run/systemd/journal/socket";

/// The longest name of a field.
const MAX_NAME_BYTES: usize = 64;

/// Whether the journal reads a stream. The variable `JOURNAL_STREAM` names the device and inode of the stream that it reads, see
/// `systemd.exec(5)`; a stream that was redirected since has others.
pub(super) fn reads(journal_stream: Option<&str>, stream: &File) -> bool {
    let named = journal_stream.and_then(|named| named.split_once(':'));
    let (Some((device, inode)), Ok(metadata)) = (named, stream.metadata()) else {
        return false;
    };
    device.parse() == Ok(metadata.dev()) && inode.parse() == Ok(metadata.ino())
}

/// The priority of a level, as in `syslog(3)`. The journal is searched by it.
pub(super) fn priority(level: Level) -> u8 {
    match level {
        Level::ERROR => 3,
        Level::WARN => 4,
        Level::INFO => 6,
        Level::DEBUG | Level::TRACE => 7,
    }
}

/// The lines of a text, each with its priority as a prefix.
pub(super) fn prefixed(priority: u8, text: &str) -> String {
    let lines = text.lines().map(|line| format!("<{priority}>{line}\n"));
    lines.collect()
}

/// A connection to the journal.
#[derive(Debug)]
pub(super) struct Journal(UnixDatagram);

impl Journal {
    /// Connects, if the journal can be reached. Does not wait for it.
    pub(super) fn connect() -> io::Result<Self> {
        let socket = UnixDatagram::unbound()?;
        socket.set_nonblocking(true)?;
        // The journal ignores empty datagrams.
        match socket.send_to(&[], SOCKET) {
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Err(error),
            Ok(_) | Err(_) => {}
        }
        socket.set_nonblocking(false)?;
        Ok(Self(socket))
    }

    /// Sends an entry, and waits while the journal is busy. The socket is named each time, because a journal that was restarted
    /// has a new one under the same name.
    pub(super) fn send(&self, entry: &[u8]) -> io::Result<()> {
        self.0.send_to(entry, SOCKET).map(|_| ())
    }
}

/// The entry of an event.
pub(super) fn entry(event: &Event<'_>) -> Vec<u8> {
    let mut entry = Entry::default();
    let metadata = event.metadata();
    entry.put("PRIORITY", &priority(*metadata.level()).to_string());
    entry.put("SYSLOG_IDENTIFIER", env!("CARGO_PKG_NAME"));
    entry.put("TARGET", metadata.target());
    event.record(&mut entry);
    entry.0
}

#[derive(Default)]
struct Entry(Vec<u8>);

impl Entry {
    fn put(&mut self, name: &str, value: &str) {
        let Self(bytes) = self;
        bytes.extend(name.bytes().take(MAX_NAME_BYTES).map(|byte| match byte {
            letter if letter.is_ascii_alphanumeric() => letter.to_ascii_uppercase(),
            _ => b'_',
        }));
        // A value with several lines is preceded by its length.
        if value.contains('\n') {
            bytes.push(b'\n');
            bytes.extend((value.len() as u64).to_le_bytes());
        } else {
            bytes.push(b'=');
        }
        bytes.extend(value.bytes());
        bytes.push(b'\n');
    }
}

impl Visit for Entry {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field.name(), value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let mut text = String::new();
        // A value whose `Debug` fails is left out.
        if write!(text, "{value:?}").is_ok() {
            self.put(field.name(), &text);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_has_the_format_of_the_journal() {
        let mut entry = Entry::default();
        entry.put("message", "frame rejected");
        entry.put("conn.id", "a=b");
        entry.put("reason", "two\nlines");
        assert_eq!(
            entry.0,
            b"MESSAGE=frame rejected\nCONN_ID=a=b\nREASON\n\x09\0\0\0\0\0\0\0two\nlines\n"
        );
    }

    #[test]
    fn only_the_stream_in_journal_stream_is_the_journal() {
        let [one, other] = [(); 2].map(|()| tempfile::tempfile().unwrap());
        let metadata = one.metadata().unwrap();
        let named = format!("{}:{}", metadata.dev(), metadata.ino());
        assert!(reads(Some(&named), &one));
        assert!(!reads(Some(&named), &other));
        for named in [None, Some(""), Some("1"), Some("x:y")] {
            assert!(!reads(named, &one), "{named:?}");
        }
    }

    #[test]
    fn every_line_has_its_priority() {
        assert_eq!(prefixed(3, "one\ntwo"), "<3>one\n<3>two\n");
    }
}
