//! The census and the people map.

use super::*;

#[test]
fn the_census_counts_users_and_connections_by_version() {
    let mut registry = Registry::new(rules(Duration::ZERO));
    let mut report = |event: Event| -> Vec<Census> {
        let effects = registry.apply(event, Duration::ZERO);
        changes(&effects).map(|_| registry.census()).collect()
    };
    let census = |people, versions: &[(&str, usize)]| {
        let version = |(version, count): &(&str, usize)| ((*version).try_into().unwrap(), *count);
        vec![Census {
            people,
            versions: versions.iter().map(version).collect(),
        }]
    };

    for (event, expected, claim) in [
        ("a=adam:1.0", census(1, &[("1.0", 1)]), "a user arrives"),
        (
            "b=adam:2.0",
            census(1, &[("1.0", 1), ("2.0", 1)]),
            "a second tab with another version",
        ),
        (
            "c=eve:2.0",
            census(2, &[("1.0", 1), ("2.0", 2)]),
            "a second user",
        ),
        (
            "a>X",
            census(2, &[("1.0", 1), ("2.0", 2)]),
            "a start is a change too",
        ),
        (
            "a<",
            census(2, &[("1.0", 1), ("2.0", 2)]),
            "a stop is a change too",
        ),
        ("a!", census(2, &[("2.0", 2)]), "a tab closes"),
        ("a!", vec![], "a second end is no change"),
    ] {
        assert_eq!(report(parse(event)), expected, "{claim}: {event}");
    }
}

#[test]
fn people_are_shown_with_all_their_connections_in_order_of_identify() {
    let mut registry = registry_after(rules(INTERVAL), "c=zoe a=adam b=zoe b>X");
    let connection = |user: &str, case: Option<&str>| ConnectionView {
        identity: identity(user),
        case: case.map(|case| case.try_into().unwrap()),
        lost: None,
    };
    let person = |rank, user: &str, connections: Vec<(&str, Option<&str>)>| Person {
        rank: Rank(rank),
        username: user.try_into().unwrap(),
        user_type: "operator".try_into().unwrap(),
        connections: connections
            .iter()
            .map(|(id, case)| (conn(id), connection(user, *case)))
            .collect(),
    };
    let zoe = person(0, "zoe", vec![("b", Some("X")), ("c", None)]);
    let adam = person(1, "adam", vec![("a", None)]);
    let everybody = [zoe.clone(), adam.clone()];
    let page = registry.people(None, 3, Duration::ZERO);
    assert_eq!(
        (page.people.as_slice(), page.next),
        (everybody.as_slice(), None)
    );

    let (mut seen, mut cursor) = (Vec::new(), None);
    for event in ["", "e=eve", "b!"] {
        if !event.is_empty() {
            let _ = registry.apply(parse(event), Duration::ZERO);
        }
        let page = registry.people(cursor, 1, Duration::ZERO);
        seen.extend(
            page.people
                .into_iter()
                .map(|person| (person.rank.0, person.connections)),
        );
        cursor = page.next;
    }
    let (b, c) = zoe.connections.split_at(1);
    let expected = [(0, b.to_vec()), (0, c.to_vec()), (1, adam.connections)];
    assert_eq!(seen, expected, "a connection at a time");
    assert_eq!(cursor, None, "eve came later");
}
