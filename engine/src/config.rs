//! What an engine is told when it is built.
//!
//! Lives here: names, defaults and the builder, as the crate that this one stands in for has them. Not here: what follows from a
//! value.

use std::{borrow::Cow, time::Duration};

use engineioxide_core::TransportType;

/// How an engine listens, and its limits.
#[derive(Clone, Debug)]
pub struct EngineIoConfig {
    /// The path of Engine.IO. Requests for every other path go to the inner service. By default `/engine.io`.
    pub req_path: Cow<'static, str>,
    /// Time from one sign of life of a client to the next ping. By default 25 seconds.
    pub ping_interval: Duration,
    /// Time that a client has to answer a ping. By default 20 seconds.
    pub ping_timeout: Duration,
    /// Time from the handshake of a websocket to the upgrade packet. By default 10 seconds.
    pub upgrade_timeout: Duration,
    /// Packets that may wait for one client; beyond them, sending is an error. By default 128.
    pub max_buffer_size: usize,
    /// Bytes that one POST may have. By default 100,000.
    pub max_payload: u64,
    /// Bytes that are read from a websocket at once, which each websocket keeps room for. By default 4,096.
    pub ws_read_buffer_size: usize,
    /// Bytes that one message over a websocket may have. By default 64 MiB.
    pub ws_max_message_size: usize,
    /// Bytes that one frame of a websocket may have. By default 16 MiB.
    pub ws_max_frame_size: usize,
    /// The transports that clients may use: the sum of the numbers of [`TransportType`].
    pub transports: u8,
}

impl Default for EngineIoConfig {
    fn default() -> Self {
        Self {
            req_path: "/engine.io".into(),
            ping_interval: Duration::from_secs(25),
            ping_timeout: Duration::from_secs(20),
            upgrade_timeout: Duration::from_secs(10),
            max_buffer_size: 128,
            max_payload: 100_000,
            ws_read_buffer_size: 4096,
            ws_max_message_size: 64 << 20,
            ws_max_frame_size: 16 << 20,
            transports: TransportType::Polling as u8 | TransportType::Websocket as u8,
        }
    }
}

impl EngineIoConfig {
    /// Whether clients may use a transport.
    #[must_use]
    pub fn allowed_transport(&self, transport: TransportType) -> bool {
        self.transports & transport as u8 != 0
    }
}

/// Builds an [`EngineIoConfig`].
#[derive(Clone, Debug, Default)]
pub struct EngineIoConfigBuilder {
    config: EngineIoConfig,
}

/// One method for each value that a builder sets.
macro_rules! setters {
    ($($name:ident: $type:ty),*) => {
        $(
            #[doc = concat!("Sets [`EngineIoConfig::", stringify!($name), "`].")]
            #[must_use]
            pub fn $name(mut self, $name: $type) -> Self {
                self.config.$name = $name;
                self
            }
        )*
    };
}

impl EngineIoConfigBuilder {
    /// A builder with the defaults.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets [`EngineIoConfig::req_path`].
    #[must_use]
    pub fn req_path(mut self, req_path: impl Into<Cow<'static, str>>) -> Self {
        self.config.req_path = req_path.into();
        self
    }

    setters! {
        ping_interval: Duration,
        ping_timeout: Duration,
        upgrade_timeout: Duration,
        max_buffer_size: usize,
        max_payload: u64,
        ws_read_buffer_size: usize,
        ws_max_message_size: usize,
        ws_max_frame_size: usize
    }

    /// Sets [`EngineIoConfig::transports`].
    #[must_use]
    pub fn transports<const N: usize>(mut self, transports: [TransportType; N]) -> Self {
        let bit = |bits, transport| bits | transport as u8;
        self.config.transports = transports.into_iter().fold(0, bit);
        self
    }

    /// The configuration.
    #[must_use]
    pub fn build(self) -> EngineIoConfig {
        self.config
    }
}
