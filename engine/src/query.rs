//! The query of a request.
//!
//! Lives here: the only reader of it. Not here: what follows from it (`engine`).

use engineioxide_core::{ProtocolVersion, Sid, TransportType};
use http::Uri;
use percent_encoding::percent_decode_str;

/// The keys of Engine.IO. All other keys belong to the page.
const KEYS: [&str; 5] = ["EIO", "transport", "sid", "b64", "j"];

/// A query, as Engine.IO understands it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Query {
    /// The version of the protocol. One that is missing or unknown, or whose key is written `eio`, means version 3, as in the
    /// Node.js server.
    pub version: ProtocolVersion,
    /// The transport that the client asks for.
    pub transport: TransportType,
    /// The session that the request belongs to. A handshake has none.
    pub session: Option<Sid>,
    /// Whether the client of a polling session cannot read binary responses.
    pub base64: bool,
}

/// Why a request was refused, with a code and a message of the Node.js server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The transport is missing or unknown.
    Transport,
    /// There is no such session.
    Session,
    /// A session cannot begin by this method.
    Method,
    /// Anything else. In a query: a key is given twice or percent-encoded, a version contains `=` or `%`, or the client asks for
    /// JSONP, whose responses any site could read.
    Request,
}

impl Refusal {
    /// The code and the message of Engine.IO for this.
    #[must_use]
    pub fn words(self) -> (u8, &'static str) {
        match self {
            Self::Transport => (0, "Transport unknown"),
            Self::Session => (1, "Session ID unknown"),
            Self::Method => (2, "Bad handshake method"),
            Self::Request => (3, "Bad request"),
        }
    }
}

impl Query {
    /// Reads the query of an address.
    ///
    /// # Errors
    /// When it is not a query of Engine.IO, or can be read in more than one way.
    pub fn of(uri: &Uri) -> Result<Self, Refusal> {
        let [version, transport, session, base64, jsonp] = values(uri.query().unwrap_or_default())?;
        if jsonp.is_some() {
            return Err(Refusal::Request);
        }
        let transport = transport.and_then(|transport| transport.parse().ok());
        let session = session.map(|session| session.parse().map_err(|_| Refusal::Session));
        Ok(Self {
            version: protocol_version(version)?,
            transport: transport.ok_or(Refusal::Transport)?,
            session: session.transpose()?,
            base64: matches!(base64, Some("1" | "true")),
        })
    }
}

/// The values of [`KEYS`].
fn values(query: &str) -> Result<[Option<&str>; KEYS.len()], Refusal> {
    let mut values = [None; KEYS.len()];
    for pair in query.split('&') {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        let is_meant = |known: &str| percent_decode_str(key).eq(known.bytes());
        let mut slots = KEYS.iter().zip(&mut values);
        let Some((known, slot)) = slots.find(|(known, _)| is_meant(known)) else {
            continue;
        };
        if key != *known || slot.replace(value).is_some() {
            return Err(Refusal::Request);
        }
    }
    Ok(values)
}

fn protocol_version(version: Option<&str>) -> Result<ProtocolVersion, Refusal> {
    match version {
        Some("4") => Ok(ProtocolVersion::V4),
        Some(version) if version.contains(['=', '%']) => Err(Refusal::Request),
        Some(_) | None => Ok(ProtocolVersion::V3),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(query: &str) -> Result<Query, Refusal> {
        Query::of(&format!("/socket.io/?{query}").parse().unwrap())
    }

    #[test]
    fn every_version_but_4_is_version_3() {
        let polling = |query| read(query).map(|query| query.version);
        for three in [
            "EIO=3&transport=polling",
            "eio=3&transport=polling",
            "eio=4&transport=polling",
            "transport=polling&t=x",
            "transport=polling&EIO=99",
            "EIO=&transport=websocket",
        ] {
            assert_eq!(polling(three), Ok(ProtocolVersion::V3), "{three}");
        }
        assert_eq!(
            polling("a=b&EIO=4&transport=polling"),
            Ok(ProtocolVersion::V4)
        );
    }

    #[test]
    fn what_can_be_read_in_two_ways_is_refused() {
        for (query, refusal) in [
            ("", Refusal::Transport),
            ("EIO=4", Refusal::Transport),
            ("EIO=4&transport=websocket=x", Refusal::Transport),
            ("EIO=4&transport=Polling", Refusal::Transport),
            ("EIO=4&transport=%70olling", Refusal::Transport),
            (
                "EIO=4&transport=polling&transport=polling",
                Refusal::Request,
            ),
            ("EIO=4&EIO=3&transport=polling", Refusal::Request),
            ("%45IO=4&transport=polling", Refusal::Request),
            ("EIO=%34&transport=polling", Refusal::Request),
            ("EIO=4=4&transport=polling", Refusal::Request),
            ("EIO=4&transport=polling&j=0", Refusal::Request),
            ("EIO=4&transport=polling&sid=", Refusal::Session),
            ("EIO=4&transport=polling&sid=short", Refusal::Session),
            (
                "EIO=4&transport=polling&sid=AAAAAAAAAAAAAAA%41",
                Refusal::Session,
            ),
        ] {
            assert_eq!(read(query), Err(refusal), "{query}");
        }
    }

    proptest! {
        #[test]
        fn a_valid_query_is_read(
            four: bool, websocket: bool, sid in prop::option::of("[A-Za-z0-9_-]{16}"), base64: bool,
            own in "(&[a-z]{2}(=[A-Za-z0-9%+.:-]{0,9})?){0,3}"
        ) {
            let number = if four { 4 } else { 3 };
            let transport = if websocket { "websocket" } else { "polling" };
            let session = sid.as_ref().map(|sid| format!("&sid={sid}")).unwrap_or_default();
            let b64 = if base64 { "&b64=1" } else { "" };
            let query = read(&format!("EIO={number}&transport={transport}{session}{b64}{own}")).unwrap();
            prop_assert_eq!(query.version as u8, number);
            prop_assert_eq!(<&str>::from(query.transport), transport);
            prop_assert_eq!(query.session.map(|sid| sid.to_string()), sid);
            prop_assert_eq!(query.base64, base64);
        }

        #[test]
        fn junk_is_refused_without_a_panic(query in "[!-~&&[^#<>\"]]{0,60}") {
            let _ = read(&query);
        }
    }
}
