//! The bounds of names from outside.

use super::*;

#[test]
fn names_from_outside_are_bounded() {
    let long = "é".repeat(64);
    assert_eq!(Username::try_from(long.as_str()).unwrap().as_str(), long);
    assert_eq!(
        Username::try_from(format!("{long}e").as_str()),
        Err(InvalidText::TooLong)
    );
    assert_eq!(CaseRef::try_from(""), Err(InvalidText::Empty));
    assert_eq!(
        UserType::try_from("a\u{0}b"),
        Err(InvalidText::ControlCharacter)
    );
    assert_eq!(
        AppVersion::try_from("1.0\n2"),
        Err(InvalidText::ControlCharacter)
    );
    assert_eq!(AppVersion::default().as_str(), "unknown");
    assert!(ConnectionId::try_from("AAAAAAAAAAAAAAAA").is_ok());
    assert!(ConnectionId::try_from("AAAAAAAAAAAAAAA").is_err());
    assert!(ConnectionId::try_from("AAAAAAAAAAAAAAA\n").is_err());
}
