//! Stories: the built program, real brokers, phones that are nothing of ours.
#![allow(clippy::expect_used, reason = "a test fails by panicking, in its helpers as well")]

#[path = "../support/mod.rs"]
mod support;

mod accounting;
mod copying;
mod health;
mod history;
mod importing;
mod nonsense;
mod phone;
mod receipts;
mod refusals;
mod reporting;
mod stopping;
mod telling;
mod thousand;
mod units;
