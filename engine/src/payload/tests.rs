//! Payloads round trip, and junk is refused.

use engineioxide_core::Str;
use proptest::prelude::*;

use super::*;

const VERSIONS: [ProtocolVersion; 2] = [ProtocolVersion::V3, ProtocolVersion::V4];

fn packet() -> impl Strategy<Value = Packet> {
    prop_oneof![
        Just(Packet::Close),
        Just(Packet::Ping),
        Just(Packet::Pong),
        Just(Packet::Noop),
        "[^\u{1e}]{0,40}".prop_map(|text| Packet::Message(Str::from(text))),
        "\\PC{0,9}".prop_map(|text| Packet::Message(Str::from(text))),
        prop::collection::vec(any::<u8>(), 0..300).prop_map(|bytes| Packet::Binary(bytes.into())),
    ]
}

proptest! {
    #[test]
    fn what_is_written_is_read(packets in prop::collection::vec(packet(), 1..9), as_text: bool) {
        for version in VERSIONS {
            let payload = Payload::of(version, as_text, &packets);
            let read = payload.read(version);
            prop_assert_eq!(read.as_ref(), Ok(&packets), "{:?}", payload);
            prop_assert!(!(as_text && payload.is_binary));
        }
    }

    #[test]
    fn junk_is_refused_without_a_panic(body: Vec<u8>, is_binary: bool) {
        let payload = Payload { body: body.into(), is_binary };
        for version in VERSIONS {
            let _ = payload.read(version);
        }
    }

    #[test]
    fn near_misses_are_refused_without_a_panic(body in "[0-9:b\u{0}\u{1}\u{1e}é😀]{0,20}", is_binary: bool) {
        let payload = Payload { body: body.into(), is_binary };
        for version in VERSIONS {
            let _ = payload.read(version);
        }
    }
}

#[test]
fn lengths_of_version_3_count_utf_16_code_units() {
    let message = |text| Packet::Message(Str::from(text));
    for (text, packet) in [("3:4é€", "é€"), ("4:4€😀", "€😀"), ("1:4", "")] {
        let payload = Payload::of(ProtocolVersion::V3, false, &[message(packet)]);
        assert_eq!(payload.body, text);
    }
    for torn in [
        "2:4😀",
        "3:4",
        "9999999999999999999999:4",
        "-1:4",
        ":4",
        "4",
        "",
    ] {
        assert!(read_v3(torn).is_err(), "{torn}");
    }
}

#[test]
fn the_examples_of_the_protocol_documents_are_written_and_read() {
    let packets = [
        Packet::Message(Str::from("hello")),
        Packet::Ping,
        Packet::Binary(Bytes::from_static(&[1, 2, 3, 4])),
    ];
    for (version, as_text, body) in [
        (ProtocolVersion::V4, false, &b"4hello\x1e2\x1ebAQIDBA=="[..]),
        (ProtocolVersion::V3, true, b"6:4hello1:210:b4AQIDBA=="),
        (
            ProtocolVersion::V3,
            false,
            b"\x00\x06\xff4hello\x00\x01\xff2\x01\x05\xff\x04\x01\x02\x03\x04",
        ),
    ] {
        let payload = Payload::of(version, as_text, &packets);
        assert_eq!(payload.body, body);
        assert_eq!(payload.read(version).unwrap(), packets);
    }
}
