//! Moving a polling session to a websocket.
//!
//! Lives here: the client's probe of a websocket, and the polls that wait meanwhile. Not here: TCP connections (`net`).
//! Invariant: a session stays on polling, undisturbed, until its client has sent the upgrade packet over the websocket.
//!
//! Clients probe because a network may let the handshake of a websocket through and nothing after it. The library would end the
//! session of a client whose probe fails, and would answer its polls at once while it waits for the probe. So the dialogue below
//! takes place before the library sees the connection. The library then reads the same bytes once more.
//!
//! ```text
//! client                                        server
//!   │ GET /socket.io/?transport=websocket&sid=… →  │
//!   │ ← 101                                        │
//!   │ 2probe →                                     │
//!   │ ← 3probe, and a noop to the poll that waits  │
//!   │ 5 →                                          │ from here on the session is a websocket
//! ```

use std::{
    collections::{HashMap, hash_map::Entry},
    future::pending,
    io::{self, Cursor},
    sync::Arc,
    time::Duration,
};

use parking_lot::Mutex;
use tokio::{
    sync::watch,
    time::{Instant, sleep_until, timeout},
};
use tokio_util::sync::CancellationToken;
use tungstenite::protocol::frame::{
    FrameHeader,
    coding::{Control, Data, OpCode},
};

use crate::{
    net::{Held, TcpHandle},
    presence::ConnectionId,
};

/// Time from the handshake of a websocket to the upgrade packet, as in the Node.js server.
const PROBE_TIMEOUT: Duration = Duration::from_secs(10);

/// Shortest time between two noops to the polls of one session. The Node.js server has the same.
const NOOP_INTERVAL: Duration = Duration::from_millis(100);

/// The first packet of a client over a websocket.
const PROBE: &[u8] = b"2probe";

/// The answer to [`PROBE`], a text frame.
const PROBE_ANSWER: &[u8] = b"\x81\x063probe";

/// The packet that a client sends once its last poll has been answered.
const UPGRADE: &[u8] = b"5";

/// The status of a close frame that a browser sends when its page is closed or left.
const GOING_AWAY: [u8; 2] = 1001_u16.to_be_bytes();

/// Why a session does not move to a websocket.
#[derive(Debug, thiserror::Error)]
pub(super) enum ProbeError {
    /// The page was closed or left while it probed. It has no poll that could tell so.
    #[error("the page is gone")]
    PageGone,
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl From<io::ErrorKind> for ProbeError {
    fn from(kind: io::ErrorKind) -> Self {
        Self::Io(kind.into())
    }
}

/// The upgrades of all sessions.
#[derive(Clone, Debug, Default)]
pub(super) struct Upgrades(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    /// The sessions with a waiting poll or a probe under way.
    sessions: Mutex<HashMap<ConnectionId, Registered>>,
    closing: CancellationToken,
}

/// A session with a waiting poll or a probe.
#[derive(Debug, Default)]
struct Registered {
    /// The number of its polls and probes.
    users: usize,
    noop: Arc<NoopDue>,
}

/// When the next noop is due, while the client waits for its poll to be answered.
type NoopDue = watch::Sender<Option<Instant>>;

/// A poll or a probe of a session.
#[derive(Debug)]
pub(super) struct Upgrade {
    upgrades: Upgrades,
    session: ConnectionId,
    noop: Arc<NoopDue>,
}

impl Upgrades {
    /// Ends every probe that is under way, and every later one.
    pub(super) fn close(&self) {
        self.0.closing.cancel();
    }

    /// Registers a poll or a probe for as long as the returned value lives.
    pub(super) fn of(&self, session: ConnectionId) -> Upgrade {
        let mut sessions = self.0.sessions.lock();
        let registered = sessions.entry(session).or_default();
        registered.users += 1;
        Upgrade {
            upgrades: self.clone(),
            session,
            noop: registered.noop.clone(),
        }
    }
}

impl Upgrade {
    /// Answers a request with `handshake`, and waits until the client has sent the upgrade packet.
    ///
    /// The connection is then as it was before: the library reads the probe from it, and what the library writes in answer to
    /// the request and the probe is dropped.
    ///
    /// # Errors
    /// When the client sends anything else, or does not send in time. The connection is closed then.
    pub(super) async fn probe(self, tcp: &TcpHandle, handshake: &[u8]) -> Result<(), ProbeError> {
        let held = tcp.hold().ok_or(io::ErrorKind::NotConnected)?;
        let probed = timeout(PROBE_TIMEOUT, self.converse(held, handshake));
        let closing = &self.upgrades.0.closing;
        let probed = closing.run_until_cancelled(probed).await;
        self.noop.send_replace(None);
        let probed = probed.ok_or(io::ErrorKind::ConnectionAborted)?;
        probed.map_err(io::Error::from)?
    }

