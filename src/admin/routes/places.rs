//! `/admin/places/end/`: ending a lost place by hand, for a user who will not come back.
//!
//! Lives here: receiving the form. Not here: the page with the button (`message_page`).

use axum::{Router, extract::State, response::Response, routing::post};
use http::HeaderMap;
use serde::{Deserialize, Serialize};

use super::super::{
    audit::Administrator,
    body::{Decoded, RequestBody},
    error::{HttpError, Refusal},
    long_answer::LongAnswers,
    message_page::{Outcome, Ticked, message_page},
    paths::at,
    receipt::Receipt,
    reply::AnswerFormat,
};
use crate::presence::ConnectionId;

/// The route.
pub(in super::super) fn routes(answers: LongAnswers) -> Router {
    at("/admin/places/end", post(end).with_state(answers))
}

#[derive(Debug, thiserror::Error)]
#[error(
    r#"place is missing, so nothing was ended; post {{"place": "<socket id>"}}, with an id from /admin/peopleMap/"#
)]
struct NoPlace;

impl Refusal for NoPlace {}

#[derive(Deserialize)]
struct Fields {
    /// The connection that was lost.
    place: Option<String>,
}

/// The answer to a program.
#[derive(Serialize)]
struct Ended {
    place: String,
    /// Whether there was such a lost place.
    ended: bool,
}

async fn end(
    State(answers): State<LongAnswers>,
    administrator: Administrator,
    headers: HeaderMap,
    body: RequestBody,
) -> Result<Response, HttpError> {
    let format = body.answer_format(&headers);
    let Decoded { value, ignored } = body.decode::<Fields>()?;
    let place = value.place.ok_or(NoPlace)?;
    // An id that cannot exist counts as that of a place which has ended.
    let ended = match ConnectionId::try_from(place.as_str()) {
        Ok(conn) if answers.hub().dismiss(conn).await? => {
            administrator.ended(conn);
            true
        }
        Ok(_) | Err(_) => false,
    };
    match format {
        AnswerFormat::Json => Ok(Receipt::new(Ended { place, ended }, ignored).answer()),
        AnswerFormat::Html => {
            let outcome = if ended {
                Outcome::PlaceEnded
            } else {
                Outcome::PlaceGone
            };
            message_page(&answers, Ticked::default(), outcome).await
        }
    }
}
