//! Why a session has ended.
//!
//! Lives here: the reasons, as they are told to handlers and in detail. Not here: noticing an end.

/// Why a session has ended, as handlers are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DisconnectReason {
    /// The client closed it.
    TransportClose,
    /// The client polled while an earlier poll was waiting.
    MultipleHttpPollingError,
    /// The client sent something that is not Engine.IO.
    PacketParsingError,
    /// The connection ended, or the client sent something that is not a websocket's.
    TransportError,
    /// The client has given no sign of life for too long.
    HeartbeatTimeout,
    /// The server closed it.
    ClosingServer,
}

/// What has ended a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The client went away while it waited for the answer to a poll.
    PollAborted,
    /// The client polled while an earlier poll was waiting.
    TwoPolls,
    /// The client sent the close packet of Engine.IO.
    ClosePacket,
    /// The client sent the close frame of a websocket, with this status.
    CloseFrame(Option<u16>),
    /// The connection of a websocket ended without a close frame.
    Connection,
    /// The client sent a frame that a websocket may not send, that is too long, or that is not UTF-8.
    BadFrame,
    /// The client sent something that is not Engine.IO, or a POST that is too long.
    BadPacket,
    /// The client has given no sign of life for too long.
    Heartbeat,
    /// The server closed it.
    Closed(DisconnectReason),
}

impl Ended {
    /// The reason that the handler is told.
    #[must_use]
    pub fn reason(self) -> DisconnectReason {
        match self {
            Self::ClosePacket | Self::CloseFrame(_) => DisconnectReason::TransportClose,
            Self::TwoPolls => DisconnectReason::MultipleHttpPollingError,
            Self::BadPacket => DisconnectReason::PacketParsingError,
            Self::PollAborted | Self::Connection | Self::BadFrame => {
                DisconnectReason::TransportError
            }
            Self::Heartbeat => DisconnectReason::HeartbeatTimeout,
            Self::Closed(reason) => reason,
        }
    }
}
