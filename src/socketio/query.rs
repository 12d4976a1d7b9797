//! The query of a request to Engine.IO.
//!
//! Lives here: reading it once. The library reads queries by rules of its own, so the daemon passes on a query that is rebuilt from
//! what it has read, and the two cannot disagree.

use http::{Uri, uri::PathAndQuery};
use percent_encoding::percent_decode_str;
use socketioxide::socket::Sid;

use super::engine::{EngineVersion, PATH};

/// The keys of Engine.IO. All other keys belong to the page.
const KEYS: [&str; 5] = ["EIO", "transport", "sid", "b64", "j"];

/// A query, as Engine.IO understands it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Query {
    pub(super) version: EngineVersion,
    pub(super) transport: Transport,
    /// The session that the request belongs to. A handshake has none.
    pub(super) session: Option<Sid>,
    /// Whether the client of a polling session cannot read binary responses.
    base64: bool,
}

/// The transport that a client asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Transport {
    Polling,
    Websocket,
}

/// Why a query was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BadQuery {
    /// The transport is missing or unknown.
    Transport,
    /// The session id is malformed.
    Session,
    /// A key is given twice or percent-encoded, a version contains `=` or `%`, or the client asks for JSONP, whose
    /// responses any site could read.
    Ambiguous,
}

impl BadQuery {
    /// The code and the message of Engine.IO for this.
    pub(super) fn words(self) -> (u8, &'static str) {
        match self {
            Self::Transport => (0, "Transport unknown"),
            Self::Session => (1, "Session ID unknown"),
            Self::Ambiguous => (3, "Bad request"),
        }
    }
}

impl Query {
    /// Reads the query of an address.
    pub(super) fn of(uri: &Uri) -> Result<Self, BadQuery> {
        let [version, transport, session, base64, jsonp] = values(uri.query().unwrap_or_default())?;
        if jsonp.is_some() {
            return Err(BadQuery::Ambiguous);
        }
        Ok(Self {
            version: engine_version(version)?,
            transport: match transport {
                Some("polling") => Transport::Polling,
                Some("websocket") => Transport::Websocket,
                _ => return Err(BadQuery::Transport),
            },
            session: session
                .map(|session| session.parse().map_err(|_| BadQuery::Session))
                .transpose()?,
            base64: matches!(base64, Some("1" | "true")),
        })
    }

    /// The address that the library is shown.
    pub(super) fn uri(self) -> Uri {
        let version = match self.version {
            EngineVersion::Three => 3,
            EngineVersion::Four => 4,
        };
        let transport = match self.transport {
            Transport::Polling => "polling",
            Transport::Websocket => "websocket",
        };
        let mut address = format!("{PATH}?EIO={version}&transport={transport}");
        if let Some(session) = self.session {
            address += "&sid=";
            address += session.as_str();
        }
        if self.base64 {
            address += "&b64=1";
        }
        // The library keeps it as long as the session, so it has no room to grow.
        let address = PathAndQuery::try_from(address.into_boxed_str().into_string());
        address.map_or_else(|_| Uri::default(), Uri::from)
    }
}

/// The values of [`KEYS`].
fn values(query: &str) -> Result<[Option<&str>; KEYS.len()], BadQuery> {
    let mut values = [None; KEYS.len()];
    for pair in query.split('&') {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        let is_meant = |known: &&str| percent_decode_str(key).eq(known.bytes());
        let Some((known, slot)) = KEYS
            .iter()
            .zip(&mut values)
            .find(|(known, _)| is_meant(known))
        else {
            continue;
        };
        if key != *known || slot.replace(value).is_some() {
            return Err(BadQuery::Ambiguous);
        }
    }
    Ok(values)
}

