//! Other rules for a registry that is in use.

use super::*;

#[test]
fn a_reloaded_registry_goes_by_the_new_rules() {
    let mut registry = Registry::new(rules(INTERVAL));
    let ms = Duration::from_millis;
    for event in ["a=adam", "b=adam", "c=eve", "a>X", "c>Y"] {
        let _ = registry.apply(parse(event), ms(0));
    }
    registry.reload(Rules {
        merge_interval: Duration::ZERO,
        grace: Duration::ZERO,
        lost_places: 1,
        tabs_per_browser: 1,
    });
    let mut at = |moment, event: &str| spoken(&registry.apply(parse(event), moment));
    // Whoever was there already stays.
    assert_eq!(at(ms(100), "b>X"), "ab: adam");
    assert_eq!(at(ms(100), "e=joe"), "");
    // Every list is sent, and no place is kept.
    for _ in 0..5 {
        assert_eq!(at(ms(100), "e>X"), "abe: adam joe");
    }
    assert_eq!(at(ms(100), "e~"), "ab: adam");
}
