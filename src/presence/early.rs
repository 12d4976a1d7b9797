//! What connections have said of their cases before they said whose they are.
//!
//! Lives here: keeping the little of it that matters. Not here: what follows from it (`registry`).
//! Invariant: only the end of a connection or its place in the registry takes an entry away, and nothing comes after the end
//! of a connection, so there are never more entries than connections.
//!
//! Clients 2.5 and 4.x send what was emitted while they were offline before the page's `connect` handler says `identify`.

use std::collections::BTreeMap;

use super::{CaseRef, ConnectionId};

/// What a page has said of its case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Statement {
    Opened(CaseRef),
    Closed(CaseRef),
}

/// The statements that wait for a name.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Early(BTreeMap<ConnectionId, Statements>);

/// The first and the last statement of a connection. The first one tells what the page showed when it went offline, and the
/// last one what it shows now; what it showed in between concerns nobody any more.
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

    /// Takes out what a connection has said, in order.
    pub(super) fn take(&mut self, conn: ConnectionId) -> impl Iterator<Item = Statement> + use<> {
        let statements = self.0.remove(&conn).into_iter();
        statements.flat_map(|Statements { first, last }| [Some(first), last].into_iter().flatten())
    }

    pub(super) fn forget(&mut self, conn: ConnectionId) {
        self.0.remove(&conn);
    }
}
