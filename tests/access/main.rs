//! Who may do what at a broker: with real brokers, the built program, and clients of other makes.
#![allow(clippy::expect_used, reason = "a test fails by panicking, in its helpers as well")]

#[path = "../support/mod.rs"]
mod support;

mod attacks;
mod clients;
mod embedded;
mod mosquitto;
mod tls;
mod users;
