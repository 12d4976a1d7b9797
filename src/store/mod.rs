//! The file of places, which outlives the daemon.
//!
//! Lives here: the file, its format, and when it is written. Not here: what becomes of a place (`presence`).
//! Invariants: the file is complete or absent, and only the daemon can read it; no link is followed, so nobody else who can
//! write to the directory can have another file read or written; the daemon starts and runs whatever is wrong with the file or
//! the disk.

mod format;

use std::{
    fs::{self, File, OpenOptions},
    io::{self, BufReader, BufWriter, Write},
    mem,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    time::Duration,
};

use rustix::{
    fs::{Mode, OFlags},
    io::Errno,
};
use tokio::{
    task::spawn_blocking,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::{
    hub::{HubHandle, wall_time},
    presence::Snapshot,
};

/// The file, in the directory that systemd or the configuration names.
const FILE: &str = "places.json";

/// The file while it is being written.
const PART: &str = "places.json.part";

/// The name that a file gets which cannot be used, so that an operator can look into it.
const SET_ASIDE: &str = "places.json.unusable";

/// The shortest time between two writes.
const PAUSE: Duration = Duration::from_secs(1);

/// The longest wait for a change, after [`PAUSE`]. Then the file is written again although nothing has changed: its age tells the
/// next daemon how long ago this one ended.
const REFRESH: Duration = Duration::from_secs(4);

/// The directory in which places are kept for the next daemon.
#[derive(Debug)]
pub(crate) struct Store {
    directory: PathBuf,
    /// Whether writing failed the last time. The log has one line when that begins and one when it ends.
    is_failing: bool,
}

/// Why a file cannot be used.
#[derive(Debug, thiserror::Error)]
enum Unusable {
    // Not `source`: the log line contains the whole error.
    #[error("it cannot be read: {0}")]
    Read(io::Error),
    #[error("it cannot be understood: {0}")]
    Format(serde_json::Error),
    #[error("it is {} s old, which is longer than any browser is waited for", .0.as_secs())]
    Old(Duration),
    #[error("it is not a file")]
    NotAFile,
    #[error("it is a symbolic link")]
    Link,
}

impl Store {
    pub(crate) fn new(directory: PathBuf) -> Self {
        Self {
            directory,
            is_failing: false,
        }
    }

    /// Reads what the daemon before this one wrote, unless that is older than `max_age`.
    pub(crate) fn load(&self, max_age: Duration) -> Snapshot {
        let path = self.path(FILE);
        match read(&path, max_age) {
            Ok(snapshot) => {
                let places = snapshot.places.len();
                info!(places, "places of the daemon before: {places}");
                snapshot
            }
            Err(Unusable::Read(error)) if error.kind() == io::ErrorKind::NotFound => {
                Snapshot::default()
            }
            Err(reason) => {
                self.set_aside(&reason);
                Snapshot::default()
            }
        }
    }

    fn set_aside(&self, reason: &Unusable) {
        let (path, aside) = (self.path(FILE), self.path(SET_ASIDE));
        let moved = fs::rename(&path, &aside);
        let (path, aside) = (path.display(), aside.display());
        match moved {
            Ok(()) => warn!(
                "starting without the places of the daemon before; {path} is now {aside}: {reason}"
            ),
            Err(error) => warn!(
                "starting without the places of the daemon before, and cannot rename {path} ({error}): {reason}"
            ),
        }
    }

    /// Writes the file under another name first, so that a crash meanwhile leaves the previous file.
    fn save(&self, snapshot: Snapshot) -> io::Result<()> {
        let part = self.path(PART);
        // An existing file is never opened: it may be a link to another file, or a pipe that nobody reads.
        match fs::remove_file(&part) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&part)?;
        let mut writer = BufWriter::new(file);
        serde_json::to_writer(&mut writer, &format::File::from(snapshot))?;
        writer.flush()?;
        writer.get_ref().sync_all()?;
        fs::rename(part, self.path(FILE))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// Logs when writing begins to fail, and when it works again.
    fn report(&mut self, written: io::Result<()>) {
        let directory = self.directory.display();
        let was_failing = mem::replace(&mut self.is_failing, written.is_err());
        match (written, was_failing) {
            (Ok(()), true) => info!("places can be kept in {directory} again"),
            (Err(error), false) => warn!(
                %error,
                "cannot keep places in {directory}, so a restart would forget everybody: {error}"
            ),
            (Ok(()), false) | (Err(_), true) => {}
        }
    }
}

/// Writes the file soon after each change, until told to stop. Then it ends the hub and writes the file once more.
pub(crate) async fn keep(mut store: Option<Store>, hub: HubHandle, stop: CancellationToken) {
    while store.is_some() {
        let Ok((snapshot, mut changes)) = hub.snapshot().await else {
            return;
        };
        store = write(store, snapshot).await;
        let _ = stop.run_until_cancelled(sleep(PAUSE)).await;
        // A change, or a number of missed ones: either way the file is out of date.
        let change = timeout(REFRESH, changes.recv());
        if stop.run_until_cancelled(change).await.is_none() {
            break;
        }
    }
    stop.cancelled().await;
    // An error means that the hub has ended already.
    if let Ok(last) = hub.finish().await {
        write(store, last).await;
    }
}

/// Writes a snapshot on a thread of its own, because tasks that serve browsers must not wait for the disk.
async fn write(store: Option<Store>, snapshot: Snapshot) -> Option<Store> {
    let mut store = store?;
    let written = spawn_blocking(move || {
        let written = store.save(snapshot);
        store.report(written);
        store
    });
    written.await.ok()
}

fn read(path: &Path, max_age: Duration) -> Result<Snapshot, Unusable> {
    let file = open(path)?;
    let metadata = file.metadata().map_err(Unusable::Read)?;
    if !metadata.is_file() {
        return Err(Unusable::NotAFile);
    }
    let modified = metadata.modified().map_err(Unusable::Read)?;
    // If the clock was set back, the age is unknown and counts as zero.
    let age = modified.elapsed().unwrap_or_default();
    if age > max_age {
        return Err(Unusable::Old(age));
    }
    let file = serde_json::from_reader(BufReader::new(file));
    file.map(|file: format::File| file.into_snapshot(wall_time()))
        .map_err(Unusable::Format)
}

/// Opens the file at `path`. It follows no link, and does not wait for a pipe.
fn open(path: &Path) -> Result<File, Unusable> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    match rustix::fs::open(path, OFlags::RDONLY | flags, Mode::empty()) {
        Ok(file) => Ok(file.into()),
        Err(Errno::LOOP) => Err(Unusable::Link),
        Err(error) => Err(Unusable::Read(error.into())),
    }
}

#[cfg(test)]
mod tests;
