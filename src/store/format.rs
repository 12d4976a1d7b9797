//! The format of the file of places: JSON.
//!
//! Lives here: names and shapes, and the bounds of what is read back. Not here: the file itself (`store`).
//! Invariants: version 2 is written; versions 1 and 2 are read; unknown members are ignored, so that a later daemon can add a
//! member, such as a verified name, without a new version. A change of meaning is a new version.

use std::{borrow::Cow, fmt::Display, net::IpAddr, time::Duration};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

use crate::presence::{
    AppVersion, Audience, Browser, CaseRef, ConnectionId, Facts, Identity, Message, MessageNumber,
    NumberedMessage, SavedPlace, Snapshot, SystemMessage, UserAgent, UserType, Username, WallTime,
};

/// The mark that distinguishes this file from any other, with the version of the format.
#[derive(Debug, Serialize, Deserialize)]
enum Version {
    #[serde(rename = "cla-socketserver places 1")]
    One,
    #[serde(rename = "cla-socketserver places 2")]
    Two,
}

/// The whole file. The mark comes first, so that reading a foreign file ends at once.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct File {
    format: Version,
    next_message: u64,
    messages: Vec<PostedJson>,
    places: Vec<PlaceJson>,
}

#[derive(Debug, Serialize, Deserialize)]
struct PlaceJson {
    id: Text<ConnectionId>,
    username: Text<Username>,
    usertype: Text<UserType>,
    version: Text<AppVersion>,
    /// The user type, as first identified.
    first_usertype: Text<UserType>,
    case: Option<Text<CaseRef>>,
    /// When the place began and when its case was opened, in milliseconds since 1970. Version 1 has neither.
    since_ms: Option<u64>,
    opened_ms: Option<u64>,
    address: IpAddr,
    agent: Option<Text<UserAgent>>,
    unread_from: u64,
    left_ms: Option<u64>,
}

#[derive(Debug, Serialize, Deserialize)]
struct PostedJson {
    number: u64,
    to: AudienceJson,
    message: MessageJson,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum AudienceJson {
    Everyone,
    UserType(Text<UserType>),
    Chosen {
        users: Vec<Text<Username>>,
        connections: Vec<Text<ConnectionId>>,
    },
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum MessageJson {
    OutOfDate,
    /// JSON text.
    Notification(String),
}

/// A bounded text. Reading checks the bounds.
#[derive(Debug)]
struct Text<T>(T);

impl<T: Display> Serialize for Text<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de, T> Deserialize<'de> for Text<T>
where
    T: for<'text> TryFrom<&'text str, Error: Display>,
{
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<str>::deserialize(deserializer)?;
        T::try_from(&text).map(Self).map_err(D::Error::custom)
    }
}

impl From<Snapshot> for File {
    fn from(snapshot: Snapshot) -> Self {
        let messages = snapshot.messages.into_iter();
        Self {
            format: Version::Two,
            next_message: snapshot.next_message.0,
            messages: messages.filter_map(PostedJson::from_posted).collect(),
            places: snapshot.places.into_iter().map(Into::into).collect(),
        }
    }
}

impl File {
    /// The contents of a file that is read at `now`. A place of version 1 counts as begun at that time.
    pub(super) fn into_snapshot(self, now: WallTime) -> Snapshot {
        let File {
            format: Version::One | Version::Two,
            next_message,
            messages,
            places,
        } = self;
        let places = places.into_iter().map(|place| place.into_saved(now));
        Snapshot {
            places: places.collect(),
            messages: messages.into_iter().map(Into::into).collect(),
            next_message: MessageNumber(next_message),
        }
    }
}

impl From<SavedPlace> for PlaceJson {
    fn from(place: SavedPlace) -> Self {
        let facts = place.facts;
        Self {
            id: Text(place.conn),
            username: Text(facts.identity.username),
            usertype: Text(facts.identity.user_type),
            version: Text(facts.identity.app_version),
            first_usertype: Text(place.first_user_type),
            case: facts.case.map(Text),
            since_ms: Some(milliseconds(facts.since.0)),
            opened_ms: facts.opened_at.map(|at| milliseconds(at.0)),
            address: facts.browser.address,
            agent: facts.browser.agent.map(Text),
            unread_from: place.unread_from.0,
            left_ms: place.left.map(milliseconds),
        }
    }
}

impl PlaceJson {
    fn into_saved(self, now: WallTime) -> SavedPlace {
        let time = |milliseconds| WallTime(Duration::from_millis(milliseconds));
        let case = self.case.map(|case| case.0);
        let opened_at = self.opened_ms.map_or(now, time);
        SavedPlace {
            conn: self.id.0,
            facts: Facts {
                identity: Identity {
                    username: self.username.0,
                    user_type: self.usertype.0,
                    app_version: self.version.0,
                },
                browser: Browser {
                    address: self.address,
                    agent: self.agent.map(|agent| agent.0),
                },
                opened_at: case.is_some().then_some(opened_at),
                case,
                since: self.since_ms.map_or(now, time),
            },
            first_user_type: self.first_usertype.0,
            unread_from: MessageNumber(self.unread_from),
            left: self.left_ms.map(Duration::from_millis),
        }
    }
}

fn milliseconds(time: Duration) -> u64 {
    time.as_millis().try_into().unwrap_or(u64::MAX)
}

impl PostedJson {
    /// `None` for a list of viewers, which is never posted.
    fn from_posted(posted: NumberedMessage) -> Option<Self> {
        let message = match posted.message {
            Message::PeopleViewing(_) => return None,
            Message::System(SystemMessage::OutOfDate) => MessageJson::OutOfDate,
            Message::Notification(json) => MessageJson::Notification(json.to_string()),
        };
        let to = match posted.to {
            Audience::Everyone => AudienceJson::Everyone,
            Audience::UserType(user_type) => AudienceJson::UserType(Text(user_type)),
            Audience::Chosen { users, connections } => AudienceJson::Chosen {
                users: users.into_iter().map(Text).collect(),
                connections: connections.into_iter().map(Text).collect(),
            },
        };
        Some(Self {
            number: posted.number.0,
            to,
            message,
        })
    }
}

impl From<PostedJson> for NumberedMessage {
    fn from(posted: PostedJson) -> Self {
        let to = match posted.to {
            AudienceJson::Everyone => Audience::Everyone,
            AudienceJson::UserType(Text(user_type)) => Audience::UserType(user_type),
            AudienceJson::Chosen { users, connections } => Audience::Chosen {
                users: users.into_iter().map(|user| user.0).collect(),
                connections: connections.into_iter().map(|conn| conn.0).collect(),
            },
        };
        let message = match posted.message {
            MessageJson::OutOfDate => Message::System(SystemMessage::OutOfDate),
            MessageJson::Notification(json) => Message::Notification(json.into()),
        };
        Self {
            number: MessageNumber(posted.number),
            to,
            message,
        }
    }
}
