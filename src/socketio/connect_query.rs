//! The query that clients 1.x and 2.x send with CONNECT when the page has set one.
//!
//! Lives here: finding `40/socket.io?token=x` in what a client sends, and replacing the question mark by a comma. Not here:
//! reading bodies and streams (`http`, `net`).
//! Invariant: nothing else is changed, and no length changes.
//!
//! In this packet the query is part of the name of the namespace. The Node.js server cut it off; the library refuses the
//! namespace as unknown. After a comma, the query is the payload of CONNECT, which nobody reads.

use std::{io::Cursor, mem};

use tungstenite::protocol::frame::{
    FrameHeader,
    coding::{Data, OpCode},
};

/// The start of the packet: a message (4) that is a CONNECT (0) to our namespace.
const CONNECT: &[u8; 12] = b"40/socket.io";

/// Mends a polling body of Engine.IO 3, in which each packet follows its length and a colon.
pub(super) fn mend_body(mut body: &mut [u8]) {
    while let Some(colon) = body.iter().position(|byte| *byte == b':') {
        let (length, rest) = mem::take(&mut body).split_at_mut(colon);
        let length = str::from_utf8(length)
            .ok()
            .and_then(|text| text.parse().ok());
        let rest = rest.split_first_mut().map(|(_, rest)| rest);
        let Some((length, rest)) = length.zip(rest) else {
            return;
        };
        if rest.starts_with(CONNECT) {
            mend(rest.get_mut(CONNECT.len()));
        }
        match rest.split_at_mut_checked(length) {
            // The length counts characters. A packet with characters outside ASCII is an event, and CONNECT comes before events.
            Some((packet, next)) if packet.is_ascii() => body = next,
            Some(_) | None => return,
        }
    }
}

fn mend(mark: Option<&mut u8>) {
    if let Some(mark) = mark
        && *mark == b'?'
    {
        *mark = b',';
    }
}

/// Reads the frames of a websocket until its client has asked for our namespace, and mends that packet.
#[derive(Debug, Default)]
pub(super) struct Frames {
    /// The header of the current frame, as far as it was received.
    header: Vec<u8>,
    /// The payload of the current frame, once its header is complete.
    payload: Option<Payload>,
}

/// The payload of a frame, as far as it was received.
#[derive(Debug)]
struct Payload {
    mask: [u8; 4],
    length: u64,
    taken: u64,
    /// Whether it is equal to the start of the packet so far.
    matches: bool,
}

impl Frames {
    /// Mends the bytes received next. Returns whether the rest of the connection needs no mending.
    pub(super) fn mend(&mut self, bytes: &mut [u8]) -> bool {
        bytes.iter_mut().any(|byte| self.step(byte))
    }

    fn step(&mut self, byte: &mut u8) -> bool {
        let Some(payload) = &mut self.payload else {
            self.header.push(*byte);
            return self.begin();
        };
        let is_done = payload.step(byte);
        if payload.taken == payload.length {
            self.payload = None;
        }
        is_done
    }

    /// Goes on to the payload once the header is complete. Returns true for an invalid header: the library then ends the
    /// connection.
    fn begin(&mut self) -> bool {
        let Ok(header) = FrameHeader::parse(&mut Cursor::new(&self.header)) else {
            return true;
        };
        if let Some((header, length)) = header {
            self.header.clear();
            self.payload = (length > 0).then(|| Payload {
                mask: header.mask.unwrap_or_default(),
                length,
                taken: 0,
                matches: header.is_final && header.opcode == OpCode::Data(Data::Text),
            });
        }
        false
    }
}

