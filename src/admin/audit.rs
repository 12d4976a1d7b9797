//! What administrators have done, for the journal.
//!
//! Lives here: the lines. Not here: names of people and what a message says, which no log may hold.

use std::{convert::Infallible, fmt, net::IpAddr};

use axum::extract::FromRequestParts;
use http::request::Parts;
use tracing::info;

use crate::{
    lifecycle::Peer,
    presence::{Audience, ConnectionId, Message},
    realtime::Delivery,
};

/// Who does it, by address. Over an SSH tunnel that is this machine.
#[derive(Clone, Copy, Debug)]
pub(super) struct Administrator(Option<IpAddr>);

impl<S: Sync> FromRequestParts<S> for Administrator {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let peer = parts.extensions.get::<Peer>();
        Ok(Self(peer.map(|Peer(address)| *address)))
    }
}

impl fmt::Display for Administrator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(address) => address.fmt(f),
            None => f.write_str("unknown"),
        }
    }
}

impl Administrator {
    /// Sent a message.
    pub(super) fn sent(self, message: &Message, to: &Audience, delivery: Delivery) {
        let (what, to) = (describe(message), recipients(to));
        let Delivery { reached, kept } = delivery;
        info!(
            audit.by = %self,
            audit.what = what,
            audit.to = to,
            reached,
            kept,
            "{what} sent to {to}, by {self}: reached {reached}, kept for {kept}"
        );
    }

    /// Ended a lost place by hand.
    pub(super) fn ended(self, place: ConnectionId) {
        info!(
            audit.by = %self,
            audit.what = "end of a lost place",
            conn.id = %place,
            "place ended by hand, by {self}"
        );
    }
}

fn describe(message: &Message) -> String {
    match message {
        Message::System(message) => format!("system message {}", message.id()),
        Message::Notification(json) => format!("notification of {} bytes", json.len()),
        // Nobody posts it.
        Message::PeopleViewing(_) => String::new(),
    }
}

fn recipients(to: &Audience) -> String {
    match to {
        Audience::Everyone => "everyone".to_owned(),
        Audience::UserType(user_type) => format!("user type {user_type}"),
        Audience::Chosen { users, connections } => {
            let users = counted(users.len(), "user");
            format!("{users} and {}", counted(connections.len(), "connection"))
        }
    }
}

fn counted(count: usize, what: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {what}{plural}")
}
