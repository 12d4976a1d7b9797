//! A user whose presence must stay undisturbed by other clients.

use serde_json::json;

use super::{
    browser::Browser,
    daemon::{Daemon, Settings, settings},
    poller::Poller,
    protocol::{Version, event_frame},
};

/// A daemon, and a user on a case of its own (`bystander`).
pub struct Bystander {
    pub daemon: Daemon,
    pub browser: Browser,
    round: usize,
}

impl Bystander {
    pub async fn new() -> Self {
        Self::with(settings()).await
    }

    pub async fn with(settings: Settings) -> Self {
        // A lost connection leaves its case at once, not when its place lapses.
        let daemon = settings.env("CLA_PRESENCE__GRACE_MS", 0).start().await;
        let mut browser = Browser::identified(daemon.public, Version::Three, "bystander").await;
        browser.open_case("bystander").await;
        browser.until_viewing(&["bystander"]).await;
        Self {
            daemon,
            browser,
            round: 0,
        }
    }

    /// Brings a client that polls to the bystander's case.
    pub async fn joined_by(&mut self, name: &str, version: Version) -> Poller {
        let session = Poller::joined(self.daemon.public, version).await;
        let identify = event_frame("identify", json!(name));
        let start = event_frame("startViewingCase", json!("bystander"));
        session.post(&[&identify, &start]).await;
        self.browser.until_viewing(&["bystander", name]).await;
        session
    }

    /// Asserts that the daemon still answers the bystander.
    pub async fn is_served(&mut self) {
        // Each round has a new name, so a late answer to an earlier round is not taken for this one.
        self.round += 1;
        let name = format!("bystander {}", self.round);
        self.browser.identify(&name).await;
        self.browser.open_case(&self.round.to_string()).await;
        self.browser.until_viewing(&[&name]).await;
    }
}
