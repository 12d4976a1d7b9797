//! How much a registry holds, and what becomes of what it does not.

use super::*;

#[test]
fn a_user_has_so_many_places_and_no_more() {
    let rules = Rules {
        places_per_user: 2,
        ..rules(Duration::ZERO)
    };
    for (claim, script, told, refused) in [
        ("the last place", "a=adam b=adam b>X", "b: adam", 0),
        ("one too many", "a=adam b=adam c=adam", "", 1),
        ("not listed", "a=adam b=adam c=adam d=eve d>X c>X", "", 1),
        (
            "free again",
            "a=adam b=adam a! c=adam d=eve d>X c>X",
            "cd: adam eve",
            0,
        ),
        (
            "somebody else",
            "a=adam b=adam c=eve c>X d=joe d>X c=adam",
            "d: joe",
            1,
        ),
        ("itself", "a=adam b=adam a=adam a>X", "a: adam", 0),
        ("lost", "a=adam/one b=adam/one a~ c=adam/two", "", 1),
        (
            "taken over",
            "a=adam@X b=adam@ a>X a~ c=adam@X",
            "c: adam",
            0,
        ),
    ] {
        assert_eq!(outcome(rules, script), (told.into(), refused), "{claim}");
    }
}

#[test]
fn there_are_so_many_cases_and_no_more() {
    let rules = Rules {
        cases: 2,
        ..rules(Duration::ZERO)
    };
    for (claim, script, told, refused) in [
        ("the last case", "a=adam b=eve a>X b>Y", "b: eve", 0),
        ("one too many", "a=adam b=eve c=joe a>X b>Y c>Z", "", 1),
        (
            "a known one",
            "a=adam b=eve c=joe a>X b>Y c>Y",
            "bc: eve joe",
            0,
        ),
        (
            "left all the same",
            "a=adam b=eve c=joe a>X b>Y c>Y c>Z",
            "b: eve",
            1,
        ),
        (
            "instead of the own one",
            "a=adam b=eve a>X b>Y b>Z",
            "b: eve",
            0,
        ),
        (
            "free again",
            "a=adam b=eve c=joe a>X b>Y a< c>Z",
            "c: joe",
            0,
        ),
    ] {
        assert_eq!(outcome(rules, script), (told.into(), refused), "{claim}");
    }
}

/// What the last step of a script causes, and how often somebody was refused.
fn outcome(rules: Rules, script: &str) -> (String, usize) {
    let mut registry = Registry::new(rules);
    let mut told = String::new();
    let mut refused = 0;
    for step in script.split(' ') {
        let effects = registry.apply(parse(step), Duration::ZERO);
        told = spoken(&effects);
        refused += effects.iter().filter(|effect| is_refusal(effect)).count();
    }
    (told, refused)
}

fn is_refusal(effect: &Effect) -> bool {
    matches!(effect, Effect::Note(Note::UserRefused | Note::CaseRefused))
}
