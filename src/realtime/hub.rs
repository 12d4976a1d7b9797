//! The task that owns presence.
//!
//! Lives here: the loop, sending what the registry decides. Not here: deciding (`presence`), decoding (`wire`).
//! Invariant: the registry is never shared, so lists leave in the order in which their events arrived.

use std::{future::pending, ops::ControlFlow, sync::Arc};

use socketioxide::{BroadcastError, SendError, SocketError, SocketIo, extract::SocketRef};
use tokio::{
    sync::{Notify, watch},
    time::{Instant, sleep_until},
};
use tracing::{debug, error};

use super::{
    NAMESPACE, QUEUED_MESSAGES,
    hang_up::{HangUp, guest},
    inbox::{Delivery, Inbox, Request},
    wire::{self, Outgoing},
};
use crate::{
    config::Settings,
    lifecycle::Full,
    presence::{
        Census, Effect, Event, MOST_KEPT_BYTES, Message, Moment, Note, Recipients, Registry,
    },
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
    pub(crate) settings: Settings,
}

/// A room of the library for those who are about to be sent something.
const AUDIENCE: &str = "audience";

/// The same for what was posted. All that was kept for somebody who comes back must find room, or they would be closed
/// for it again and again; on the way it can be three times as long.
const POSTED_BYTES: usize = 3 * MOST_KEPT_BYTES;

/// So many connections are looked at in one go. It takes a fraction of a millisecond.
const AT_A_TIME: usize = 250;

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
    pub(crate) async fn run(mut self, mut inbox: Inbox) {
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
                    self.perform(effects).await;
                }
                request = inbox.recv() => {
                    let Some(request) = request else { return };
                    if self.handle(request).await.is_break() {
                        return;
                    }
                }
            }
        }
    }

    /// Callers may have given up waiting for their answer; that is their business.
    async fn handle(&mut self, request: Request) -> ControlFlow<()> {
        match request {
            Request::Frame {
                event,
                since,
                turn,
                room,
            } => {
                if let Some(counter) = counter(&event) {
                    self.outlet.counters.count(counter);
                }
                self.apply(event).await;
                self.outlet.counters.handled_in(since.elapsed());
                drop((turn, room));
            }
            Request::Ended { conn, ending } => {
                self.apply(Event::Ended { conn, ending }).await;
            }
            Request::Post {
                to,
                message,
                delivery,
            } => {
                let reached = self.apply(Event::Posted { to, message }).await;
                let _ = delivery.send(reached);
            }
            Request::Dismiss { conn, dismissed } => {
                let lost = self.registry.is_lost(conn);
                self.apply(Event::Dismissed { conn }).await;
                let _ = dismissed.send(lost);
            }
            Request::People(from, people) => {
                let _ = people.send(self.registry.people(from, AT_A_TIME, self.now()));
            }
            Request::Snapshot(snapshot) => {
                let _ = snapshot.send(self.registry.snapshot(self.now()));
            }
            Request::Reload(rules) => self.registry.reload(rules),
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
    async fn apply(&mut self, event: Event) -> Delivery {
        let effects = self.registry.apply(event, self.now());
        self.perform(effects).await
    }

    /// Nothing here really waits: the library's local adapter is done at once.
    async fn perform(&self, effects: Vec<Effect>) -> Delivery {
        self.changed.notify_one();
        let mut delivery = Delivery::default();
        for effect in effects {
            match effect {
                Effect::Send { to, message } => {
                    delivery = self.outlet.send(&to, &message).await;
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

    async fn send(&self, to: &Recipients, message: &Message) -> Delivery {
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
        self.counters.count(match message {
            Message::PeopleViewing(_) => Counter::PeopleViewing,
            Message::System(_) => Counter::SystemMessage,
            Message::Notification(_) => Counter::Notification,
        });
        // So many bytes may wait for one connection before another message for it is one too many.
        let queued_bytes = self.settings.now().limits.queued_bytes;
        let most = match message {
            Message::PeopleViewing(_) => queued_bytes,
            Message::System(_) | Message::Notification(_) => queued_bytes.max(POSTED_BYTES),
        };
        // Before it has been told that it is connected, a client could make nothing of this.
        let connected = sockets.into_iter().filter(|socket| socket.connected());
        let (awake, slow): (Vec<_>, Vec<_>) =
            connected.partition(|socket| self.has_room(socket, outgoing.bytes(), most));
        Delivery {
            reached: self.emit(&awake, &outgoing).await,
            kept: slow.len(),
        }
    }

    /// Whether a socket can be sent so much. One that cannot would keep a stale list, so it is made to come back. What it
    /// has missed is kept for it until then.
    fn has_room(&self, socket: &SocketRef, bytes: usize, most: usize) -> bool {
        let Some(guest) = guest(socket) else {
            return true;
        };
        let Err(full) = guest.backlog.grow(bytes, most, QUEUED_MESSAGES) else {
            return true;
        };
        self.give_up(
            socket,
            match full {
                Full::Bytes => Counter::QueueFull,
                Full::Messages => Counter::SlowReader,
            },
        );
        false
    }

    /// Sends to all of them what is encoded once, and returns how many there were.
    async fn emit(&self, sockets: &[SocketRef], outgoing: &Outgoing) -> usize {
        let Some(namespace) = self.io.of(NAMESPACE) else {
            return 0;
        };
        // The library encodes once only for a room, so there is one for as long as this takes. None is kept: it would be a
        // second copy of who views what.
        for socket in sockets {
            socket.join(AUDIENCE);
        }
        let audience = namespace.within(AUDIENCE);
        let sent = audience.emit(outgoing.event, &outgoing.payload).await;
        for socket in sockets {
            socket.leave_all();
        }
        match sent {
            Ok(()) => sockets.len(),
            Err(BroadcastError::Socket(errors)) => {
                let full = |error: &SocketError| matches!(error, SocketError::InternalChannelFull);
                if errors.iter().any(full) {
                    return self.emit_to_each(sockets, outgoing);
                }
                sockets.len() - errors.len()
            }
            Err(error) => {
                error!(%error, "a message could not be sent: {error}");
                0
            }
        }
    }

    /// Sends to one after the other, because nothing told whose queue was full: what the library answers by itself, to packets
    /// that make no event, is in no backlog. For the others it is the second time, which changes nothing on their screens.
    fn emit_to_each(&self, sockets: &[SocketRef], outgoing: &Outgoing) -> usize {
        let takes = |socket: &&SocketRef| {
            if let Some(guest) = guest(socket) {
                // It waits twice, if it waits, but nobody is closed for the second time.
                let _ = guest.backlog.grow(outgoing.bytes(), usize::MAX, usize::MAX);
            }
            let sent = socket.emit(outgoing.event, &outgoing.payload);
            if let Err(SendError::Socket(SocketError::InternalChannelFull)) = sent {
                self.give_up(socket, Counter::SlowReader);
            }
            sent.is_ok()
        };
        sockets.iter().filter(takes).count()
    }

    fn give_up(&self, socket: &SocketRef, counter: Counter) {
        if self.hang_up.hang_up(socket) {
            debug!(conn.id = %socket.id, "connection closed: it does not read");
            self.counters.count(counter);
        }
    }
}

fn counter(event: &Event) -> Option<Counter> {
    match event {
        Event::Identified { .. } => Some(Counter::Identify),
        Event::CaseOpened { .. } => Some(Counter::StartViewing),
        Event::CaseClosed { .. } => Some(Counter::StopViewing),
        Event::Ended { .. } | Event::Dismissed { .. } | Event::Posted { .. } => None,
    }
}

async fn until(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment).await,
        None => pending().await,
    }
}
