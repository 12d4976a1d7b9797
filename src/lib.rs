//! Presence daemon for Civil Legal Advice: who else has this case open.

pub mod admin;
pub mod lifecycle;
pub mod presence;
pub mod realtime;
