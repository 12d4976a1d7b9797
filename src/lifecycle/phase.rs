//! The phase of life that the daemon is in.

/// The phases of life, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Not everything is running yet.
    Starting,
    /// The daemon serves.
    Ready,
    /// The daemon is stopping.
    Draining,
}
