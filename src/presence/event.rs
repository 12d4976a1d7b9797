//! Events: what happened outside of the registry.
//!
//! Lives here: plain data. Not here: what follows from an event (`registry`).

use std::time::Duration;

use super::{AppVersion, Browser, CaseRef, ConnectionId, PagePath, UserType, Username};

/// Something that happened outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A browser sent `identify`.
    Identified {
        /// The connection.
        conn: ConnectionId,
        /// The user.
        identity: Identity,
        /// The browser.
        browser: Browser,
        /// The page that the browser showed when it connected, if its handshake named one.
        page: Option<PagePath>,
    },
    /// A browser opened a case. It leaves the case it viewed before.
    CaseOpened {
        /// The connection.
        conn: ConnectionId,
        /// The case on the screen.
        case: CaseRef,
    },
    /// A browser left its case, whichever that was.
    CaseClosed {
        /// The connection.
        conn: ConnectionId,
        /// The case that the browser named.
        case: CaseRef,
    },
    /// A connection ended.
    Ended {
        /// The connection.
        conn: ConnectionId,
        /// How it ended.
        ending: Ending,
    },
    /// An administrator ended a lost place by hand.
    Dismissed {
        /// The connection that had the place.
        conn: ConnectionId,
    },
}

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// A clean close: the page was closed, left or reloaded, or disconnected by itself.
    CleanClose,
    /// A long poll was aborted. This is a clean close, unless other connections are cut off at the same moment.
    PollAborted {
        /// The time since then.
        silence: Duration,
    },
    /// The connection was lost. The page may well still be on a screen.
    Lost {
        /// How long nothing may have reached the browser before the loss was noticed.
        silence: Duration,
    },
}

impl Ending {
    /// The same ending, noticed later by `delay`. Messages that were posted meanwhile have not reached the browser.
    #[must_use]
    pub fn noticed_after(self, delay: Duration) -> Self {
        match self {
            Self::CleanClose => Self::CleanClose,
            Self::PollAborted { silence } => Self::PollAborted {
                silence: silence.saturating_add(delay),
            },
            Self::Lost { silence } => Self::Lost {
                silence: silence.saturating_add(delay),
            },
        }
    }
}

/// The user of a connection, as the browser told it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The user.
    pub username: Username,
    /// The user type, as far as this tab knows.
    pub user_type: UserType,
    /// The version of the app in this tab.
    pub app_version: AppVersion,
}
