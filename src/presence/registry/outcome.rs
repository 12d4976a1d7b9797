//! What follows from an event, while it is being worked out.
//!
//! Lives here: collecting it. Not here: deciding (`registry`).

use super::super::{CaseRef, Change, ConnectionId, Effect, Message, Recipients};

/// The effects of an event, and the cases whose lists it has changed.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    pub(super) effects: Vec<Effect>,
    /// In the order in which their viewers are told.
    pub(super) cases: Vec<CaseRef>,
}

impl Outcome {
    /// An outcome that begins with these effects.
    pub(super) fn after(effects: Vec<Effect>) -> Self {
        Self {
            effects,
            cases: Vec::new(),
        }
    }

    pub(super) fn changed(&mut self, change: Change) {
        self.effects.push(Effect::Changed(change));
    }

    /// Sends a message to one connection.
    pub(super) fn tell(&mut self, conn: ConnectionId, message: Message) {
        self.effects.push(Effect::Send {
            to: Recipients::These(vec![conn]),
            message,
        });
    }

    /// Records that the list of viewers of a case has changed.
    pub(super) fn affects(&mut self, case: Option<CaseRef>) {
        self.cases.extend(case);
    }
}
