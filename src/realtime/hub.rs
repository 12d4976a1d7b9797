//! The task that owns presence.
//!
//! Lives here: the loop, sending what the registry decides. Not here: deciding (`presence`), decoding (`wire`).
//! Invariant: the registry is never shared, so lists leave in the order in which their events arrived.

use std::{future::pending, ops::ControlFlow, sync::Arc};

use socketioxide::{SendError, SocketError, SocketIo, extract::SocketRef};
use tokio::{
    sync::{Notify, mpsc, watch},
    time::{Instant, sleep_until},
};
use tracing::{debug, error};

use super::{
    NAMESPACE,
    hang_up::HangUp,
    inbox::{Delivery, Request},
    wire,
};
use crate::{
    presence::{Census, Effect, Event, Message, Moment, Note, Recipients, Registry},
    stats::{Counter, Counters},
};

/// Owns the registry; see the module.
pub(crate) struct Hub {
    registry: Registry,
    started: Instant,
    outlet: Outlet,
    census: watch::Sender<Census>,
    /// Told of every change that a snapshot might show.
    changed: Arc<Notify>,
}

/// The way out to browsers.
pub(crate) struct Outlet {
    pub(crate) io: SocketIo,
    pub(crate) hang_up: HangUp,
    pub(crate) counters: Counters,
}

impl Hub {
    pub(crate) fn new(
        registry: Registry,
        outlet: Outlet,
        census: watch::Sender<Census>,
        changed: Arc<Notify>,
    ) -> Self {
        Self {
            registry,
            started: Instant::now(),
            outlet,
            census,
            changed,
        }
    }

    /// Handles requests until it is told to finish.
    pub(crate) async fn run(mut self, mut inbox: mpsc::Receiver<Request>) {
        // Those of the daemon before are still counted.
        let census = self.registry.census();
        self.census.send_if_modified(|latest| {
            let changed = *latest != census;
            *latest = census;
            changed
        });
        loop {
            tokio::select! {
                biased;
                () = until(self.registry.next_due().map(|due| self.started + due)) => {
                    let effects = self.registry.wake(self.now());
                    self.perform(effects);
                }
                request = inbox.recv() => match request.map(|request| self.handle(request)) {
                    Some(ControlFlow::Continue(())) => {}
                    Some(ControlFlow::Break(())) | None => return,
                },
            }
        }
    }

    /// Callers may have given up waiting for their answer; that is their business.
    fn handle(&mut self, request: Request) -> ControlFlow<()> {
        match request {
            Request::Frame { event, turn } => {
                self.apply(event);
                drop(turn);
            }
            Request::Ended { conn, ending } => {
                self.apply(Event::Ended { conn, ending });
            }
            Request::Post {
                to,
                message,
                delivery,
            } => {
                let _ = delivery.send(self.apply(Event::Posted { to, message }));
            }
            Request::Dismiss { conn, dismissed } => {
                let lost = self.registry.is_lost(conn);
                self.apply(Event::Dismissed { conn });
                let _ = dismissed.send(lost);
            }
            Request::People(people) => {
                let _ = people.send(self.registry.people(self.now()));
            }
            Request::Snapshot(snapshot) => {
                let _ = snapshot.send(self.registry.snapshot(self.now()));
            }
            Request::Ping(pong) => {
                let _ = pong.send(());
            }
            Request::Drain(drained) => {
                self.registry.drain();
                let _ = drained.send(());
            }
            Request::Finish(last) => {
                // Leaves the dashboards at zero: whoever was connected is about to be somewhere else.
                self.census.send_replace(Census::default());
                let _ = last.send(self.registry.snapshot(self.now()));
                return ControlFlow::Break(());
            }
        }
        ControlFlow::Continue(())
    }

    /// Returns whom the last message sent reaches, which is the posted one if there was one.
    fn apply(&mut self, event: Event) -> Delivery {
        let effects = self.registry.apply(event, self.now());
        self.perform(effects)
    }

    fn perform(&self, effects: Vec<Effect>) -> Delivery {
        self.changed.notify_one();
        let mut delivery = Delivery::default();
        for effect in effects {
            match effect {
                Effect::Send { to, message } => {
                    delivery = self.outlet.send(&to, &message);
                }
                Effect::Keep(kept) => delivery.kept += kept,
                Effect::Report(census) => {
                    self.census.send_replace(census);
                }
                Effect::Note(note) => self.outlet.count(note),
            }
        }
        delivery
    }

    fn now(&self) -> Moment {
        self.started.elapsed()
    }
}

impl Outlet {
    fn count(&self, note: Note) {
        self.counters.count(match note {
            Note::Lost => Counter::PlaceLost,
            Note::Resumed => Counter::PlaceResumed,
            Note::FlickerSuppressed => Counter::FlickerSuppressed,
            Note::Lapsed { staleness } => {
                self.counters.stale_for(staleness);
                Counter::PlaceLapsed
            }
        });
    }

    fn send(&self, to: &Recipients, message: &Message) -> Delivery {
        let outgoing = match wire::encode(message) {
            Ok(outgoing) => outgoing,
            Err(error) => {
                error!(%error, "a message could not be encoded: {error}");
                return Delivery::default();
            }
        };
        let Some(namespace) = self.io.of(NAMESPACE) else {
            return Delivery::default();
        };
        let sockets: Vec<_> = match to {
            Recipients::Everyone => namespace.sockets(),
            Recipients::These(connections) => connections
                .iter()
                .filter_map(|conn| namespace.get_socket(conn.as_str().parse().ok()?))
                .collect(),
        };
        let mut delivery = Delivery::default();
        for socket in &sockets {
            match socket.emit(outgoing.event, &outgoing.payload) {
                Ok(()) => delivery.reached += 1,
                Err(SendError::Socket(SocketError::InternalChannelFull)) => {
                    self.give_up(socket);
                    delivery.kept += 1;
                }
                Err(SendError::Socket(SocketError::Closed) | SendError::Serialize(_)) => {}
            }
        }
        delivery
    }

    /// A socket that has no room for a message would keep a stale list, so it is made to come back. What it has missed is
    /// kept for it until then.
    fn give_up(&self, socket: &SocketRef) {
        debug!(conn.id = %socket.id, "connection closed: it does not read");
        self.counters.count(Counter::SlowReader);
        self.hang_up.hang_up(socket);
    }
}

async fn until(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment).await,
        None => pending().await,
    }
}
