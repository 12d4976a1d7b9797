//! The file of places.

use std::{
    fs,
    path::{Path, PathBuf},
};

use tempfile::TempDir;
use tokio::time::timeout;

use super::{
    WAIT,
    daemon::{Settings, settings},
};

/// A new directory in memory, like the runtime directory of the unit. On a disk that other processes keep busy, a write can take
/// longer than a stop of the daemon.
pub fn in_memory() -> TempDir {
    let memory = Path::new("/dev/shm");
    let directory = if memory.is_dir() {
        TempDir::new_in(memory)
    } else {
        TempDir::new()
    };
    directory.unwrap()
}

/// A daemon that keeps its file of places in a directory.
pub fn keeping_in(directory: &Path) -> Settings {
    settings().env("CLA_PRESENCE__STATE_DIR", directory.display())
}

pub fn file(directory: &Path) -> PathBuf {
    directory.join("places.json")
}

/// Waits until the file holds this number of places on case X.
pub async fn until_written(directory: &Path, places: usize) {
    let mut text = String::new();
    let written = timeout(WAIT, async {
        while text.matches(r#""case":"X""#).count() != places {
            text = fs::read_to_string(file(directory)).unwrap_or_default();
            tokio::task::yield_now().await;
        }
    });
    let in_time = written.await.is_ok();
    assert!(in_time, "{places} places on case X expected in: {text}");
}
