//! The text of system messages.
//!
//! Lives here: what administrators read. Browsers are sent only the id, and word the message by themselves.

use crate::presence::SystemMessage;

/// The text of a message, for administrators and the demonstration page.
pub(super) const fn label(message: SystemMessage) -> &'static str {
    match message {
        SystemMessage::OutOfDate => "Your app is out of date: please refresh the page",
    }
}
