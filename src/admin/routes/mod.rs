//! The routes of the admin app.
//!
//! Lives here: one module for each address. Invariant: no route knows another.

pub(super) mod broadcast;
pub(super) mod demo;
pub(super) mod health;
pub(super) mod metrics;
pub(super) mod notifications;
pub(super) mod people;
pub(super) mod places;
