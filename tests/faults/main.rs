//! The fault table: what is broken on purpose, on real processes, and what comes of it. The tests are
//! the rows of `docs/faults.md`.
//!
//! In each, phones that keep to the protocol go on; at the end [`night::Night::judge`] asks whether
//! anything is missing, doubled, false or late, and the daemon's log must have named the fault once.
#![allow(clippy::expect_used, reason = "a test fails by panicking, in its helpers as well")]

#[path = "../support/mod.rs"]
mod support;

mod ear;
mod fleet;
mod judge;
mod night;

mod brokers;
mod clock;
mod disorder;
mod killed;
mod network;
mod postgres;
mod several;
mod simulated;
mod storage;
