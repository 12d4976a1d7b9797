//! Presence daemon for Civil Legal Advice: who else has this case open.

pub mod app;
pub mod config;
pub mod lifecycle;
pub mod presence;
mod realtime;
mod stats;
