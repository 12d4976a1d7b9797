//! The hub: the task that owns the registry.
//!
//! Lives here: its loop, and carrying out effects. Not here: deciding (`presence`), sending (`outlet`).
//! Invariant: nothing here waits for the network, the disk, or another task.

use std::{future::pending, ops::ControlFlow};

use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};

use super::{
    census::CensusPublisher,
    clock::wall_time,
    feed::Feed,
    inbox::{Inbox, Request},
    outlet::{Delivery, Outlet},
};
use crate::{
    presence::{Audience, Census, Change, Effect, Event, Message, Moment, Recipients, Registry},
    stats::Counters,
};

/// The most connections on one page of people. Making it takes a fraction of a millisecond.
const PAGE: usize = 250;

/// Owns the registry; see the module.
pub(crate) struct Hub<O> {
    registry: Registry,
    started: Instant,
    outlet: O,
    feed: Feed,
    census: CensusPublisher,
    counters: Counters,
}

impl<O: Outlet> Hub<O> {
    /// A hub that publishes the number of people to `census`.
    pub(crate) fn new(
        registry: Registry,
        outlet: O,
        census: watch::Sender<Census>,
        counters: Counters,
    ) -> Self {
        Self {
            registry: registry.started_at(wall_time()),
            started: Instant::now(),
            outlet,
            feed: Feed::new(),
            census: CensusPublisher::new(census),
            counters,
        }
    }

    /// Handles requests until one tells it to finish.
    pub(crate) async fn run(mut self, mut inbox: Inbox) {
        self.census.start(&self.registry);
        loop {
            self.registry.bear(inbox.load());
            tokio::select! {
                biased;
                () = until(self.next_due()) => {
                    let effects = self.registry.wake(self.now());
                    self.perform(effects);
                }
                request = inbox.recv() => {
                    let Some(request) = request else { return };
                    if self.handle(request).is_break() {
                        return;
                    }
                }
            }
        }
    }

    /// Handles one request. It makes no difference whether the caller still waits for the answer.
    fn handle(&mut self, request: Request) -> ControlFlow<()> {
        match request {
            Request::Frame {
                event,
                since,
                turn,
                inbox_permit,
            } => {
                self.counters.count_event(&event);
                self.apply(event);
                self.counters.handled_in(since.elapsed());
                drop((turn, inbox_permit));
            }
            Request::Ended {
                conn,
                ending,
                since,
            } => {
                let ending = ending.noticed_after(since.elapsed());
                self.apply(Event::Ended { conn, ending });
            }
            Request::Post {
                to,
                message,
                delivery,
            } => {
                let _ = delivery.send(self.post(&to, &message));
            }
            Request::Dismiss { conn, dismissed } => {
                let is_lost = self.registry.is_lost(conn);
                self.apply(Event::Dismissed { conn });
                let _ = dismissed.send(is_lost);
            }
            Request::People(cursor, page) => {
                let _ = page.send(self.registry.people(cursor, PAGE, self.now()));
            }
            Request::Snapshot(snapshot) => {
                let latest = self.registry.snapshot(self.now());
                let _ = snapshot.send((latest, self.feed.subscribe()));
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
                self.census.end();
                let _ = last.send(self.registry.snapshot(self.now()));
                return ControlFlow::Break(());
            }
        }
        ControlFlow::Continue(())
    }

    fn apply(&mut self, event: Event) {
        let effects = self.registry.apply(event, self.now());
        self.perform(effects);
    }

    fn post(&mut self, to: &Audience, message: &Message) -> Delivery {
        let posting = self.registry.post(to, message, self.now());
        self.perform(posting.due);
        let mut delivery = self.send(&posting.to, message);
        delivery.kept += posting.kept;
        self.publish(posting.change);
        delivery
    }

    fn perform(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Send { to, message } => {
                    self.census.publish_if_due(&self.registry);
                    self.send(&to, &message);
                }
                Effect::Changed(change) => self.publish(change),
            }
        }
        self.census.publish_if_due(&self.registry);
    }

    fn send(&self, to: &Recipients, message: &Message) -> Delivery {
        self.outlet.send(to, message, self.registry.load())
    }

    fn publish(&mut self, change: Change) {
        self.counters.count_change(&change);
        // A message changes no number of people.
        if !matches!(change, Change::Posted { .. }) {
            self.census.changed();
        }
        self.feed.publish(change);
    }

    /// When something falls due: an effect of the registry, or a census.
    fn next_due(&self) -> Option<Instant> {
        let effect = self.registry.next_due().map(|due| self.started + due);
        effect.into_iter().chain(self.census.next_due()).min()
    }

    fn now(&self) -> Moment {
        self.started.elapsed()
    }
}

async fn until(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment).await,
        None => pending().await,
    }
}
