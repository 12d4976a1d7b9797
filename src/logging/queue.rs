//! Log lines that wait to be written.
//!
//! Lives here: the queue, and the thread that empties it. Not here: the format of a line.
//! Invariants: only the thread here waits for the reader of the log; memory is bounded; the number of lost lines is logged once
//! writing works again.

use std::{
    collections::VecDeque,
    fs::File,
    io::{self, Write},
    thread::sleep,
    time::Duration,
};

use parking_lot::{Condvar, Mutex};
use tracing::warn;

use super::journal::Journal;
use crate::stats::{Counter, Counters};

/// The most bytes that may wait: some thousand lines.
const MAX_BYTES: usize = 1024 * 1024;

/// The memory that a record takes besides its bytes.
const OVERHEAD: usize = size_of::<Record>();

/// How long the end of the process waits for the reader of the log.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);

/// The pause before writing again to a full stream that another process has set not to block.
const PAUSE: Duration = Duration::from_millis(10);

/// Something to write.
#[derive(Debug)]
pub(super) enum Record {
    /// For standard error.
    Line(Vec<u8>),
    /// For the journal's socket.
    Entry(Vec<u8>),
}

/// The destinations of records.
#[derive(Debug)]
pub(super) struct Sink {
    pub(super) stderr: File,
    pub(super) journal: Option<Journal>,
}

/// Records that wait for the thread that writes them.
#[derive(Debug)]
pub(super) struct Queue {
    state: Mutex<State>,
    /// Notified when there is something to write.
    filled: Condvar,
    /// Notified when there is nothing left to write.
    emptied: Condvar,
    counters: Counters,
}

#[derive(Debug, Default)]
struct State {
    records: VecDeque<Record>,
    bytes: usize,
    /// The number of lines lost since a number was last logged.
    lost: u64,
    /// Whether the last record could be written.
    works: bool,
    /// Whether the thread is not writing a record.
    is_idle: bool,
}

/// The next step of the thread.
enum Next {
    Write(Record),
    /// Log how many lines were lost.
    Tell(u64),
}

impl Queue {
    pub(super) fn new(counters: Counters) -> Self {
        Self {
            state: Mutex::default(),
            filled: Condvar::new(),
            emptied: Condvar::new(),
            counters,
        }
    }

    pub(super) fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Adds a record, if there is room for it.
    pub(super) fn push(&self, record: Record) {
        let mut state = self.state.lock();
        let bytes = state.bytes.saturating_add(record.size());
        if bytes > MAX_BYTES {
            self.lose(&mut state);
        } else {
            state.bytes = bytes;
            state.records.push_back(record);
            self.filled.notify_one();
        }
    }

    /// Writes records, for ever.
    pub(super) fn write_to(&self, mut sink: Sink) {
        loop {
            match self.next() {
                Next::Write(record) => self.note(&sink.write(&record)),
                Next::Tell(lost) => {
                    warn!(
                        lost,
                        "{lost} lines of the log were lost: they could not be written"
                    );
                }
            }
        }
    }

    /// Waits until everything has been written, or until [`FLUSH_TIMEOUT`] is over.
    pub(super) fn flush(&self) {
        let is_busy = |state: &mut State| !state.records.is_empty() || !state.is_idle;
        let mut state = self.state.lock();
        // Whether everything was written or not, there is no more time.
        let _ = self
            .emptied
            .wait_while_for(&mut state, is_busy, FLUSH_TIMEOUT);
    }

    fn next(&self) -> Next {
        let mut state = self.state.lock();
        state.is_idle = false;
        loop {
            if let Some(record) = state.records.pop_front() {
                state.bytes = state.bytes.saturating_sub(record.size());
                return Next::Write(record);
            }
            if state.works && state.lost > 0 {
                return Next::Tell(std::mem::take(&mut state.lost));
            }
            state.is_idle = true;
            self.emptied.notify_all();
            self.filled.wait(&mut state);
            state.is_idle = false;
        }
    }

    fn note(&self, written: &io::Result<()>) {
        let mut state = self.state.lock();
        state.works = written.is_ok();
        if written.is_err() {
            self.lose(&mut state);
        }
    }

    fn lose(&self, state: &mut State) {
        state.lost += 1;
        self.counters.count(Counter::LogLost);
    }
}

impl Record {
    fn size(&self) -> usize {
        let (Self::Line(bytes) | Self::Entry(bytes)) = self;
        bytes.len() + OVERHEAD
    }
}

impl Sink {
    fn write(&mut self, record: &Record) -> io::Result<()> {
        match (record, &self.journal) {
            (Record::Entry(entry), Some(journal)) => journal.send(entry),
            (Record::Line(bytes) | Record::Entry(bytes), _) => write_all(&mut self.stderr, bytes),
        }
    }
}

/// Like `Write::write_all`, but also waits for a stream that does not block.
fn write_all(stream: &mut impl Write, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match stream.write(bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => bytes = bytes.get(written..).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => sleep(PAUSE),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
