//! The pages in a real browser: a coordinator's whole evening, by keyboard too, and how everything looks.
#![allow(clippy::expect_used, reason = "a test fails by panicking, in its helpers as well")]

#[path = "../support/mod.rs"]
mod support;

mod driver;
mod evening;
mod keyboard;
mod looks;
mod stage;
