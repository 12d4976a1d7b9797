//! Open files, of which every connection needs one.
//!
//! Lives here: how many there may be and who may use them. Invariant: no number of browsers takes the files that staff
//! and health checks need.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::sync::Semaphore;

use crate::config::Config;

/// Files that are for no connection: the log, the resolver, StatsD, the runtime, with room to spare.
const OWN: usize = 128;

/// How many connections may be open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shares {
    /// On all public addresses together.
    pub(crate) public: usize,
    /// On each address of the admin app: whoever takes all of one does not keep out who comes to another.
    pub(crate) admin: usize,
}

impl Shares {
    /// Shares out so many files, at most `admin` of them to the admin app, but one to each of its `addresses`.
    pub(crate) fn among(files: usize, admin: usize, addresses: usize) -> Self {
        let admin = admin.min(files / 4);
        let public = files - admin - OWN.min(files / 4);
        Self {
            public: public.min(Semaphore::MAX_PERMITS),
            admin: admin.checked_div(addresses).unwrap_or_default().max(1),
        }
    }
}

/// A warning, where `files` open files leave room for fewer connections than `limits.sessions`.
pub(crate) fn too_few_files(config: &Config, files: usize) -> Option<String> {
    let limits = &config.limits;
    let room = Shares::among(files, limits.admin_connections, config.admin.listen.len()).public;
    let sessions = limits.sessions;
    (room < sessions).then(|| {
        format!(
            "limits.sessions is {sessions}, but {files} open files leave room for {room} connections: raise LimitNOFILE= of the unit (ulimit -n), or lower limits.sessions"
        )
    })
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
        for (files, wanted, addresses, public, admin) in [
            (65_536, 128, 1, 65_280, 128),
            (65_536, 128, 2, 65_280, 64),
            (65_536, 1, 2, 65_407, 1),
            (1024, 128, 1, 768, 128),
            (300, 128, 1, 150, 75),
            (4, 128, 1, 2, 1),
            (usize::MAX, 128, 1, Semaphore::MAX_PERMITS, 128),
        ] {
            let shares = Shares::among(files, wanted, addresses);
            assert_eq!(shares, Shares { public, admin }, "{files}");
        }
    }
}
