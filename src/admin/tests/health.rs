//! `/healthz` and `/readyz`, for load balancers and monitoring.

use http::StatusCode;
use serde_json::json;

use super::{Hub, Rig};
use crate::lifecycle::Phase;

#[tokio::test]
async fn a_daemon_is_alive_in_every_phase_and_without_a_hub() {
    for phase in [Phase::Starting, Phase::Ready, Phase::Draining] {
        let rig = Rig {
            phase,
            hub: Hub::Stopped,
            ..Rig::new()
        };
        let answer = rig.get("/healthz").await;
        assert_eq!(
            (answer.status, answer.json()),
            (StatusCode::OK, json!({"status": "ok"})),
            "{phase:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn only_a_daemon_that_is_up_and_whose_hub_answers_is_ready() {
    for (phase, hub, status, word) in [
        (Phase::Ready, Hub::Well, 200, "ready"),
        (Phase::Starting, Hub::Well, 503, "starting"),
        (Phase::Draining, Hub::Well, 503, "draining"),
        (Phase::Ready, Hub::Stopped, 503, "hub not answering"),
        (Phase::Ready, Hub::Stuck, 503, "hub not answering"),
    ] {
        let rig = Rig {
            phase,
            hub,
            ..Rig::new()
        };
        let answer = rig.get("/readyz").await;
        assert_eq!(
            (answer.status.as_u16(), answer.json()),
            (status, json!({"status": word})),
            "{phase:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn readiness_waits_one_second_for_the_hub() {
    let begun = tokio::time::Instant::now();
    let rig = Rig {
        hub: Hub::Stuck,
        ..Rig::new()
    };
    rig.get("/readyz").await;
    let waited = begun.elapsed().as_millis();
    assert!((1000..1010).contains(&waited), "{waited} ms");
}
