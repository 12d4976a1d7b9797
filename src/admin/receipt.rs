//! The answer to a program whose request was carried out.
//!
//! Lives here: what all such answers have in common. Not here: what a route did.
//! Invariant: an answer says how the request was understood, so that a misspelt member is noticed.

use std::collections::BTreeSet;

use axum::response::Response;
use http::StatusCode;
use serde::Serialize;

use super::reply;
use crate::hub::Delivery;

/// The answer to a request that was carried out. The part that is specific to its route is `done`.
#[derive(Serialize)]
pub(super) struct Receipt<T> {
    success: bool,
    #[serde(flatten)]
    done: T,
    /// The names of unknown members of the request.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    ignored: BTreeSet<String>,
    /// Sentences about what the sender hardly intended, although it was carried out.
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

/// The numbers of connections that a message is for.
#[derive(Serialize)]
pub(super) struct Reach {
    reached: usize,
    /// Lost connections, whose browsers get the message when they come back.
    kept: usize,
}

impl From<Delivery> for Reach {
    fn from(Delivery { reached, kept }: Delivery) -> Self {
        Self { reached, kept }
    }
}

impl Reach {
    /// Whether no browser gets the message, now or later.
    pub(super) fn is_nobody(&self) -> bool {
        self.reached + self.kept == 0
    }
}
