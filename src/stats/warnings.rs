//! Warnings about refusals that a setting would prevent.
//!
//! Lives here: which counters point to a setting, and the log line for each. Not here: counting.
//! Invariant: clients can cause any number of refusals, so there is at most one line a minute for each counter, and its example is
//! short and cannot forge another line.

use std::time::Duration;

use tokio::time::{Instant, interval};
use tracing::warn;

use super::{Counter, Counters};

/// The shortest time between two lines about one counter.
const PAUSE: Duration = Duration::from_mins(1);

/// The interval at which the counters are read.
const TICK: Duration = Duration::from_secs(1);

/// The log line about a counter. `{count}` is its growth since the previous line, `{example}` an example if there is one.
struct Advice(Counter, &'static str);

#[rustfmt::skip]
static ADVICE: &[Advice] = &[
    Advice(Counter::OriginRefused, "handshakes refused because their page is of another site: {count}{example}; if that is the site of this daemon, add its host to site_hostname"),
    Advice(Counter::ProxyUntrusted, "handshakes whose X-Real-IP was ignored because their sender is not a trusted proxy: {count}{example}; if it is nginx, add it to public.trusted_proxies, or all browsers count as one address"),
    Advice(Counter::AdminHost, "requests to the admin app refused because of their host name: {count}{example}; if that is a name of this machine, add it to admin.hostnames"),
    Advice(Counter::AdminAddress, "requests to the admin app refused because of their address: {count}{example}; if that is staff or the back-end, add it to admin.allow_from"),
    Advice(Counter::AdminBody, "posts to the admin app refused because they are larger than limits.admin_body_bytes: {count}"),
    Advice(Counter::SessionsFull, "handshakes refused because limits.sessions are open: {count}; if they are staff, raise it, and MemoryMax= of the unit"),
    Advice(Counter::AddressFull, "handshakes refused because their address has limits.sessions_per_address open: {count}; raise it for a larger office; if every browser has the address of nginx, nginx must send X-Real-IP and be in public.trusted_proxies"),
    Advice(Counter::HandshakeFlood, "handshakes refused because more arrive per second than limits.sessions allows: {count}; if they are staff, raise it"),
    Advice(Counter::AddressFlood, "handshakes refused because their address makes more than limits.handshakes_per_second_per_address: {count}; raise it for a larger office; if every browser has the address of nginx, nginx must send X-Real-IP and be in public.trusted_proxies"),
    Advice(Counter::NetworkFull, "handshakes refused because their network has half of limits.sessions open: {count}; raise it for a larger office; if every browser has the address of nginx, nginx must send X-Real-IP and be in public.trusted_proxies"),
    Advice(Counter::NetworkFlood, "handshakes refused because more arrive per second from their network than half of limits.sessions allows: {count}; raise it for a larger office; if every browser has the address of nginx, nginx must send X-Real-IP and be in public.trusted_proxies"),
    Advice(Counter::AcceptDelayed, "connections that had to wait because the limit of open connections was reached: {count}; raise LimitNOFILE= of the unit, or close idle connections if it was the admin app"),
    Advice(Counter::AcceptFailed, "connections that could not be accepted, most likely for want of open files: {count}; raise LimitNOFILE= of the unit"),
];

/// Logs warnings until it is stopped.
pub(crate) async fn warn_of_refusals(counters: Counters) {
    let mut warnings = Warnings::new(counters);
    let mut tick = interval(TICK);
    loop {
        let now = tick.tick().await;
        for line in warnings.due(now) {
            warn!("{line}");
        }
    }
}

/// The state of all warnings.
struct Warnings {
    counters: Counters,
    /// In the order of [`ADVICE`].
    logged: Vec<Logged>,
}

#[derive(Clone, Copy, Default)]
struct Logged {
    total: u64,
    at: Option<Instant>,
}

impl Warnings {
    fn new(counters: Counters) -> Self {
        Self {
            counters,
            logged: vec![Logged::default(); ADVICE.len()],
        }
    }

    /// The lines that are due now.
    fn due(&mut self, now: Instant) -> Vec<String> {
        let mut lines = Vec::new();
        for (Advice(counter, text), logged) in ADVICE.iter().zip(&mut self.logged) {
            let total = self.counters.total(*counter);
            if total == logged.total || logged.at.is_some_and(|at| now < at + PAUSE) {
                continue;
            }
            let example = self.counters.take_example(*counter);
            let example = example.map(|example| format!(", for example {example}"));
            let count = (total - logged.total).to_string();
            let line = text.replace("{count}", &count);
            lines.push(line.replace("{example}", &example.unwrap_or_default()));
            *logged = Logged {
                total,
                at: Some(now),
            };
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::keys;

    #[test]
    fn a_refusal_is_one_line_a_minute_with_the_number_since_the_last() {
        let counters = Counters::default();
        let mut warnings = Warnings::new(counters.clone());
        let start = Instant::now();
        let mut at = |seconds| warnings.due(start + Duration::from_secs(seconds));
        assert!(at(0).is_empty());
        counters.refuse(Counter::AdminHost, "one.internal");
        counters.refuse(Counter::AdminHost, "two.internal");
        let lines = at(1);
        assert_eq!(lines.len(), 1);
        assert!(
            lines[0].contains(": 2, for example one.internal;"),
            "{lines:?}"
        );
        counters.refuse(Counter::AdminHost, "three.internal");
        counters.count(Counter::SessionsFull);
        let lines = at(60);
        assert_eq!(lines.len(), 1, "each counter has a minute of its own");
        assert!(lines[0].contains("limits.sessions"), "{lines:?}");
        for _ in 0..6 {
            counters.count(Counter::AdminHost);
        }
        let lines = at(61);
        assert!(
            lines[0].contains(": 7, for example three.internal;"),
            "{lines:?}"
        );
        assert!(at(500).is_empty(), "no refusal since the last line");
    }

    #[test]
    fn an_example_is_short_and_cannot_forge_a_line() {
        let long = "x".repeat(500);
        for (example, quoted) in [
            ("chs.example.org", "chs.example.org"),
            ("[2001:db8::1]", "[2001:db8::1]"),
            ("a\nERROR \"b\" \u{202e}c", "a_ERROR__b___c"),
            (&long, &long[..100]),
        ] {
            let counters = Counters::default();
            counters.refuse(Counter::OriginRefused, example);
            let taken = counters.take_example(Counter::OriginRefused);
            assert_eq!(taken.as_deref(), Some(quoted), "{example}");
        }
    }

    #[test]
    fn every_line_names_what_to_change() {
        for Advice(counter, text) in ADVICE {
            let words = text.split([' ', ',', ';', ':']);
            let is_setting =
                |word: &&str| word.ends_with('=') || keys().iter().any(|key| key.name == *word);
            let (settings, others): (Vec<_>, Vec<_>) = words.partition(is_setting);
            assert!(!settings.is_empty(), "{counter:?}");
            let unknown = others.iter().find(|word| word.contains(['.', '_']));
            assert_eq!(unknown, None, "{counter:?}");
            assert_eq!(text.matches("{count}").count(), 1, "{counter:?}");
        }
    }
}
