//! The people map (`/admin/peopleMap/`).

use http::StatusCode;
use serde_json::json;

use super::{Hub, LOST, PEOPLE_MAP, Rig, browsing, get, person, user_type, version};

#[tokio::test]
async fn the_people_map_has_its_established_form_in_order_of_identify() {
    for path in [PEOPLE_MAP, "/admin/peopleMap"] {
        let mut rig = Rig::peopled();
        rig.people[1].user_type = user_type("provider");
        for (_, connection) in &mut rig.people[1].connections {
            connection.identity.user_type = user_type("provider");
            connection.identity.app_version = version("2.0.1-rc_3");
        }
        let answer = rig.get(path).await;
        assert_eq!(answer.status, StatusCode::OK, "{path}");
        answer.json();
        let expected = concat!(
            r#"{"ben":{"username":"ben","userType":"operator","connections":{"#,
            r#""BEN1aaaaaaaaaaaa":{"caseViewed":"AB-1234-5678","appVersion":"1.0","userType":"operator"},"#,
            r#""BEN2aaaaaaaaaaaa":{"caseViewed":null,"appVersion":"1.0","userType":"operator"}}},"#,
            r#""adam":{"username":"adam","userType":"provider","connections":{"#,
            r#""ADAMaaaaaaaaaaaa":{"caseViewed":"AB-1234-5678","appVersion":"2.0.1-rc_3","userType":"provider"}}}}"#,
        );
        assert_eq!(answer.body, expected, "{path}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_lost_connection_has_the_times_since_its_loss_and_until_its_end() {
    let mut rig = Rig::new();
    rig.people = vec![person("ben", [(LOST, None)])];
    let map = rig.get(PEOPLE_MAP).await.json();
    let connection = &map["ben"]["connections"][LOST];
    assert_eq!(
        connection["lost"],
        json!({"sinceMs": 4200, "leftMs": 10800})
    );
}

#[tokio::test]
async fn without_people_the_map_is_an_empty_object() {
    assert_eq!(Rig::new().get(PEOPLE_MAP).await.body, "{}");
}

#[tokio::test]
async fn names_with_a_meaning_in_javascript_are_ordinary_names() {
    let mut rig = Rig::new();
    let names = [
        ("__proto__", "AAAAaaaaaaaaaaaa"),
        ("constructor", "BBBBbbbbbbbbbbbb"),
        ("\"quoted\"", "CCCCcccccccccccc"),
    ];
    rig.people = names.map(|(name, id)| person(name, [(id, None)])).into();
    let map = rig.get(PEOPLE_MAP).await.json();
    for name in ["__proto__", "constructor", "\"quoted\""] {
        assert_eq!(map[name]["username"], name, "{map}");
    }
}

#[tokio::test]
async fn the_people_map_is_json_for_a_browser_too() {
    let answer = Rig::peopled().ask(browsing(get(PEOPLE_MAP))).await;
    assert_eq!(answer.json()["ben"]["username"], "ben");
}

#[tokio::test]
async fn without_a_hub_the_people_map_is_refused() {
    let rig = Rig {
        hub: Hub::Stopped,
        ..Rig::new()
    };
    let answer = rig.get(PEOPLE_MAP).await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(
        answer.body,
        r#"{"success":false,"error":"nobody can be reached at the moment: the hub has stopped"}"#
    );
}
