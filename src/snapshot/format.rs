//! The format of the file: JSON.
//!
//! Lives here: names and shapes, and the bounds that hold for what is read back. A change of meaning is a new version.

use std::{borrow::Cow, fmt::Display, net::IpAddr, time::Duration};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

use crate::presence::{
    AppVersion, Audience, Browser, CaseRef, ConnectionId, Identity, Message, Posted, SavedPlace,
    Snapshot, SystemMessage, UserAgent, UserType, Username,
};

/// What tells this file from any other, and the version that is written and read.
#[derive(Debug, Serialize, Deserialize)]
enum Format {
    #[serde(rename = "cla-socketserver places 1")]
    One,
}

/// The whole file. The format comes first, so that a foreign file is given up at once.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    format: Format,
    next_message: u64,
    messages: Vec<PostedJson>,
    places: Vec<PlaceJson>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PlaceJson {
    id: Text<ConnectionId>,
    username: Text<Username>,
    usertype: Text<UserType>,
    version: Text<AppVersion>,
    /// The user's kind, as first identified.
    first_usertype: Text<UserType>,
    case: Option<Text<CaseRef>>,
    address: IpAddr,
    agent: Option<Text<UserAgent>>,
    unread_from: u64,
    left_ms: Option<u64>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
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

/// A bounded text, which holds no bad value after reading either.
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
            format: Format::One,
            next_message: snapshot.next_message,
            messages: messages.filter_map(PostedJson::from_posted).collect(),
            places: snapshot.places.into_iter().map(Into::into).collect(),
        }
    }
}

impl From<File> for Snapshot {
    fn from(file: File) -> Self {
        let File {
            format: Format::One,
            next_message,
            messages,
            places,
        } = file;
        Self {
            places: places.into_iter().map(Into::into).collect(),
            messages: messages.into_iter().map(Into::into).collect(),
            next_message,
        }
    }
}

impl From<SavedPlace> for PlaceJson {
    fn from(place: SavedPlace) -> Self {
        Self {
            id: Text(place.conn),
            username: Text(place.identity.username),
            usertype: Text(place.identity.user_type),
            version: Text(place.identity.app_version),
            first_usertype: Text(place.user_type),
            case: place.case.map(Text),
            address: place.browser.address,
            agent: place.browser.agent.map(Text),
            unread_from: place.unread_from,
            left_ms: place
                .left
                .map(|left| left.as_millis().try_into().unwrap_or(u64::MAX)),
        }
    }
}

impl From<PlaceJson> for SavedPlace {
    fn from(place: PlaceJson) -> Self {
        Self {
            conn: place.id.0,
            identity: Identity {
                username: place.username.0,
                user_type: place.usertype.0,
                app_version: place.version.0,
            },
            user_type: place.first_usertype.0,
            browser: Browser {
                address: place.address,
                agent: place.agent.map(|agent| agent.0),
            },
            case: place.case.map(|case| case.0),
            unread_from: place.unread_from,
            left: place.left_ms.map(Duration::from_millis),
        }
    }
}

impl PostedJson {
    /// Lists of viewers are not posted.
    fn from_posted(posted: Posted) -> Option<Self> {
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
            number: posted.number,
            to,
            message,
        })
    }
}

impl From<PostedJson> for Posted {
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
            number: posted.number,
            to,
            message,
        }
    }
}
