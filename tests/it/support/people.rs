//! The people map (`/admin/peopleMap/`), as tests read it.

use serde_json::Value;

/// Whether a user has connections, and all of them are lost.
pub fn is_lost(people: &Value, name: &str) -> bool {
    let connections = people[name]["connections"].as_object();
    connections.is_some_and(|all| all.values().all(is_lost_connection))
}

/// The number of lost connections of all users.
pub fn lost(people: &Value) -> usize {
    let people = people.as_object().unwrap().values();
    let connections = people.flat_map(|person| person["connections"].as_object().unwrap().values());
    connections
        .filter(|connection| is_lost_connection(connection))
        .count()
}

fn is_lost_connection(connection: &Value) -> bool {
    connection["lost"].is_object()
}
