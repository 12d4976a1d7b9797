//! Extent of the output of `check`.

/// Extent of the output of `check`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Report {
    /// Mistakes that keep the daemon from starting.
    Mistakes,
    /// In addition, warnings, notes, operator settings, and settings that differ from their defaults.
    Notable,
    /// In addition, all other settings.
    Everything,
}

impl Report {
    /// The flag of `check` for this extent, if there is one.
    pub(super) fn flag(self) -> Option<&'static str> {
        match self {
            Self::Mistakes => Some("--quiet"),
            Self::Notable => None,
            Self::Everything => Some("--all"),
        }
    }
}
