//! Counting what happens to presence.
//!
//! Lives here: which counters an event or a change counts for. Not here: the counters (`names`).

use super::{Counter, Counters};
use crate::presence::{Change, Entry, Event, Evidence};

impl Counters {
    /// Counts an event that a browser sent.
    pub(crate) fn count_event(&self, event: &Event) {
        match event {
            Event::Identified { .. } => self.count(Counter::Identify),
            Event::CaseOpened { .. } => self.count(Counter::StartViewing),
            Event::CaseClosed { .. } => self.count(Counter::StopViewing),
            Event::Ended { .. } | Event::Dismissed { .. } => {}
        }
    }

    /// Counts a change of presence.
    pub(crate) fn count_change(&self, change: &Change) {
        match change {
            Change::Lost { .. } => self.count(Counter::PlaceLost),
            Change::Resumed { case, watched, .. } => {
                self.count(Counter::PlaceResumed);
                if case.is_some() {
                    self.count(Counter::EntryTakenOver);
                }
                if *watched {
                    self.count(Counter::FlickerSuppressed);
                }
            }
            Change::Reconnected { .. } => self.count(Counter::PlaceResumed),
            Change::Lapsed { staleness, .. } => {
                self.stale_for(*staleness);
                self.count(Counter::PlaceLapsed);
            }
            Change::Arrived { facts, .. } => {
                if let Some(entry) = facts.entry {
                    self.count(counter(entry));
                }
            }
            Change::Opened { .. } => self.count(Counter::EntryOpened),
            Change::PutBack { evidence, .. } => self.count(counter(Entry::PutBack(*evidence))),
            Change::Identified { .. }
            | Change::Closed { .. }
            | Change::Left { .. }
            | Change::Posted { .. } => {}
        }
    }
}

fn counter(entry: Entry) -> Counter {
    match entry {
        Entry::Opened => Counter::EntryOpened,
        Entry::TakenOver => Counter::EntryTakenOver,
        Entry::PutBack(Evidence::Start) => Counter::EntryAfterStart,
        Entry::PutBack(Evidence::Absence) => Counter::EntryAfterAbsence,
        Entry::PutBack(Evidence::DeadLine) => Counter::EntryAfterDeadLine,
    }
}
