//! Statements about cases from connections that have not identified yet.
//!
//! Lives here: keeping the statements that matter. Not here: what follows from them (`registry`).
//! Invariant: an entry is removed when its connection identifies or ends, and nothing comes after the end of a connection, so
//! there are never more entries than connections.
//!
//! Clients 2.5 and 4.x send events that were emitted while they were offline before the page's `connect` handler emits
//! `identify`.

use std::collections::BTreeMap;

use super::{CaseRef, ConnectionId};

/// A page's statement about a case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Statement {
    Opened(CaseRef),
    Closed(CaseRef),
}

/// The statements of all connections that have not identified.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Early(BTreeMap<ConnectionId, Statements>);

/// The first and the last statement of a connection. The first one tells which case the page showed when it went offline, and
/// the last one which case it shows now. Statements in between have no consequence.
#[derive(Debug, PartialEq, Eq)]
struct Statements {
    first: Statement,
    last: Option<Statement>,
}

impl Early {
    pub(super) fn keep(&mut self, conn: ConnectionId, statement: Statement) {
        if let Some(statements) = self.0.get_mut(&conn) {
            statements.last = Some(statement);
        } else {
            let (first, last) = (statement, None);
            self.0.insert(conn, Statements { first, last });
        }
    }

    pub(super) fn has(&self, conn: ConnectionId) -> bool {
        self.0.contains_key(&conn)
    }

    /// Removes and returns the statements of a connection, in order.
    pub(super) fn take(&mut self, conn: ConnectionId) -> impl Iterator<Item = Statement> + use<> {
        let statements = self.0.remove(&conn).into_iter();
        statements.flat_map(|Statements { first, last }| [Some(first), last].into_iter().flatten())
    }

    pub(super) fn forget(&mut self, conn: ConnectionId) {
        self.0.remove(&conn);
    }
}
