//! New rules for a registry in use.

use super::*;

#[test]
fn a_reloaded_registry_uses_the_new_rules() {
    let mut registry = registry_after(rules(INTERVAL), "a=adam b=adam c=eve a>X c>Y");
    let ms = Duration::from_millis;
    registry.reload(Rules {
        merge_interval: Duration::ZERO,
        grace: Duration::ZERO,
        lost_places: 1,
        tabs_per_browser: 1,
    });
    let mut at = |moment, event: &str| sent(&registry.apply(parse(event), moment));
    // Connections from before stay.
    assert_eq!(at(ms(100), "b>X"), "ab: adam");
    assert_eq!(at(ms(100), "e=joe"), "");
    // No lists are merged, and no place is kept.
    for _ in 0..5 {
        assert_eq!(at(ms(100), "e>X"), "abe: adam joe");
    }
    assert_eq!(at(ms(100), "e~"), "ab: adam");
}

#[test]
fn a_reloaded_registry_searches_as_many_tabs_as_the_new_rules_say() {
    for (tabs_per_browser, expected) in [(2, "c: eve"), (1, "")] {
        let mut registry = registry_after(rules(Duration::ZERO), "a=eve b=eve a>X b>Y b~");
        registry.reload(Rules {
            tabs_per_browser,
            ..rules(Duration::ZERO)
        });
        let resumed = registry.apply(parse("c=eve@Y"), Duration::ZERO);
        assert_eq!(sent(&resumed), expected, "{tabs_per_browser} tabs");
    }
}
