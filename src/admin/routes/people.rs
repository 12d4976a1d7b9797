//! `/admin/peopleMap/`: everybody who is connected, for programs.
//!
//! Lives here: the JSON, with the names that scripts know from the Node.js server.

use std::collections::BTreeMap;

use axum::{Router, extract::State, response::Response, routing::get};
use http::StatusCode;
use serde::{Serialize, Serializer};

use super::super::{error::HttpError, long_answer::LongAnswers, paths::at, reply};
use crate::presence::{CaseRef, ConnectionId, ConnectionView, Person};

/// The route.
pub(in super::super) fn routes(answers: LongAnswers) -> Router {
    at("/admin/peopleMap", get(people).with_state(answers))
}

async fn people(State(answers): State<LongAnswers>) -> Result<Response, HttpError> {
    let make = |people: Vec<Person>| Ok(reply::json(StatusCode::OK, &PeopleMap(&people)));
    answers.with_people(make).await
}

/// People by user name, in order of identify.
struct PeopleMap<'a>(&'a [Person]);

impl Serialize for PeopleMap<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let people = self.0.iter();
        serializer
            .collect_map(people.map(|person| (person.username.as_str(), PersonJson::from(person))))
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PersonJson<'a> {
    username: &'a str,
    user_type: &'a str,
    connections: BTreeMap<&'a str, ConnectionJson<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ConnectionJson<'a> {
    #[serde(rename = "caseViewed")]
    case: Option<&'a str>,
    app_version: &'a str,
    user_type: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    lost: Option<LostJson>,
}

/// A lost connection whose place is kept. The Node.js server had no such member.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct LostJson {
    since_ms: u128,
    left_ms: u128,
}

impl<'a> From<&'a Person> for PersonJson<'a> {
    fn from(person: &'a Person) -> Self {
        let connections = person.connections.iter();
        Self {
            username: person.username.as_str(),
            user_type: person.user_type.as_str(),
            connections: connections.map(connection_json).collect(),
        }
    }
}

fn connection_json(
    (id, connection): &(ConnectionId, ConnectionView),
) -> (&str, ConnectionJson<'_>) {
    let json = ConnectionJson {
        case: connection.case.as_ref().map(CaseRef::as_str),
        app_version: connection.identity.app_version.as_str(),
        user_type: connection.identity.user_type.as_str(),
        lost: connection.lost.map(|lost| LostJson {
            since_ms: lost.since.as_millis(),
            left_ms: lost.left.as_millis(),
        }),
    };
    (id.as_str(), json)
}
