//! Versions of Engine.IO, and frames of Socket.IO.

use serde_json::{Value, json};

/// The version of Engine.IO that a client speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// Clients 1.x and 2.x.
    Three,
    /// Clients 3.x and 4.x.
    Four,
}

pub const VERSIONS: [Version; 2] = [Version::Three, Version::Four];

impl Version {
    pub fn number(self) -> u8 {
        match self {
            Self::Three => 3,
            Self::Four => 4,
        }
    }
}

/// An event in the namespace `/socket.io`, as a text frame.
pub fn event_frame(event: &str, payload: Value) -> String {
    format!("42/socket.io,{}", json!([event, payload]))
}

/// The payload of `identify` for an operator.
pub fn identity(name: &str) -> Value {
    json!({"username": name, "usertype": "operator", "appVersion": "1.0"})
}
