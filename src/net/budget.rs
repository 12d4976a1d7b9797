//! How many connections each listener may have open, given the limit of open files.
//!
//! Lives here: that limit, and dividing it between the listeners. Not here: holding connections to it (`server`).
//! Invariant: no number of browsers takes the files that staff and health checks need.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::sync::Semaphore;

use crate::config::Config;

/// Files that the daemon needs besides connections: the log, the resolver, StatsD, the runtime, with room to spare.
const RESERVED_FILES: usize = 128;

/// How many connections may be open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ConnectionBudget {
    /// On all addresses of the public listener together.
    pub(crate) public: usize,
    /// On each address of the admin listener, so that clients of one address cannot keep out those of another.
    pub(crate) admin: usize,
}

impl ConnectionBudget {
    /// Divides `files`: at most `admin` of them for the admin listener, and at least one for each of its `addresses`.
    pub(crate) fn divide(files: usize, admin: usize, addresses: usize) -> Self {
        let admin = admin.min(files / 4);
        let public = files - admin - RESERVED_FILES.min(files / 4);
        Self {
            public: public.min(Semaphore::MAX_PERMITS),
            admin: admin.checked_div(addresses).unwrap_or_default().max(1),
        }
    }
}

/// A warning if a limit of `files` open files leaves room for fewer connections than `limits.sessions`.
pub(crate) fn too_few_files(config: &Config, files: usize) -> Option<String> {
    let limits = &config.limits;
    let room =
        ConnectionBudget::divide(files, limits.admin_connections, config.admin.listen.len()).public;
    let sessions = limits.sessions;
    (room < sessions).then(|| {
        format!(
            "limits.sessions is {sessions}, but {files} open files leave room for {room} connections: raise LimitNOFILE= of the unit (ulimit -n), or lower limits.sessions"
        )
    })
}

/// Raises the limit of open files as far as it goes without privileges, and returns it.
///
/// Shells and systemd start programs with a limit of 1024, for the sake of programs that use `select`.
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
    // `None` means unlimited.
    current.map_or(usize::MAX, |files| {
        usize::try_from(files).unwrap_or(usize::MAX)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn public_connections_leave_file_descriptors_for_the_admin_app() {
        for (files, wanted, addresses, public, admin) in [
            (65_536, 128, 1, 65_280, 128),
            (65_536, 128, 2, 65_280, 64),
            (65_536, 1, 2, 65_407, 1),
            (1024, 128, 1, 768, 128),
            (300, 128, 1, 150, 75),
            (4, 128, 1, 2, 1),
            (usize::MAX, 128, 1, Semaphore::MAX_PERMITS, 128),
        ] {
            let budget = ConnectionBudget::divide(files, wanted, addresses);
            let expected = ConnectionBudget { public, admin };
            let row = format!("{files} files, {wanted} wanted, {addresses} addresses");
            assert_eq!(budget, expected, "{row}");
        }
    }
}
