//! Log lines about what administrators have done.
//!
//! Lives here: the lines. They contain no user names and no text of a message, because no log may.

use std::{convert::Infallible, fmt, net::IpAddr};

use axum::extract::FromRequestParts;
use http::request::Parts;
use tracing::info;

use crate::{
    hub::Delivery,
    net::Peer,
    presence::{Audience, ConnectionId, Message},
};

/// The address that a request came from. Over an SSH tunnel, that is this machine.
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
    /// Logs that a message was sent.
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

    /// Logs that a lost place was ended by hand.
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
        // It is never posted.
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
