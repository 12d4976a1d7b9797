//! Listening sockets.
//!
//! Lives here: binding them, or taking them over from systemd. Not here: which addresses are allowed (`config`).

use std::{
    io,
    net::{SocketAddr, TcpListener as StdListener, UdpSocket},
};

use listenfd::ListenFd;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpListener;
use tracing::info;

use crate::config::{Config, Sockets};

/// The most connections that may wait to be accepted. After a restart all browsers come back at once.
const BACKLOG: i32 = 4096;

/// The sockets that systemd passed to the daemon. There are none if it was started by hand.
#[derive(Debug, Default)]
pub struct Passed {
    public: Vec<StdListener>,
    admin: Vec<StdListener>,
    statsd: Option<UdpSocket>,
}

/// Bound and listening sockets.
#[derive(Debug)]
pub struct Listeners {
    /// For browsers.
    pub public: Vec<TcpListener>,
    /// For staff and the back-end.
    pub admin: Vec<TcpListener>,
    /// The socket to send metrics from, if systemd passed one because the daemon may not open any.
    pub statsd: Option<UdpSocket>,
}

/// Why the daemon cannot listen.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// An address of the configuration cannot be bound.
    #[error("listen on {address} ({name}.listen; --{name}-listen takes another address)")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// The name of the listener.
        name: &'static str,
        /// The cause.
        source: io::Error,
    },
    /// A descriptor from systemd is not of the right kind.
    #[error("take over descriptor {name:?} from systemd")]
    Passed {
        /// The name of the descriptor.
        name: String,
        /// The cause.
        source: io::Error,
    },
    /// A descriptor from systemd has an unknown name.
    #[error(
        "descriptor {0:?} from systemd: set FileDescriptorName= of its socket unit to \"public\", \"admin\" or \"statsd\""
    )]
    UnknownName(String),
    /// systemd passed some sockets but not this one, because a socket unit was changed and not restarted.
    #[error(
        "systemd passed no descriptor {0:?}: systemctl restart cla-socketserver.socket cla-socketserver-admin.socket cla-socketserver"
    )]
    Missing(&'static str),
}

impl Passed {
    /// Takes over the sockets that systemd passed.
    ///
    /// # Errors
    /// When a socket has an unknown name or is of the wrong kind, or when only some sockets were passed.
    pub fn take() -> Result<Self, ListenError> {
        let mut sockets = Self::default();
        let names = sd_notify::listen_fds_with_names().map(|fds| fds.map(|(_, name)| name));
        let Ok(names) = names else {
            return Ok(sockets);
        };
        let mut passed = ListenFd::from_env();
        for (index, name) in names.enumerate() {
            let taken = match name.as_str() {
                "public" => take(passed.take_tcp_listener(index)).map(|l| sockets.public.push(l)),
                "admin" => take(passed.take_tcp_listener(index)).map(|l| sockets.admin.push(l)),
                "statsd" => take(passed.take_udp_socket(index)).map(|s| sockets.statsd = Some(s)),
                _ => return Err(ListenError::UnknownName(name)),
            };
            taken.map_err(|source| ListenError::Passed { name, source })?;
        }
        sockets.complete()
    }

    /// Checks that all listeners were passed, or none. A listener that the daemon opened itself would not be where the operator
    /// expects it.
    fn complete(self) -> Result<Self, ListenError> {
        let missing = |listeners: &[StdListener]| listeners.is_empty();
        match (missing(&self.public), missing(&self.admin), &self.statsd) {
            (false, false, _) | (true, true, None) => Ok(self),
            (true, _, _) => Err(ListenError::Missing("public")),
            (false, true, _) => Err(ListenError::Missing("admin")),
        }
    }

    /// The addresses of the sockets, which the configuration is compared with.
    #[must_use]
    pub fn sockets(&self) -> Sockets {
        let addresses = |listeners: &[StdListener]| {
            let addresses = listeners.iter().map(StdListener::local_addr);
            addresses.filter_map(Result::ok).collect::<Vec<_>>()
        };
        Sockets::passed(&addresses(&self.public), &addresses(&self.admin))
    }
}

impl Listeners {
    /// Uses the sockets that systemd passed, or binds the configured addresses.
    ///
    /// # Errors
    /// When a socket cannot be bound or used.
    pub fn open(config: &Config, passed: Passed) -> Result<Self, ListenError> {
        Ok(Self {
            public: open("public", passed.public, &config.public.listen)?,
            admin: open("admin", passed.admin, &config.admin.listen)?,
            statsd: passed.statsd,
        })
    }
}

/// Logs the address of a listener.
pub(crate) fn log_listening(name: &str, listener: &TcpListener) {
    if let Ok(address) = listener.local_addr() {
        info!(listen.name = name, listen.addr = %address, "{name}: listening on {address}");
    }
}

fn take<T>(taken: io::Result<Option<T>>) -> io::Result<T> {
    taken?.ok_or_else(|| io::ErrorKind::NotFound.into())
}

fn open(
    name: &'static str,
    passed: Vec<StdListener>,
    configured: &[SocketAddr],
) -> Result<Vec<TcpListener>, ListenError> {
    if passed.is_empty() {
        let bound = configured.iter().map(|&address| {
            bind(address).map_err(|source| ListenError::Bind {
                address,
                name,
                source,
            })
        });
        return bound.collect();
    }
    let adopted = passed.into_iter().map(|listener| {
        adopt(listener).map_err(|source| ListenError::Passed {
            name: name.to_owned(),
            source,
        })
    });
    adopted.collect()
}

fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    adopt(socket.into())
}

fn adopt(listener: StdListener) -> io::Result<TcpListener> {
    listener.set_nonblocking(true)?;
    TcpListener::from_std(listener)
}
