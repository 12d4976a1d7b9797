//! Open files, of which every connection needs one.
//!
//! Lives here: how many there may be and who may use them. Invariant: no number of browsers takes the files that staff
//! and health checks need.

use std::sync::Arc;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::sync::Semaphore;

/// Connections to the admin app at once.
const ADMIN: usize = 128;

/// Files that are not for browsers: the admin app, and with room to spare the log, the resolver, StatsD, the runtime.
const RESERVED: usize = 2 * ADMIN;

/// One permit for every connection that may be open.
#[derive(Clone, Debug)]
pub(crate) struct Shares {
    pub(crate) public: Arc<Semaphore>,
    pub(crate) admin: Arc<Semaphore>,
}

impl Shares {
    /// Shares out so many files.
    pub(crate) fn among(files: usize) -> Self {
        let reserved = RESERVED.min(files / 2);
        let public = (files - reserved).min(Semaphore::MAX_PERMITS);
        Self {
            public: Arc::new(Semaphore::new(public)),
            admin: Arc::new(Semaphore::new(reserved / 2)),
        }
    }
}

/// Raises the limit of open files as far as it goes without privileges, and returns it.
///
/// Shells and systemd begin with 1024, for the sake of programs that use `select`.
#[must_use]
pub fn raise_file_limit() -> usize {
    let given = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: given.maximum,
        ..given
    };
    let current = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => given.maximum,
        Err(_) => given.current,
    };
    // None is no limit.
    current.map_or(usize::MAX, |files| {
        usize::try_from(files).unwrap_or(usize::MAX)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn browsers_leave_files_for_staff() {
        for (files, public, admin) in [
            (65_536, 65_280, 128),
            (1024, 768, 128),
            (300, 150, 75),
            (2, 1, 0),
            (usize::MAX, Semaphore::MAX_PERMITS, 128),
        ] {
            let shares = Shares::among(files);
            let permits = [&shares.public, &shares.admin].map(|share| share.available_permits());
            assert_eq!(permits, [public, admin], "{files}");
        }
    }
}
