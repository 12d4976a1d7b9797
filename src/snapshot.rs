//! What a restart shall not lose, on disk.
//!
//! Lives here: the file, its format, when it is written. Not here: what becomes of a place (`presence`).
//! Invariants: the file is whole or not there, and nobody else can read it; no link is followed, so that nobody else who can
//! write to the directory can have another file read or written; whatever is wrong with the file, or with the disk, the
//! daemon starts and runs.

mod format;

use std::{
    fs::{self, File, OpenOptions},
    io::{self, BufReader, BufWriter, Write},
    mem,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use rustix::{
    fs::{Mode, OFlags},
    io::Errno,
};
use tokio::{
    sync::Notify,
    task::spawn_blocking,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::{presence::Snapshot, realtime::HubHandle};

/// The file, in the directory that systemd or the configuration names.
const FILE: &str = "places.json";

/// The file while it is being written.
const PART: &str = "places.json.part";

/// What a file is renamed to that cannot be used, for whoever wants to know why.
const SET_ASIDE: &str = "places.json.unusable";

/// The shortest time between two writes.
const PAUSE: Duration = Duration::from_secs(1);

/// How often the file is written while nothing changes. Its age tells the next daemon how long this one has been dead.
const REFRESH: Duration = Duration::from_secs(5);

/// Where places are kept from one daemon to the next.
#[derive(Debug)]
pub(crate) struct Store {
    directory: PathBuf,
    /// Whether the operator has been told that it cannot be written.
    troubled: bool,
}

/// Why a file is of no use.
#[derive(Debug, thiserror::Error)]
enum Unusable {
    // Not `source`: it is logged as it is, nobody walks its causes.
    #[error("it cannot be read: {0}")]
    Read(io::Error),
    #[error("it cannot be understood: {0}")]
    Format(serde_json::Error),
    #[error("it is {} s old, and nobody waits that long", .0.as_secs())]
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
            troubled: false,
        }
    }

    /// What the daemon before this one has left, unless that was longer ago than `max_age`.
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

    /// Writes a file of another name first, so that a crash in between leaves the one before.
    fn save(&self, snapshot: Snapshot) -> io::Result<()> {
        let part = self.path(PART);
        // Never opened if it is there: it may be a link to another file, or a pipe that nobody reads.
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

    /// Tells the operator once when writing begins to fail, and once when it works again.
    fn report(&mut self, written: io::Result<()>) {
        let directory = self.directory.display();
        let was_troubled = mem::replace(&mut self.troubled, written.is_err());
        match (written, was_troubled) {
            (Ok(()), true) => info!("places can be kept in {directory} again"),
            (Err(error), false) => warn!(
                %error,
                "cannot keep places in {directory}, so a restart would forget everybody: {error}"
            ),
            (Ok(()), false) | (Err(_), true) => {}
        }
    }
}

/// Writes what a restart shall not lose, soon after each change, until told to stop; then ends the hub and writes once more.
pub(crate) async fn keep(
    mut store: Option<Store>,
    hub: HubHandle,
    changed: Arc<Notify>,
    stop: CancellationToken,
) {
    while store.is_some() {
        let due = timeout(REFRESH, changed.notified());
        if stop.run_until_cancelled(due).await.is_none() {
            break;
        }
        let Ok(snapshot) = hub.snapshot().await else {
            return;
        };
        store = write(store, snapshot).await;
        let _ = stop.run_until_cancelled(sleep(PAUSE)).await;
    }
    stop.cancelled().await;
    // An error means that the hub is gone already.
    if let Ok(last) = hub.finish().await {
        write(store, last).await;
    }
}

/// Writes a snapshot, away from the tasks that serve browsers.
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
    // A clock that was set back says nothing about the age.
    let age = now().duration_since(modified).unwrap_or_default();
    if age > max_age {
        return Err(Unusable::Old(age));
    }
    let file = serde_json::from_reader(BufReader::new(file));
    file.map(|file: format::File| file.into())
        .map_err(Unusable::Format)
}

/// Opens what is at that path and no link, without waiting for whoever would write to a pipe.
fn open(path: &Path) -> Result<File, Unusable> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    match rustix::fs::open(path, OFlags::RDONLY | flags, Mode::empty()) {
        Ok(file) => Ok(file.into()),
        Err(Errno::LOOP) => Err(Unusable::Link),
        Err(error) => Err(Unusable::Read(error.into())),
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the age of a file is told by the clock on the wall"
)]
fn now() -> SystemTime {
    SystemTime::now()
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;
    use tokio::time::Instant;

    use super::*;
    use crate::realtime::inbox::{self, Request};

    #[tokio::test(start_paused = true)]
    async fn the_file_stays_young_while_nothing_changes() {
        let directory = TempDir::new().unwrap();
        let (hub, mut requests) = inbox::channel(8);
        let store = Store::new(directory.path().to_owned());
        let keeping = keep(Some(store), hub, Arc::default(), CancellationToken::new());
        let started = Instant::now();
        let asked = async {
            for _ in 0..3 {
                let Some(Request::Snapshot(answer)) = requests.recv().await else {
                    panic!("the hub was asked for something else");
                };
                let _ = answer.send(Snapshot::default());
            }
        };
        tokio::select! {
            () = keeping => panic!("nobody told it to stop"),
            asked = timeout(REFRESH * 4, asked) => asked.unwrap(),
        }
        assert!(
            started.elapsed() > REFRESH * 2,
            "it is not written for nothing"
        );
    }
}
