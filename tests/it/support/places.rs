//! The file of places, as tests look at it.

use std::{
    fs,
    path::{Path, PathBuf},
};

use tokio::time::timeout;

use crate::daemon::{PATIENCE, Settings, settings};

/// A daemon that keeps its places in a directory.
pub fn keeping_in(directory: &Path) -> Settings {
    settings().env("CLA_PRESENCE__STATE_DIR", directory.display())
}

pub fn file(directory: &Path) -> PathBuf {
    directory.join("places.json")
}

/// Waits until the file holds so many places on case X.
pub async fn until_written(directory: &Path, places: usize) {
    let written = timeout(PATIENCE, async {
        loop {
            let text = fs::read_to_string(file(directory)).unwrap_or_default();
            if text.matches(r#""case":"X""#).count() == places {
                return;
            }
            tokio::task::yield_now().await;
        }
    });
    assert!(written.await.is_ok());
}
