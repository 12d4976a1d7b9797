//! Start, stop, and what lies between.

/// How far the daemon has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Not everything is up yet.
    Starting,
    /// It serves.
    Ready,
    /// It is stopping: nobody new should be sent here.
    Draining,
}
