//! What operators have of nightrun: metrics, the heartbeat over HTTP, the rules and the dashboard that go
//! with them, the unit of systemd.
#![allow(clippy::expect_used, reason = "a test fails by panicking, in its helpers as well")]

#[path = "../support/mod.rs"]
mod support;

mod files;
mod heartbeat;
mod metrics;
mod page;
