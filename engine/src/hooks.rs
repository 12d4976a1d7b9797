//! What whoever stands in front of an engine may put into the extensions of a request.
//!
//! Lives here: the two hooks. Not here: calling them (`engine`, `upgrade`).

use std::{fmt, sync::Arc};

use engineioxide_core::Str;
use http::Extensions;

/// For a handshake: changes each text that the client sends before the handler sees it.
#[derive(Clone, Copy, Debug)]
pub struct Rewrite(pub fn(Str) -> Str);

/// For a request to upgrade a session: is called when the probe is over.
#[derive(Clone)]
pub struct OnProbed(Arc<Call>);

type Call = dyn Fn(Probed, &Extensions) + Send + Sync;

/// What came of the probe of a websocket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Probed {
    /// The session continues as a websocket, and has written nothing to it yet.
    Upgraded,
    /// The session stays as it was.
    Failed,
}

impl OnProbed {
    /// Has `call` called, with the extensions of the request that began the session.
    pub fn new(call: impl Fn(Probed, &Extensions) + Send + Sync + 'static) -> Self {
        Self(Arc::new(call))
    }

    pub(crate) fn call(&self, probed: Probed, handshake: &Extensions) {
        (self.0)(probed, handshake);
    }
}

impl fmt::Debug for OnProbed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OnProbed")
    }
}