impl Payload {
    fn step(&mut self, byte: &mut u8) -> bool {
        let at = usize::try_from(self.taken).unwrap_or(usize::MAX);
        let key = self.mask.get(at % self.mask.len()).copied();
        let mut plain = *byte ^ key.unwrap_or_default();
        self.taken += 1;
        if let Some(expected) = CONNECT.get(at) {
            self.matches &= plain == *expected;
            return false;
        }
        if self.matches {
            mend(Some(&mut plain));
            *byte = plain ^ key.unwrap_or_default();
        }
        self.matches
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_polling_body_is_mended_where_a_packet_asks_for_the_namespace() {
        // A reader that counts bytes would take the end of this for a packet.
        let not_ascii = format!(
            r#"57:42/socket.io,["{}17:40/socket.io?xyz"]"#,
            "é".repeat(21)
        );
        for (body, mended) in [
            (not_ascii.as_str(), not_ascii.as_str()),
            ("15:40/socket.io?x=1", "15:40/socket.io,x=1"),
            ("16:40/socket.io?x=1,", "16:40/socket.io,x=1,"),
            ("13:40/socket.io?", "13:40/socket.io,"),
            ("12:40/socket.io", "12:40/socket.io"),
            ("13:40/socket.io,", "13:40/socket.io,"),
            (
                "8:40/other15:40/socket.io?x=1",
                "8:40/other15:40/socket.io,x=1",
            ),
            ("15:40/socket.io?é=11:2", "15:40/socket.io,é=11:2"),
            // The payload of an event is not changed.
            (
                r#"33:42/socket.io,["x","40/socket.io?"]"#,
                r#"33:42/socket.io,["x","40/socket.io?"]"#,
            ),
            (
                r#"35:42/socket.io,["x","15:40/socket.io?"]"#,
                r#"35:42/socket.io,["x","15:40/socket.io?"]"#,
            ),
            ("40/socket.io?x=1", "40/socket.io?x=1"),
            ("99:40/socket.io", "99:40/socket.io"),
            ("x:40/socket.io?x=1", "x:40/socket.io?x=1"),
            (":", ":"),
            ("", ""),
        ] {
            let mut bytes = body.as_bytes().to_vec();
            mend_body(&mut bytes);
            assert_eq!(str::from_utf8(&bytes).unwrap(), mended, "{body}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn the_first_frame_that_asks_for_the_namespace_is_mended(
            before in prop::collection::vec((prop::sample::select(vec![0x81u8, 0x01, 0x82, 0x89]), other()), 0..4),
            query in "\\?[a-z=]{0,200}",
            mask: [u8; 4],
            cuts in prop::collection::vec(1usize..9, 0..40),
        ) {
            let mut frames: Vec<u8> = Vec::new();
            for (kind, payload) in &before {
                frames.extend(masked(*kind, payload.as_bytes(), mask));
            }
            let mut mended = frames.clone();
            frames.extend(masked(0x81, format!("40/socket.io{query}").as_bytes(), mask));
            mended.extend(masked(0x81, format!("40/socket.io,{}", &query[1..]).as_bytes(), mask));

            let mut reader = Frames::default();
            let mut rest = frames.as_mut_slice();
            let mut is_done = false;
            for cut in cuts.into_iter().chain([usize::MAX]) {
                let (now, later) = rest.split_at_mut(cut.min(rest.len()));
                is_done = is_done || reader.mend(now);
                rest = later;
            }
            prop_assert!(is_done);
            prop_assert_eq!(frames, mended);
        }

        #[test]
        fn junk_neither_panics_nor_grows(mut bytes: Vec<u8>) {
            let mut reader = Frames::default();
            let _ = reader.mend(&mut bytes);
            // Two bytes, eight of length, four of the mask.
            prop_assert!(reader.header.len() <= 14);
            mend_body(&mut bytes);
        }
    }

    fn other() -> impl Strategy<Value = String> {
        prop_oneof![
            "[0-9a-z/]{0,20}",
            Just("40/socket.i".to_owned()),
            Just("40/other?40/socket.io?".to_owned()),
            Just("x".repeat(200)),
            Just("y".repeat(65_536)),
        ]
    }

    fn masked(kind: u8, payload: &[u8], mask: [u8; 4]) -> Vec<u8> {
        let mut frame = vec![kind];
        match payload.len() {
            length @ 0..126 => frame.push(0x80 | u8::try_from(length).unwrap()),
            length @ 126..65536 => {
                frame.push(0xfe);
                frame.extend(u16::try_from(length).unwrap().to_be_bytes());
            }
            length => {
                frame.push(0xff);
                frame.extend((length as u64).to_be_bytes());
            }
        }
        frame.extend(mask);
        frame.extend(
            payload
                .iter()
                .zip(mask.iter().cycle())
                .map(|(byte, key)| byte ^ key),
        );
        frame
    }
}
