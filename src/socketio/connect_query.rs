//! The query that clients 1.x and 2.x send with CONNECT when the page has set one.
//!
//! Lives here: finding `40/socket.io?token=x` in what a client sends, and replacing the question mark by a comma. Not here:
//! receiving it (`engineioxide`).
//!
//! In this packet the query is part of the name of the namespace. The Node.js server cut it off; the library refuses the
//! namespace as unknown. After a comma, the query is the payload of CONNECT, which nobody reads.

use engineioxide::Str;

/// The start of the message: a CONNECT (0) to our namespace.
const CONNECT: &str = "0/socket.io";

/// Mends a message of Engine.IO 3.
pub(super) fn mend(message: Str) -> Str {
    let query = message.strip_prefix(CONNECT);
    match query.and_then(|query| query.strip_prefix('?')) {
        Some(query) => Str::from(format!("{CONNECT},{query}")),
        None => message,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_mended_if_it_asks_for_the_namespace() {
        for (message, mended) in [
            ("0/socket.io?x=1", "0/socket.io,x=1"),
            ("0/socket.io?x=1,", "0/socket.io,x=1,"),
            ("0/socket.io?é", "0/socket.io,é"),
            ("0/socket.io?", "0/socket.io,"),
            ("0/socket.io", "0/socket.io"),
            ("0/socket.io,", "0/socket.io,"),
            ("0/socket.ios?x", "0/socket.ios?x"),
            (
                r#"2/socket.io,["x","0/socket.io?"]"#,
                r#"2/socket.io,["x","0/socket.io?"]"#,
            ),
            ("", ""),
        ] {
            assert_eq!(mend(Str::from(message)).as_str(), mended, "{message}");
        }
    }
}
