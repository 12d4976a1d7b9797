//! The task that owns presence.
//!
//! Lives here: the loop, sending what the registry decides. Not here: deciding (`presence`), decoding (`wire`).
//! Invariant: the registry is never shared, so lists leave in the order in which their events arrived.

use std::future::pending;

use socketioxide::{SendError, SocketError, SocketIo, extract::SocketRef};
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::{Duration, Instant, sleep_until},
};
use tracing::{debug, error};

use super::{
    NAMESPACE,
    hang_up::HangUp,
    inbox::Request,
    wire::{self, Outgoing},
};
use crate::{
    presence::{Census, Effect, Event, Message, Moment, Recipients, Registry},
    stats::{Counter, Counters},
};

/// Owns the registry; see the module.
pub(crate) struct Hub {
    registry: Registry,
    started: Instant,
    outlet: Outlet,
    census: watch::Sender<Census>,
}

/// The way out to browsers.
pub(crate) struct Outlet {
    pub(crate) io: SocketIo,
    pub(crate) hang_up: HangUp,
    pub(crate) counters: Counters,
}

impl Hub {
    pub(crate) fn new(
        merge_interval: Duration,
        outlet: Outlet,
        census: watch::Sender<Census>,
    ) -> Self {
        Self {
            registry: Registry::new(merge_interval),
            started: Instant::now(),
            outlet,
            census,
        }
    }

    /// Handles requests until it is told to drain.
    pub(crate) async fn run(mut self, mut inbox: mpsc::Receiver<Request>) {
        loop {
            tokio::select! {
                biased;
                () = until(self.registry.next_due().map(|due| self.started + due)) => {
                    let effects = self.registry.wake(self.now());
                    self.perform(effects);
                }
                request = inbox.recv() => match request {
                    Some(Request::Drain(drained)) => return self.drain(drained),
                    Some(request) => self.handle(request),
                    None => return,
                },
            }
        }
    }

    /// Callers may have given up waiting for their answer; that is their business.
    fn handle(&mut self, request: Request) {
        match request {
            Request::Frame { event, turn } => {
                self.apply(event);
                drop(turn);
            }
            Request::Ended(conn) => {
                self.apply(Event::Disconnected { conn });
            }
            Request::Post {
                to,
                message,
                reached,
            } => {
                let _ = reached.send(self.apply(Event::Posted { to, message }));
            }
            Request::People(people) => {
                let _ = people.send(self.registry.people());
            }
            Request::Ping(pong) => {
                let _ = pong.send(());
            }
            Request::Drain(drained) => {
                let _ = drained.send(());
            }
        }
    }

    /// Leaves the dashboards at zero: whoever is connected now is about to be somewhere else.
    fn drain(self, drained: oneshot::Sender<()>) {
        self.census.send_replace(Census::default());
        let _ = drained.send(());
    }

    /// Returns how many connections took the last message sent, which is the posted one if there was one.
    fn apply(&mut self, event: Event) -> usize {
        let effects = self.registry.apply(event, self.now());
        self.perform(effects)
    }

    fn perform(&self, effects: Vec<Effect>) -> usize {
        let mut reached = 0;
        for effect in effects {
            match effect {
                Effect::Send { to, message } => reached = self.outlet.send(&to, &message),
                Effect::Report(census) => {
                    self.census.send_replace(census);
                }
            }
        }
        reached
    }

    fn now(&self) -> Moment {
        self.started.elapsed()
    }
}

impl Outlet {
    /// Returns how many connections took the message.
    fn send(&self, to: &Recipients, message: &Message) -> usize {
        let outgoing = match wire::encode(message) {
            Ok(outgoing) => outgoing,
            Err(error) => {
                error!(%error, "a message could not be encoded: {error}");
                return 0;
            }
        };
        let Some(namespace) = self.io.of(NAMESPACE) else {
            return 0;
        };
        let sockets: Vec<_> = match to {
            Recipients::Everyone => namespace.sockets(),
            Recipients::These(connections) => connections
                .iter()
                .filter_map(|conn| namespace.get_socket(conn.as_str().parse().ok()?))
                .collect(),
        };
        let took = |socket: &&SocketRef| self.send_to(socket, &outgoing);
        sockets.iter().filter(took).count()
    }

    /// A socket that has no room for a message would keep a stale list, so it is made to come back.
    fn send_to(&self, socket: &SocketRef, outgoing: &Outgoing) -> bool {
        let sent = socket.emit(outgoing.event, &outgoing.payload);
        if let Err(SendError::Socket(SocketError::InternalChannelFull)) = &sent {
            debug!(conn.id = %socket.id, "connection closed: it does not read");
            self.counters.count(Counter::SlowReader);
            self.hang_up.hang_up(socket);
        }
        sent.is_ok()
    }
}

async fn until(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment).await,
        None => pending().await,
    }
}
