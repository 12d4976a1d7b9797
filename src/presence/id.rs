//! Names that clients send, bounded where they enter.
//!
//! Lives here: newtypes that cannot hold a bad value. Not here: how they relate to each other.

use std::{fmt, net::IpAddr, sync::Arc};

use super::legible::{is_blank, legible};

/// Why a text from outside was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InvalidText {
    /// The text is empty or shows nothing.
    Empty,
    /// The text is longer than its bound.
    TooLong,
    /// The text holds a control character.
    ControlCharacter,
}

impl fmt::Display for InvalidText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "empty",
            Self::TooLong => "too long",
            Self::ControlCharacter => "holds a control character",
        })
    }
}

impl std::error::Error for InvalidText {}

/// Declares a shared, immutable text of at most `$max` bytes without control characters.
macro_rules! bounded_text {
    ($(#[$doc:meta])* $name:ident, $max:literal) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            #[doc = concat!("The longest accepted text, in bytes: ", stringify!($max), ". Any client can allocate that much.")]
            pub const MAX_BYTES: usize = $max;

            /// The text as it was sent, without characters that could make it read as another.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<&str> for $name {
            type Error = InvalidText;

            fn try_from(text: &str) -> Result<Self, InvalidText> {
                bounded(text, Self::MAX_BYTES).map(Self)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

bounded_text! {
    /// A user name, which other viewers of a case are shown.
    Username, 128
}
bounded_text! {
    /// A user type: `operator`, `provider`, or any other word that a browser sent.
    UserType, 64
}
bounded_text! {
    /// The reference of a case.
    CaseRef, 128
}
bounded_text! {
    /// The version of the app that a browser runs.
    AppVersion, 64
}

bounded_text! {
    /// The `User-Agent` of a browser.
    UserAgent, 512
}
bounded_text! {
    /// The path of the address of the page that a browser shows.
    PagePath, 512
}

impl PagePath {
    /// Whether this is a page of `case`: one of the segments between slashes is its reference.
    #[must_use]
    pub fn names(&self, case: &CaseRef) -> bool {
        self.as_str().split('/').any(|part| part == case.as_str())
    }
}

/// A browser, as far as it can be told apart from others.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Browser {
    /// The address it connects from.
    pub address: IpAddr,
    /// Its `User-Agent`, if it sends one.
    pub agent: Option<UserAgent>,
}

/// The user type and version of a browser that does not tell.
const UNKNOWN: &str = "unknown";

impl Default for UserType {
    fn default() -> Self {
        Self(UNKNOWN.into())
    }
}

impl Default for AppVersion {
    fn default() -> Self {
        Self(UNKNOWN.into())
    }
}

/// The id of a connection: 16 characters drawn at random, and so unique across machines.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId([u8; Self::LEN]);

impl ConnectionId {
    const LEN: usize = 16;

    /// Sorts before every id.
    pub(super) const FIRST: Self = Self([0; Self::LEN]);

    /// Sorts after every id.
    pub(super) const LAST: Self = Self([u8::MAX; Self::LEN]);

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        // Always `Ok`: only visible ASCII is let in.
        str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl TryFrom<&str> for ConnectionId {
    type Error = InvalidText;

    fn try_from(text: &str) -> Result<Self, InvalidText> {
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(InvalidText::ControlCharacter);
        }
        let bytes = text.as_bytes().try_into();
        bytes.map(Self).map_err(|_| InvalidText::TooLong)
    }
}

impl fmt::Display for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

fn bounded(text: &str, max_bytes: usize) -> Result<Arc<str>, InvalidText> {
    if text.len() > max_bytes {
        Err(InvalidText::TooLong)
    } else if is_blank(text) {
        Err(InvalidText::Empty)
    } else if text.chars().any(char::is_control) {
        Err(InvalidText::ControlCharacter)
    } else {
        Ok(legible(text).into())
    }
}
