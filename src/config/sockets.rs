//! Sockets that systemd opens for the daemon.
//!
//! Lives here: which socket unit belongs to which key, and the command that changes the address of a unit. Not here: taking
//! over the sockets, and asking systemd about the units.

use std::net::SocketAddr;

use ipnet::IpNet;

use super::networks::{loopback, not_public};
use super::values::Config;

/// Socket unit of the listener for browsers.
pub(crate) const PUBLIC_UNIT: &str = "cla-socketserver.socket";

/// Socket unit of the admin listener.
pub(crate) const ADMIN_UNIT: &str = "cla-socketserver-admin.socket";

static PUBLIC: Unit = Unit {
    name: PUBLIC_UNIT,
    key: "public.listen",
    listen: |config| &config.public.listen,
    allows: loopback,
    reminder: "name nginx",
};

static ADMIN: Unit = Unit {
    name: ADMIN_UNIT,
    key: "admin.listen",
    listen: |config| &config.admin.listen,
    allows: not_public,
    reminder: "name that network",
};

/// Name of the drop-in that the remedy writes. It sorts after `override.conf` of `systemctl edit`, so it wins.
const DROP_IN: &str = "zz-listen.conf";

/// The sockets that systemd opens for the daemon, as far as they are known.
#[derive(Debug, Clone)]
pub struct Sockets(Option<Vec<Socket>>);

/// The addresses of one socket unit.
#[derive(Debug, Clone)]
pub(super) struct Socket {
    pub(super) unit: &'static Unit,
    /// Texts of the unit, so that a mistake is shown as it was written.
    pub(super) listen: Vec<String>,
}

/// A socket unit and its key.
#[derive(Debug)]
pub(super) struct Unit {
    pub(super) name: &'static str,
    pub(super) key: &'static str,
    listen: fn(&Config) -> &Vec<SocketAddr>,
    /// Networks in `IPAddressAllow=` of the unit.
    allows: fn() -> Vec<IpNet>,
    /// Change that `IPAddressAllow=` needs for an address outside these networks.
    reminder: &'static str,
}

impl Default for Sockets {
    /// No sockets: the daemon opens its own.
    fn default() -> Self {
        Self(Some(Vec::new()))
    }
}

impl Sockets {
    /// Sockets that were passed to the daemon.
    #[must_use]
    pub fn passed(public: &[SocketAddr], admin: &[SocketAddr]) -> Self {
        let texts = |passed: &[SocketAddr]| passed.iter().map(SocketAddr::to_string).collect();
        Self::of_units(texts(public), texts(admin))
    }

    /// Sockets with the addresses of both socket units.
    #[must_use]
    pub fn of_units(public: Vec<String>, admin: Vec<String>) -> Self {
        let sockets = [(&PUBLIC, public), (&ADMIN, admin)];
        let sockets = sockets.map(|(unit, listen)| Socket { unit, listen });
        let is_open = |socket: &Socket| !socket.listen.is_empty();
        Self(Some(sockets.into_iter().filter(is_open).collect()))
    }

    /// Sockets with unknown addresses. Only the daemon can judge the addresses, once it has the sockets.
    #[must_use]
    pub fn unknown() -> Self {
        Self(None)
    }

    /// True if nothing is known about the sockets.
    #[must_use]
    pub fn are_unknown(&self) -> bool {
        self.0.is_none()
    }

    /// The sockets, or nothing if nothing is known about them.
    pub(super) fn known(&self) -> Option<&[Socket]> {
        self.0.as_deref()
    }
}

impl Unit {
    /// The configured addresses of the listener.
    pub(super) fn listen<'a>(&self, config: &'a Config) -> &'a Vec<SocketAddr> {
        (self.listen)(config)
    }

    /// A shell command that makes the unit open the given addresses.
    pub(super) fn remedy(&self, listen: &[SocketAddr]) -> String {
        let unit = self.name;
        let dir = format!("/etc/systemd/system/{unit}.d");
        let lines = listen
            .iter()
            .map(|address| format!(r"ListenStream={address}\n"));
        let lines = lines.collect::<Vec<_>>().concat();
        let reminder = self.reminder(listen);
        format!(
            r"mkdir -p {dir} && printf '[Socket]\nListenStream=\n{lines}' > {dir}/{DROP_IN} && systemctl daemon-reload && systemctl restart {unit} cla-socketserver{reminder}"
        )
    }

    /// A reminder for addresses that the unit does not allow. It is a shell comment, so that the whole line can be pasted.
    fn reminder(&self, listen: &[SocketAddr]) -> String {
        let allows = (self.allows)();
        let is_allowed = |address: &SocketAddr| {
            let ip = address.ip().to_canonical();
            allows.iter().any(|network| network.contains(&ip))
        };
        if listen.iter().all(is_allowed) {
            return String::new();
        }
        let must = self.reminder;
        format!("  # IPAddressAllow= of the unit must then {must}, see the top of the unit")
    }
}
