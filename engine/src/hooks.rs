//! What whoever stands in front of an engine may put into the extensions of a request.
//!
//! Lives here: the two hooks. Not here: calling them (`engine`, `upgrade`).

use std::sync::Arc;

use engineioxide_core::Str;
use http::Extensions;

/// For a handshake: changes each text that the client sends before the handler sees it.
#[derive(Clone, Copy, Debug)]
pub struct Rewrite(pub fn(Str) -> Str);

/// For a request to upgrade a session: is called when the probe is over, with the extensions of the request that
/// began the session.
#[derive(Clone)]
pub struct OnProbed(pub Arc<Probing>);

/// What [`OnProbed`] calls.
pub type Probing = dyn Fn(Probed, &Extensions) + Send + Sync;

/// What came of the probe of a websocket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Probed {
    /// The session continues as a websocket, and has written nothing to it yet.
    Upgraded,
    /// The session stays as it was.
    Failed,
}
