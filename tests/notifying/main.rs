//! Notifications: the built program, and those who are told, who are down, slow, unwilling or gone.
#![allow(clippy::expect_used, reason = "a test fails by panicking, in its helpers as well")]

#[path = "../support/mod.rs"]
mod support;

mod desk;
mod escalating;
mod fleet;
mod govuk;
mod grouping;
mod mail;
mod receiver;
mod trouble;
mod withdrawing;
