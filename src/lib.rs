//! Presence daemon for Civil Legal Advice: who else has this case open.

pub mod config;
pub mod presence;
pub mod realtime;
