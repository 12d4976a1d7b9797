//! Ending a lost place by hand, for when somebody is known not to come back.
//!
//! Lives here: the receiver of the button. Not here: the page with the button (`broadcast`).

use axum::{Router, extract::State, response::Response, routing::post};
use http::HeaderMap;
use serde::{Deserialize, Serialize};

use super::{
    at,
    audit::Administrator,
    body::{Decoded, Posted},
    broadcast::{self, Ticked},
    error::HttpError,
    pages::Outcome,
    receipt::Receipt,
    reply::Format,
};
use crate::{presence::ConnectionId, realtime::HubHandle};

/// `/admin/places/end`.
pub(super) fn routes(hub: HubHandle) -> Router {
    at("/admin/places/end", post(end).with_state(hub))
}

#[derive(Deserialize)]
struct Fields {
    /// The connection that was lost.
    place: Option<String>,
}

/// What is particular to the answer.
#[derive(Serialize)]
struct Ended {
    place: String,
    /// Whether there was such a lost place.
    ended: bool,
}

async fn end(
    State(hub): State<HubHandle>,
    administrator: Administrator,
    headers: HeaderMap,
    posted: Posted,
) -> Result<Response, HttpError> {
    let format = posted.answered_in(&headers);
    let Decoded { value, ignored } = posted.decode::<Fields>()?;
    let place = value.place.ok_or(HttpError::NoPlace)?;
    // What cannot be anybody's id is nobody's.
    let ended = match ConnectionId::try_from(place.as_str()) {
        Ok(conn) if hub.dismiss(conn).await? => {
            administrator.ended(conn);
            true
        }
        Ok(_) | Err(_) => false,
    };
    match format {
        Format::Json => Ok(Receipt::new(Ended { place, ended }, ignored).answer()),
        Format::Html => {
            let outcome = if ended {
                Outcome::PlaceEnded
            } else {
                Outcome::PlaceGone
            };
            broadcast::page(&hub, Ticked::default(), outcome).await
        }
    }
}
