//! The heartbeats of polling sessions.
//!
//! Lives here: one task for all of them, which runs while there are any. Not here: the rule (`heartbeat`), websockets, which have a
//! timer each.

use std::{collections::BTreeSet, mem, sync::Arc, time::Duration};

use engineioxide_core::{Sid, TransportType};
use parking_lot::Mutex;
use tokio::time::{Instant, sleep, sleep_until};

use crate::{Ended, engine::Engine, handler::EngineIoHandler, heartbeat::Beat};

/// When the task runs this much too late, the whole process was stopped. Requests that have come meanwhile are read first.
const STOPPED: Duration = Duration::from_secs(1);

/// When the heartbeat of which session is due.
#[derive(Debug, Default)]
pub(crate) struct Sweep {
    due: Mutex<Due>,
}

#[derive(Debug, Default)]
struct Due {
    sessions: BTreeSet<(Instant, Sid)>,
    is_running: bool,
}

impl Sweep {
    /// Removes a session whose heartbeat is due, or tells when the next one is. `None` when there are none: the task ends then.
    fn next(&self, now: Instant) -> Option<Result<Sid, Instant>> {
        let mut due = self.due.lock();
        let Some((at, session)) = due.sessions.first().copied() else {
            due.is_running = false;
            return None;
        };
        if now < at {
            return Some(Err(at));
        }
        due.sessions.pop_first();
        Some(Ok(session))
    }

    /// Adds a session, and returns whether a task is to be spawned.
    fn add(&self, at: Instant, session: Sid) -> bool {
        let mut due = self.due.lock();
        due.sessions.insert((at, session));
        !mem::replace(&mut due.is_running, true)
    }
}

impl<H: EngineIoHandler> Engine<H> {
    /// Watches the heartbeat of a session for as long as it polls.
    pub(crate) fn watch(self: &Arc<Self>, session: Sid) {
        if self.look(session) {
            crate::spawn::task(sweep(self.clone()));
        }
    }

    /// Sees to the heartbeat of a session, and returns whether a task is to be spawned.
    fn look(&self, session: Sid) -> bool {
        let Some(socket) = self.socket(session) else {
            return false;
        };
        if socket.transport_type() == TransportType::Websocket {
            return false;
        }
        match socket.session.beat(&self.config) {
            Beat::Wait(at) | Beat::Ping(at) => self.sweep.add(at, session),
            Beat::Dead => {
                socket.session.end(Ended::Heartbeat);
                false
            }
        }
    }
}

/// Keeps the engine for as long as sessions poll: their ends are to be told even when its service is gone.
async fn sweep<H: EngineIoHandler>(engine: Arc<Engine<H>>) {
    // No session that is added meanwhile is due sooner.
    let pause = engine.config.ping_interval.min(engine.config.ping_timeout);
    loop {
        let now = Instant::now();
        let wake_at = match engine.sweep.next(now) {
            None => return,
            Some(Ok(session)) => {
                engine.look(session);
                continue;
            }
            Some(Err(at)) => at.min(now + pause),
        };
        sleep_until(wake_at).await;
        if wake_at.elapsed() > STOPPED {
            sleep(STOPPED).await;
        }
    }
}
