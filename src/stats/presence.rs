//! Counting what happens to presence.
//!
//! Lives here: which counters an event or a change counts for. Not here: the counters (`names`).

use super::{Counter, Counters};
use crate::presence::{Change, Event};

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
            Change::Resumed { watched, .. } => {
                self.count(Counter::PlaceResumed);
                if *watched {
                    self.count(Counter::FlickerSuppressed);
                }
            }
            Change::Reconnected { .. } => self.count(Counter::PlaceResumed),
            Change::Lapsed { staleness, .. } => {
                self.stale_for(*staleness);
                self.count(Counter::PlaceLapsed);
            }
            Change::Arrived { .. }
            | Change::Identified { .. }
            | Change::Opened { .. }
            | Change::Closed { .. }
            | Change::Left { .. }
            | Change::Posted { .. } => {}
        }
    }
}
