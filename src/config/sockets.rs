//! The addresses that systemd opens for the daemon.
//!
//! Lives here: which socket unit stands for which key, and reading these units as systemd would. Not here: taking the
//! sockets over (`lifecycle`).
//! `check` goes by the files: it runs before the start, when no socket has been passed yet, in a sandbox from which
//! systemd cannot be asked. It leaves out what units of ours do not need: lines continued by a backslash, and drop-ins
//! for several units at once, such as `cla-socketserver-.socket.d` and `socket.d`. The daemon itself goes by the
//! sockets that it was passed.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use ipnet::IpNet;

use super::{Config, LOOPBACK, networks, not_public};

static PUBLIC: Unit = Unit {
    name: "cla-socketserver.socket",
    key: "public.listen",
    listen: |config| &config.public.listen,
    lets_in: networks_of_this_machine,
    caveat: "name nginx",
};

static ADMIN: Unit = Unit {
    name: "cla-socketserver-admin.socket",
    key: "admin.listen",
    listen: |config| &config.admin.listen,
    lets_in: not_public,
    caveat: "name that network",
};

/// Where systemd looks for units; of two files with one name the first counts.
const UNIT_PATH: &str =
    "/etc/systemd/system:/run/systemd/system:/usr/local/lib/systemd/system:/usr/lib/systemd/system";

/// Overrules [`UNIT_PATH`], for systemd as for us.
const UNIT_PATH_VARIABLE: &str = "SYSTEMD_UNIT_PATH";

/// The drop-in of the remedy. Sorts after `override.conf`, by which `systemctl edit` would take its addresses back.
const DROP_IN: &str = "zz-listen.conf";

/// Is there wherever systemd runs the machine: see `sd_booted(3)`.
const BOOTED: &str = "/run/systemd/system";

/// The addresses of the sockets that systemd opens; none, where it opens none.
#[derive(Debug, Clone, Default)]
pub struct Sockets(Vec<Socket>);

/// What one unit opens.
#[derive(Debug, Clone)]
pub(super) struct Socket {
    pub(super) unit: &'static Unit,
    /// As the unit has them, so that a mistake is shown as it was written.
    pub(super) listen: Vec<String>,
}

/// A socket unit and the key that it stands for.
#[derive(Debug)]
pub(super) struct Unit {
    pub(super) name: &'static str,
    pub(super) key: &'static str,
    listen: fn(&Config) -> &Vec<SocketAddr>,
    /// The networks in its `IPAddressAllow=`.
    lets_in: fn() -> Vec<IpNet>,
    /// What else `IPAddressAllow=` must do for an address outside of these networks.
    caveat: &'static str,
}

impl Sockets {
    /// What the daemon was passed.
    #[must_use]
    pub fn passed(public: &[SocketAddr], admin: &[SocketAddr]) -> Self {
        let texts = |passed: &[SocketAddr]| passed.iter().map(SocketAddr::to_string).collect();
        Self::of([(&PUBLIC, texts(public)), (&ADMIN, texts(admin))])
    }

    /// What the daemon would be passed, by the units on this machine.
    #[must_use]
    pub fn of_units(env: &[(String, String)]) -> Self {
        let given = env.iter().find(|(name, _)| name == UNIT_PATH_VARIABLE);
        let path = match given {
            Some((_, path)) => path,
            None if Path::new(BOOTED).is_dir() => UNIT_PATH,
            None => return Self::default(),
        };
        let path = path.split(':').filter(|dir| !dir.is_empty());
        let path: Vec<_> = path.map(Path::new).collect();
        // Of a unit that cannot be read nothing is said: the daemon will see what it is passed.
        let listen = |unit: &Unit| listen_streams(&path, unit.name).unwrap_or_default();
        Self::of([&PUBLIC, &ADMIN].map(|unit| (unit, listen(unit))))
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Socket> {
        self.0.iter()
    }

    fn of(sockets: [(&'static Unit, Vec<String>); 2]) -> Self {
        let sockets = sockets.map(|(unit, listen)| Socket { unit, listen });
        let opened = |socket: &Socket| !socket.listen.is_empty();
        Self(sockets.into_iter().filter(opened).collect())
    }
}

impl Unit {
    /// The addresses in a configuration that this unit stands for.
    pub(super) fn listen<'a>(&self, config: &'a Config) -> &'a Vec<SocketAddr> {
        (self.listen)(config)
    }

    /// What to run so that it opens these addresses.
    pub(super) fn remedy(&self, listen: &[SocketAddr]) -> String {
        let unit = self.name;
        let dir = format!("/etc/systemd/system/{unit}.d");
        let lines = listen
            .iter()
            .map(|address| format!(r"ListenStream={address}\n"));
        let lines = lines.collect::<Vec<_>>().concat();
        // As a comment of the shell, so that the whole can be pasted.
        let lets_in = (self.lets_in)();
        let is_let_in = |address: &SocketAddr| {
            let ip = address.ip().to_canonical();
            lets_in.iter().any(|network| network.contains(&ip))
        };
        let caveat = if listen.iter().all(is_let_in) {
            String::new()
        } else {
            let must = self.caveat;
            format!("  # IPAddressAllow= of the unit must then {must}, see the top of the unit")
        };
        format!(
            r"mkdir -p {dir} && printf '[Socket]\nListenStream=\n{lines}' > {dir}/{DROP_IN} && systemctl daemon-reload && systemctl restart {unit} cla-socketserver{caveat}"
        )
    }
}

fn networks_of_this_machine() -> Vec<IpNet> {
    networks(LOOPBACK)
}

/// An empty assignment takes back what stands above it.
fn listen_streams(path: &[&Path], unit: &str) -> Option<Vec<String>> {
    let mut streams = Vec::new();
    for file in files(path, unit)? {
        let text = fs::read_to_string(file).ok()?;
        for stream in socket_lines(&text).filter_map(listen_stream) {
            if stream.is_empty() {
                streams.clear();
            } else {
                streams.push(stream);
            }
        }
    }
    Some(streams)
}

/// The unit and then its drop-ins by name. None of a unit that is not there, or masked by a link to `/dev/null`.
fn files(path: &[&Path], unit: &str) -> Option<Vec<PathBuf>> {
    let mut candidates = path.iter().map(|dir| dir.join(unit));
    let main = candidates.find(|file| file.exists())?;
    if fs::metadata(&main).ok()?.len() == 0 {
        return None;
    }
    let mut drop_ins = BTreeMap::new();
    for dir in path.iter().rev() {
        let entries = fs::read_dir(dir.join(format!("{unit}.d")));
        let found = entries
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| entry.path());
        let found = found.filter(|file| file.extension().is_some_and(|end| end == "conf"));
        drop_ins.extend(found.map(|file| (file.file_name().map(ToOwned::to_owned), file)));
    }
    Some([main].into_iter().chain(drop_ins.into_values()).collect())
}

/// The lines below a header `[Socket]`: anywhere else `ListenStream=` counts for nothing.
fn socket_lines(text: &str) -> impl Iterator<Item = &str> {
    let mut counts = false;
    text.lines().map(str::trim).filter(move |line| {
        if line.starts_with('[') {
            counts = *line == "[Socket]";
        }
        counts
    })
}

/// The value of a line `ListenStream=`. A port alone is that port on every address.
fn listen_stream(line: &str) -> Option<String> {
    let (name, value) = line.split_once('=')?;
    let value = value.trim();
    (name.trim() == "ListenStream").then(|| match value.parse::<u16>() {
        Ok(port) => format!("[::]:{port}"),
        Err(_) => value.to_owned(),
    })
}
