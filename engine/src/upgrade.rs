//! Moving a polling session to a websocket.
//!
//! Lives here: the client's probe of the websocket. Not here: the session on it (`websocket`).
//! Invariant: the session stays on polling, undisturbed, until its client has sent the upgrade packet. A probe that fails costs
//! nothing. Clients probe because a network may let the handshake of a websocket through and nothing after it.
//!
//! ```text
//! client                                        server
//!   │ GET ?transport=websocket&sid=… →             │
//!   │ ← 101                                        │
//!   │ 2probe →                                     │
//!   │ ← 3probe, and a noop to the poll that waits  │
//!   │ 5 →                                          │ from here on the session is a websocket
//! ```

use std::{future::poll_fn, sync::Arc, time::Duration};

use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::{MissedTickBehavior, interval, timeout},
};
use tungstenite::Message;

use crate::{
    OnProbed, Probed,
    engine::{Engine, SocketOf},
    frames::Frames,
    handler::EngineIoHandler,
    session::Session,
    websocket,
};

/// Shortest time between two noops to the polls of one session, as in the Node.js server.
const NOOP_INTERVAL: Duration = Duration::from_millis(100);

/// A probe under way. The session can have another one once this is dropped.
pub(crate) struct Probe(Arc<Session>);

impl Probe {
    /// Begins a probe, unless the session has one or needs none.
    pub(crate) fn of(session: &Arc<Session>) -> Option<Self> {
        session.begin_probe().then(|| Self(session.clone()))
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        self.0.end_probe();
    }
}

/// Waits for the upgrade packet, and carries the session from there on.
pub(crate) async fn run<H: EngineIoHandler>(
    engine: Arc<Engine<H>>,
    socket: SocketOf<H>,
    probe: Probe,
    upgrade: OnUpgrade,
    hook: Option<OnProbed>,
) {
    // Boxed, so that a websocket does not keep the room that its probe needed.
    let frames = Box::pin(probed(&engine, &socket.session, upgrade)).await;
    drop(probe);
    let frames = frames.filter(|_| socket.session.upgrade());
    if let Some(OnProbed(hook)) = hook {
        let probed = frames.as_ref().map_or(Probed::Failed, |_| Probed::Upgraded);
        hook(probed, &socket.req_parts.extensions);
    }
    if let Some(frames) = frames {
        websocket::run(engine, socket, frames).await;
    }
}

async fn probed<H: EngineIoHandler>(
    engine: &Engine<H>,
    session: &Session,
    upgrade: OnUpgrade,
) -> Option<Frames<TokioIo<Upgraded>>> {
    let dialogue = async {
        let stream = TokioIo::new(upgrade.await.ok()?);
        let mut frames = Frames::new(stream, &engine.config);
        converse(&mut frames, session).await?;
        Some(frames)
    };
    tokio::select! {
        frames = timeout(engine.config.upgrade_timeout, dialogue) => frames.ok().flatten(),
        _ = poll_fn(|cx| session.poll_ended(cx)) => None,
    }
}

/// The dialogue of a probe; `None` when the client says anything else.
async fn converse<Io>(frames: &mut Frames<Io>, session: &Session) -> Option<()>
where
    Io: AsyncRead + AsyncWrite + Unpin,
{
    expect(frames, "2probe").await?;
    frames.write(Message::text("3probe")).await.ok()?;
    let mut noops = interval(NOOP_INTERVAL);
    noops.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let upgrade = expect(frames, "5");
    tokio::pin!(upgrade);
    loop {
        tokio::select! {
            upgraded = &mut upgrade => return upgraded,
            _ = noops.tick() => session.release_poll(),
        }
    }
}

/// Reads one message of text, which must be `packet`.
async fn expect<Io>(frames: &mut Frames<Io>, packet: &str) -> Option<()>
where
    Io: AsyncRead + AsyncWrite + Unpin,
{
    loop {
        match frames.read().await.ok()? {
            Message::Text(text) => return (text.as_str() == packet).then_some(()),
            Message::Ping(_) | Message::Pong(_) => {}
            Message::Binary(_) | Message::Close(_) | Message::Frame(_) => return None,
        }
    }
}
