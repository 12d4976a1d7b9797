//! What a program is told once a request has been carried out.
//!
//! Lives here: what all such answers have. Not here: what a route did.
//! Invariant: an answer says how the request was understood, so that a misspelt member cannot pass for one that counted.

use std::collections::BTreeSet;

use axum::response::Response;
use http::StatusCode;
use serde::Serialize;

use super::reply;
use crate::realtime::Delivery;

/// The answer to a request that was carried out; what is particular to its route is `done`.
#[derive(Serialize)]
pub(super) struct Receipt<T> {
    success: bool,
    #[serde(flatten)]
    done: T,
    /// Names of members of the request that mean nothing here.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    ignored: BTreeSet<String>,
    /// What the sender can hardly have wanted, though it was carried out.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<String>,
}

impl<T: Serialize> Receipt<T> {
    pub(super) fn new(done: T, ignored: BTreeSet<String>) -> Self {
        Self {
            success: true,
            done,
            ignored,
            warnings: Vec::new(),
        }
    }

    /// Adds a warning, if there is one.
    pub(super) fn warn(mut self, warning: Option<String>) -> Self {
        self.warnings.extend(warning);
        self
    }

    pub(super) fn answer(&self) -> Response {
        reply::json(StatusCode::OK, self)
    }
}

/// How many connections a message is on its way to.
#[derive(Serialize)]
pub(super) struct Reach {
    reached: usize,
    /// Lost connections that get it when they come back.
    kept: usize,
}

impl From<Delivery> for Reach {
    fn from(Delivery { reached, kept }: Delivery) -> Self {
        Self { reached, kept }
    }
}

impl Reach {
    /// Whether nobody gets the message, now or later.
    pub(super) fn is_nobody(&self) -> bool {
        self.reached + self.kept == 0
    }
}
