//! Values of operators as text that is safe to print.

use figment::value::Value;

/// Longest part of a value that is printed, in characters.
const MAX_SHOWN_CHARS: usize = 200;

/// A value as an operator may have written it.
pub(super) fn shown(value: &Value) -> String {
    clipped(&serde_json::to_string(value).unwrap_or_default())
}

/// A text on one line, without control characters and of bounded length.
pub(super) fn clipped(text: &str) -> String {
    let mut printable = text.chars().filter(|c| !c.is_control());
    let mut clipped: String = printable.by_ref().take(MAX_SHOWN_CHARS).collect();
    if printable.next().is_some() {
        clipped.push('…');
    }
    clipped
}
