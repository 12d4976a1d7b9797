//! The effective configuration as text.

use std::fmt;

/// Every key with its value and the source of the value, in the syntax of the config file.
#[derive(Debug, Clone)]
pub struct Effective(pub(super) Vec<Line>);

/// One key in the list.
#[derive(Debug, Clone)]
pub(super) struct Line {
    pub(super) text: String,
    /// True for operator keys and for keys that are set to another value than the default.
    pub(super) is_notable: bool,
}

impl Effective {
    /// The lines of operator keys and of keys that are set to another value than the default.
    pub fn notable(&self) -> impl Iterator<Item = &str> {
        let notable = self.0.iter().filter(|line| line.is_notable);
        notable.map(|line| line.text.as_str())
    }

    /// The lines of all keys.
    pub fn all(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|line| line.text.as_str())
    }
}

impl fmt::Display for Effective {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.all().try_for_each(|line| writeln!(f, "{line}"))
    }
}