/// A version that is missing or unknown, or whose key is written `eio`, means version 3, as it did to the Node.js server.
fn engine_version(version: Option<&str>) -> Result<EngineVersion, BadQuery> {
    match version {
        Some("4") => Ok(EngineVersion::Four),
        Some(version) if version.contains(['=', '%']) => Err(BadQuery::Ambiguous),
        Some(_) | None => Ok(EngineVersion::Three),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_version_but_4_is_read_as_version_3() {
        for (asked, shown) in [
            ("EIO=4&transport=polling", "EIO=4&transport=polling"),
            ("EIO=3&transport=polling", "EIO=3&transport=polling"),
            ("eio=3&transport=polling", "EIO=3&transport=polling"),
            ("transport=polling&t=x", "EIO=3&transport=polling"),
            ("transport=polling&EIO=99", "EIO=3&transport=polling"),
            ("EIO=&transport=websocket", "EIO=3&transport=websocket"),
            (
                "b64=1&sid=AAAAAAAAAAAAAAAA&transport=polling&EIO=4",
                "EIO=4&transport=polling&sid=AAAAAAAAAAAAAAAA&b64=1",
            ),
        ] {
            let shown = format!("/socket.io/?{shown}");
            assert_eq!(read(asked).unwrap().uri().to_string(), shown, "{asked}");
        }
    }

    /// A key and its value, valid or nearly valid.
    fn pair() -> impl Strategy<Value = String> {
        let key = prop::sample::select(vec![
            "EIO",
            "transport",
            "transport",
            "sid",
            "b64",
            "j",
            "t",
            "%73id",
            "%45IO",
            "tr%61nsport",
            "transport=polling&",
            "",
        ]);
        let between = prop::sample::select(vec!["=", "=", "=", "=", "==", "%3D", ""]);
        let value = prop::sample::select(vec![
            "4",
            "3",
            "1",
            "true",
            "polling",
            "polling",
            "websocket",
            "AAAAAAAAAAAAAAAA",
            "%70olling",
            "",
        ]);
        let odd = "[!-~&&[^#<>\"]]{0,2}";
        (
            key,
            between,
            value,
            prop_oneof![4 => Just(String::new()), 1 => odd],
        )
            .prop_map(|(key, between, value, odd)| format!("{key}{between}{value}{odd}"))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1024))]

        #[test]
        fn engineioxide_reads_our_query_in_the_same_way(pairs in prop::collection::vec(pair(), 0..5)) {
            let asked = pairs.join("&");
            if let Ok(query) = read(&asked) {
                let uri = query.uri();
                prop_assert_eq!(library_reads(uri.query().unwrap()), Some(query));
                // engineioxide reads the query of the client in the same way, apart from versions that it does not know.
                let known = Query { version: EngineVersion::Four, ..query };
                let words = format!("EIO=4&{asked}");
                prop_assert_eq!(library_reads(&words), Some(known));
            }
        }

        #[test]
        fn a_valid_query_is_read(
            version in 3u8..5, websocket: bool, sid in prop::option::of("[A-Za-z0-9_-]{15}A"), base64: bool,
            own in "(&[a-z]{2}(=[A-Za-z0-9%+.:-]{0,9})?){0,3}"
        ) {
            let transport = if websocket { "websocket" } else { "polling" };
            let sid = sid.map(|sid| format!("&sid={sid}")).unwrap_or_default();
            let base64 = if base64 { "&b64=1" } else { "" };
            let asked = format!("EIO={version}&transport={transport}{sid}{base64}");
            let query = read(&format!("{asked}{own}")).unwrap();
            prop_assert_eq!(query.uri().to_string(), format!("/socket.io/?{asked}"));
        }
    }

    fn read(query: &str) -> Result<Query, BadQuery> {
        Query::of(&format!("/socket.io/?{query}").parse().unwrap())
    }

    /// A query as `engineioxide::service::parser` reads it.
    fn library_reads(query: &str) -> Option<Query> {
        let value = |key| {
            let pair = query.split('&').find(|pair| pair.starts_with(key));
            pair.and_then(|pair| pair.split('=').nth(1))
        };
        let rest = |key| query.split('&').find_map(|pair| pair.strip_prefix(key));
        Some(Query {
            version: match value("EIO=")? {
                "3" => EngineVersion::Three,
                "4" => EngineVersion::Four,
                _ => return None,
            },
            session: rest("sid=").map(str::parse).transpose().ok()?,
            transport: match value("transport=")? {
                "polling" => Transport::Polling,
                "websocket" => Transport::Websocket,
                _ => return None,
            },
            base64: rest("b64=").is_some_and(|value| value == "1" || value == "true"),
        })
    }
}
