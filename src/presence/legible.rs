//! Removing characters by which a text could deceive its reader.
//!
//! Lives here: which characters are removed from a text from outside, and which texts show nothing. Not here: bounds (`id`).
//! Invariant: making a text legible twice is the same as once.
//!
//! Users see the names of other users on the case page, staff see them on the admin page. A character that changes the direction
//! of its neighbours makes a text read as another one, and may have an effect beyond its end. An invisible character makes two
//! texts look alike. Both kinds are removed here, once, instead of wherever a text is shown.

use std::borrow::Cow;

/// Removes invisible characters, in particular those that change the direction of text. Characters that shape their neighbours
/// stay: names in Persian or Hindi, and many emoji, are wrong without them.
pub(super) fn legible(text: &str) -> Cow<'_, str> {
    if text.chars().any(is_removed) {
        let legible = text
            .chars()
            .filter(|character| !is_removed(*character))
            .collect();
        Cow::Owned(legible)
    } else {
        Cow::Borrowed(text)
    }
}

/// Whether a text shows nothing.
pub(super) fn is_blank(text: &str) -> bool {
    text.chars().all(|character| {
        // The last two are drawn empty although Unicode counts them as visible: a Braille cell without dots and a note without a
        // head.
        character.is_whitespace()
            || is_ignorable(character)
            || matches!(character, '\u{2800}' | '\u{1d159}')
    })
}

fn is_removed(character: char) -> bool {
    is_ignorable(character) && !shapes_neighbours(character)
}

/// Joiners, and selectors of a variant or a flag.
fn shapes_neighbours(character: char) -> bool {
    matches!(
        character,
        '\u{34f}'
            | '\u{17b4}'..='\u{17b5}'
            | '\u{180b}'..='\u{180f}'
            | '\u{200c}'..='\u{200d}'
            | '\u{fe00}'..='\u{fe0f}'
            | '\u{e0020}'..='\u{e007f}'
            | '\u{e0100}'..='\u{e01ef}'
    )
}

/// The property `Default_Ignorable_Code_Point` of Unicode, which includes all characters that control direction. It also includes
/// code points that are reserved for future characters, so it hardly ever changes.
fn is_ignorable(character: char) -> bool {
    matches!(
        character,
        '\u{ad}'
            | '\u{34f}'
            | '\u{61c}'
            | '\u{115f}'..='\u{1160}'
            | '\u{17b4}'..='\u{17b5}'
            | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}'
            | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{3164}'
            | '\u{fe00}'..='\u{fe0f}'
            | '\u{feff}'
            | '\u{ffa0}'
            | '\u{fff0}'..='\u{fff8}'
            | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}'
    )
}

#[cfg(test)]
mod tests {
    use regex_syntax::hir::{Class, HirKind};

    use super::*;

    #[test]
    fn invisible_characters_are_removed_and_nothing_else() {
        for (name, legible_name) in [
            ("adam", "adam"),
            ("\u{202e}evil.rtl", "evil.rtl"),
            ("ad\u{202a}am\u{2066}", "adam"),
            ("ad\u{200b}am\u{feff}", "adam"),
            ("\u{200f}דנה\u{200e} 7", "דנה 7"),
            ("Zoë Ω 名前", "Zoë Ω 名前"),
            ("नरेंद्र क्\u{200d}ष", "नरेंद्र क्\u{200d}ष"),
            ("می\u{200c}خواهم", "می\u{200c}خواهم"),
            ("👩\u{200d}⚕\u{fe0f} ann", "👩\u{200d}⚕\u{fe0f} ann"),
            (
                "🏴\u{e0067}\u{e0062}\u{e0065}\u{e006e}\u{e0067}\u{e007f}",
                "🏴\u{e0067}\u{e0062}\u{e0065}\u{e006e}\u{e0067}\u{e007f}",
            ),
        ] {
            assert_eq!(legible(name), legible_name, "{name:?}");
        }
    }

    #[test]
    fn a_text_without_a_visible_character_is_blank() {
        for text in [
            "",
            " \u{a0}\u{3000}\u{2028}",
            "\u{200b}",
            "\u{3164}",
            "\u{200d}\u{200c}",
            "\u{fe0f}",
            "\u{e0041}",
            "\u{2800} \u{1d159}",
        ] {
            assert!(is_blank(text), "{text:?}");
        }
        for text in ["a", "\u{200b}a", "-", "é", "名"] {
            assert!(!is_blank(text), "{text:?}");
        }
    }

    #[test]
    fn the_tables_are_those_of_unicode() {
        let ignorable = property(r"\p{Default_Ignorable_Code_Point}");
        let directions = property(r"\p{Bidi_Control}");
        for character in '\0'..=char::MAX {
            assert_eq!(
                is_ignorable(character),
                ignorable(character),
                "{character:?}"
            );
            assert!(
                is_removed(character) || !directions(character),
                "{character:?} changes the direction of a text"
            );
            assert!(
                is_ignorable(character) || !shapes_neighbours(character),
                "{character:?} is invisible and shapes its neighbours"
            );
        }
    }

    /// Whether a character has the property.
    fn property(class: &str) -> impl Fn(char) -> bool {
        let parsed = regex_syntax::parse(class).unwrap();
        let HirKind::Class(Class::Unicode(class)) = parsed.into_kind() else {
            panic!("{class} is no class");
        };
        move |character| {
            let mut ranges = class.ranges().iter();
            ranges.any(|range| (range.start()..=range.end()).contains(&character))
        }
    }
}
