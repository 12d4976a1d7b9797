//! What the journal of systemd understands: priorities, and entries with fields.
//!
//! Lives here: its native protocol, <https://systemd.io/JOURNAL_NATIVE_PROTOCOL/>, and prefixes of lines, `sd-daemon(3)`.
//! The crate `tracing-journald` is no use: it sends while the caller waits, and a journal that stands still would hold up
//! the whole daemon.

use std::{
    fmt::{Debug, Write as _},
    fs::File,
    io,
    os::unix::{fs::MetadataExt, net::UnixDatagram},
    sync::Arc,
};

use tracing::{
    Event, Level, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{Layer, layer::Context};

use super::queue::{Queue, Record};

/// Where the journal listens.
const SOCKET: &str = "/run/systemd/journal/socket";

/// The longest name of a field.
const MAX_NAME_BYTES: usize = 64;

/// Whether the journal reads a stream: `JOURNAL_STREAM` names its device and inode, see `systemd.exec(5)`. A stream that was
/// redirected since is another.
pub(super) fn reads(journal_stream: Option<&str>, stream: &File) -> bool {
    let named = journal_stream.and_then(|named| named.split_once(':'));
    let (Some((device, inode)), Ok(metadata)) = (named, stream.metadata()) else {
        return false;
    };
    device.parse() == Ok(metadata.dev()) && inode.parse() == Ok(metadata.ino())
}

/// The severity by which the journal is searched, as in `syslog(3)`.
pub(super) fn priority(level: Level) -> u8 {
    match level {
        Level::ERROR => 3,
        Level::WARN => 4,
        Level::INFO => 6,
        Level::DEBUG | Level::TRACE => 7,
    }
}

/// The lines of a text, each with its priority in front.
pub(super) fn prefixed(priority: u8, text: &str) -> String {
    let lines = text.lines().map(|line| format!("<{priority}>{line}\n"));
    lines.collect()
}

/// The journal's socket.
#[derive(Debug)]
pub(super) struct Journal(UnixDatagram);

impl Journal {
    /// Finds out whether the journal can be reached, without waiting for it.
    pub(super) fn connect() -> io::Result<Self> {
        let socket = UnixDatagram::unbound()?;
        socket.set_nonblocking(true)?;
        // The journal ignores what is empty.
        match socket.send_to(&[], SOCKET) {
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Err(error),
            Ok(_) | Err(_) => {}
        }
        socket.set_nonblocking(false)?;
        Ok(Self(socket))
    }

    /// Sends an entry, and waits while the journal takes none. By name each time: a journal that was restarted has the same.
    pub(super) fn send(&self, entry: &[u8]) -> io::Result<()> {
        self.0.send_to(entry, SOCKET).map(|_| ())
    }
}

/// Makes an entry of each event.
pub(super) struct Entries(pub(super) Arc<Queue>);

impl<S: Subscriber> Layer<S> for Entries {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut entry = Entry::default();
        let metadata = event.metadata();
        entry.put("PRIORITY", &priority(*metadata.level()).to_string());
        entry.put("SYSLOG_IDENTIFIER", env!("CARGO_PKG_NAME"));
        entry.put("TARGET", metadata.target());
        event.record(&mut entry);
        self.0.push(Record::Entry(entry.0));
    }
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
        // Its length is told of a value that has lines.
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
        // Writing to a text never fails; a value that fails to show itself is left out.
        if write!(text, "{value:?}").is_ok() {
            self.put(field.name(), &text);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_what_the_journal_reads() {
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
    fn only_the_stream_that_is_named_is_the_journal() {
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