    async fn converse(&self, mut held: Held, handshake: &[u8]) -> Result<(), ProbeError> {
        held.write_all(handshake).await?;
        let mut heard = Vec::new();
        let probe = expect(&mut held, &mut heard, 0, PROBE).await?;
        held.write_all(PROBE_ANSWER).await?;
        self.noop.send_replace(Some(Instant::now()));
        expect(&mut held, &mut heard, probe, UPGRADE).await?;
        held.give_back(heard, probe);
        Ok(())
    }

    /// Returns when a poll of the session must be answered with a noop, because its client has probed a websocket and waits for
    /// its last poll to end.
    pub(super) async fn noop_due(&self) {
        let mut due = self.noop.subscribe();
        loop {
            let Ok(Some(moment)) = due.wait_for(Option::is_some).await.map(|due| *due) else {
                // The sender is ours, so this cannot happen.
                return pending().await;
            };
            sleep_until(moment).await;
            let taken = self.noop.send_if_modified(|due| {
                let is_due = due.is_some_and(|due| due <= moment);
                if is_due {
                    *due = Some(moment + NOOP_INTERVAL);
                }
                is_due
            });
            if taken {
                return;
            }
        }
    }
}

impl Drop for Upgrade {
    fn drop(&mut self) {
        let mut sessions = self.upgrades.0.sessions.lock();
        if let Entry::Occupied(mut registered) = sessions.entry(self.session) {
            registered.get_mut().users -= 1;
            if registered.get().users == 0 {
                registered.remove();
            }
        }
    }
}

/// Reads one more text frame, which must hold `packet`, and returns the index of its end.
async fn expect(
    held: &mut Held,
    heard: &mut Vec<u8>,
    start: usize,
    packet: &[u8],
) -> Result<usize, ProbeError> {
    loop {
        let frame = heard.get(start..).unwrap_or_default();
        if let Some(length) = text_frame(frame, packet)? {
            return Ok(start + length);
        }
        held.read(heard).await?;
    }
}

/// The length of the frame that `bytes` begin with, once it is complete.
///
/// # Errors
/// When it is not a client's text frame, or does not hold `packet`.
fn text_frame(bytes: &[u8], packet: &[u8]) -> Result<Option<usize>, ProbeError> {
    let mut cursor = Cursor::new(bytes);
    let header = FrameHeader::parse(&mut cursor).map_err(io::Error::other)?;
    let Some((header, length)) = header else {
        return Ok(None);
    };
    let FrameHeader {
        is_final: true,
        rsv1: false,
        rsv2: false,
        rsv3: false,
        opcode: opcode @ (OpCode::Data(Data::Text) | OpCode::Control(Control::Close)),
        mask: Some(mask),
    } = header
    else {
        return Err(io::ErrorKind::InvalidData.into());
    };
    let is_close = opcode == OpCode::Control(Control::Close);
    let expected = if is_close { &GOING_AWAY } else { packet };
    if length != expected.len() as u64 {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let start = usize::try_from(cursor.position()).map_err(io::Error::other)?;
    let end = start + expected.len();
    let Some(payload) = bytes.get(start..end) else {
        return Ok(None);
    };
    let unmasked = payload.iter().zip(mask.iter().cycle());
    let unmasked = unmasked.map(|(byte, mask)| byte ^ mask);
    if !unmasked.eq(expected.iter().copied()) {
        return Err(io::ErrorKind::InvalidData.into());
    }
    if is_close {
        return Err(ProbeError::PageGone);
    }
    Ok(Some(end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_session_is_kept_while_it_polls_or_probes() {
        let upgrades = Upgrades::default();
        let session = ConnectionId::try_from("0123456789abcdef").unwrap();
        let (poll, probe) = (upgrades.of(session), upgrades.of(session));
        probe.noop.send_replace(Some(Instant::now()));
        poll.noop_due().await;
        drop(probe);
        assert_eq!(upgrades.0.sessions.lock().len(), 1);
        drop(poll);
        assert_eq!(upgrades.0.sessions.lock().len(), 0);
    }
}
