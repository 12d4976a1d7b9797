//! The sockets that the daemon listens on.
//!
//! Lives here: binding them, or taking them over from systemd. Not here: which addresses are allowed (`config`).

use std::{
    io,
    net::{SocketAddr, TcpListener as StdListener},
};

use listenfd::ListenFd;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpListener;
use tracing::info;

use crate::config::{self, Config};

/// How many connections may wait to be accepted: after a restart every browser comes back at once.
const BACKLOG: i32 = 4096;

/// Bound and listening sockets.
#[derive(Debug)]
pub struct Listeners {
    /// For browsers.
    pub public: Vec<TcpListener>,
    /// For staff and the back-end.
    pub admin: Vec<TcpListener>,
}

/// Why the daemon cannot listen.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// An address of the configuration cannot be used.
    #[error("listen on {address} ({key})")]
    Bind {
        /// Where.
        address: SocketAddr,
        /// The setting that says so.
        key: &'static str,
        /// Why not.
        source: io::Error,
    },
    /// What systemd passed is not what it should be.
    #[error("take over descriptor {name:?} from systemd")]
    Passed {
        /// Its name.
        name: String,
        /// Why not.
        source: io::Error,
    },
    /// A descriptor has a name that means nothing here.
    #[error(
        "descriptor {0:?} from systemd: set FileDescriptorName= of its socket unit to \"public\" or \"admin\""
    )]
    UnknownName(String),
    /// A socket that systemd passed would offer the admin app to everybody.
    #[error(
        "descriptor \"admin\" from systemd listens on {0}, which is not a loopback or private address: change ListenStream= of its socket unit"
    )]
    PublicAdmin(SocketAddr),
}

impl Listeners {
    /// Takes over what systemd passed and binds the rest as configured.
    ///
    /// # Errors
    /// When a socket cannot be bound or taken over, or must not be used.
    pub fn open(config: &Config) -> Result<Self, ListenError> {
        let mut listeners = Self::passed()?;
        if listeners.public.is_empty() {
            listeners.public = bind_all("public.listen", &config.public.listen)?;
        }
        if listeners.admin.is_empty() {
            listeners.admin = bind_all("admin.listen", &config.admin.listen)?;
        }
        Ok(listeners)
    }

    fn passed() -> Result<Self, ListenError> {
        let mut listeners = Self {
            public: Vec::new(),
            admin: Vec::new(),
        };
        let names = sd_notify::listen_fds_with_names().map(|fds| fds.map(|(_, name)| name));
        let Ok(names) = names else {
            return Ok(listeners);
        };
        let mut passed = ListenFd::from_env();
        for (index, name) in names.enumerate() {
            let taken = passed.take_tcp_listener(index);
            let failed = |source| ListenError::Passed {
                name: name.clone(),
                source,
            };
            let taken = taken.and_then(|listener| listener.ok_or(io::ErrorKind::NotFound.into()));
            let listener = taken.and_then(adopt).map_err(failed)?;
            match name.as_str() {
                "public" => listeners.public.push(listener),
                "admin" => listeners.admin.push(fit_for_admin(listener)?),
                _ => return Err(ListenError::UnknownName(name)),
            }
        }
        Ok(listeners)
    }
}

/// Tells the journal where the daemon can be reached.
pub(crate) fn log_listening(name: &str, listener: &TcpListener) {
    if let Ok(address) = listener.local_addr() {
        info!(listen.name = name, listen.addr = %address, "{name}: listening on {address}");
    }
}

fn fit_for_admin(listener: TcpListener) -> Result<TcpListener, ListenError> {
    match listener.local_addr() {
        Ok(address) if !config::is_private(address.ip()) => Err(ListenError::PublicAdmin(address)),
        Ok(_) => Ok(listener),
        Err(source) => Err(ListenError::Passed {
            name: "admin".to_owned(),
            source,
        }),
    }
}

fn bind_all(key: &'static str, addresses: &[SocketAddr]) -> Result<Vec<TcpListener>, ListenError> {
    let bound = addresses.iter().map(|&address| {
        bind(address).map_err(|source| ListenError::Bind {
            address,
            key,
            source,
        })
    });
    bound.collect()
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
