//! The socket units of the service.
//!
//! Lives here: asking systemd for their addresses, and passing the answer on to a check that cannot ask. Not here: rules for
//! addresses (`config`).

use super::systemd::{self, Properties};
use crate::config::{ADMIN_UNIT, PUBLIC_UNIT, Sockets};

/// Variables with which a check that runs as the service gets the addresses.
const PUBLIC_VARIABLE: &str = "SERVICE_PUBLIC_LISTEN";
const ADMIN_VARIABLE: &str = "SERVICE_ADMIN_LISTEN";

/// Addresses that the socket units open.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Units {
    public: Vec<String>,
    admin: Vec<String>,
    /// True if the files of a unit have changed since systemd read them.
    pub(super) are_stale: bool,
}

impl Units {
    /// Asks systemd. Nothing is returned where systemd cannot be asked.
    pub(super) fn asked() -> Option<Self> {
        let ask = |unit| systemd::show(unit, &["Listen", "NeedDaemonReload"]);
        Some(Self::of(&ask(PUBLIC_UNIT)?, &ask(ADMIN_UNIT)?))
    }

    /// Reads the variables that [`Units::variables`] made.
    pub(super) fn told(environment: &[(String, String)]) -> Option<Self> {
        let listen = |variable: &str| {
            let mut found = environment.iter().filter(|(name, _)| name == variable);
            let (_, texts) = found.next()?;
            let texts = texts.split(',').filter(|text| !text.is_empty());
            Some(texts.map(str::to_owned).collect())
        };
        Some(Self {
            public: listen(PUBLIC_VARIABLE)?,
            admin: listen(ADMIN_VARIABLE)?,
            are_stale: false,
        })
    }

    /// Variables that tell another check the addresses.
    pub(super) fn variables(&self) -> [(&'static str, String); 2] {
        [
            (PUBLIC_VARIABLE, self.public.join(",")),
            (ADMIN_VARIABLE, self.admin.join(",")),
        ]
    }

    /// The sockets that the daemon will get.
    pub(super) fn sockets(self) -> Sockets {
        Sockets::of_units(self.public, self.admin)
    }

    fn of(public: &Properties, admin: &Properties) -> Self {
        Self {
            public: streams(public),
            admin: streams(admin),
            are_stale: public.are_stale() || admin.are_stale(),
        }
    }
}

/// Addresses of `ListenStream=`, which systemd shows as `127.0.0.1:8005 (Stream)`.
fn streams(unit: &Properties) -> Vec<String> {
    let streams = unit.all("Listen");
    let streams = streams.filter_map(|listen| listen.strip_suffix(" (Stream)"));
    streams.map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_survive_the_way_through_the_variables() {
        for (public, admin) in [
            ("Listen=127.0.0.1:8005 (Stream)", ""),
            (
                "Listen=[::]:80 (Stream)\nListen=/run/cla.sock (Stream)",
                "Listen=127.0.0.1:8006 (Stream)\nListen=127.0.0.1:9 (Datagram)",
            ),
        ] {
            let [public, admin] = [public, admin].map(Properties::of);
            let units = Units::of(&public, &admin);
            let variables = units.variables();
            let environment = variables.map(|(name, value)| (name.to_owned(), value));
            assert_eq!(Units::told(&environment), Some(units), "{environment:?}");
        }
        assert_eq!(Units::told(&[]), None);
    }

    #[test]
    fn only_stream_sockets_count() {
        let admin = Properties::of("Listen=127.0.0.1:8006 (Stream)\nListen=127.0.0.1:9 (Datagram)");
        assert_eq!(streams(&admin), ["127.0.0.1:8006"]);
    }

    #[test]
    fn one_stale_unit_is_enough() {
        for (answers, expected) in [
            (["no", "no"], false),
            (["yes", "no"], true),
            (["no", "yes"], true),
        ] {
            let [public, admin] =
                answers.map(|answer| Properties::of(&format!("NeedDaemonReload={answer}")));
            assert_eq!(
                Units::of(&public, &admin).are_stale,
                expected,
                "{answers:?}"
            );
        }
    }
}
