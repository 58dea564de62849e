//! The fault table: what is broken on purpose, on real processes, and what comes of it. One test for
//! each row of `docs/faults.md` and each kind of broker.
//!
//! In each, phones that keep to the protocol go on; at the end [`night::Night::judge`] asks whether
//! anything is missing, doubled or false, and the daemon's log must have named the fault once.
#![allow(clippy::expect_used, reason = "a test fails by panicking, in its helpers as well")]

#[path = "../support/mod.rs"]
mod support;

mod ear;
mod fleet;
mod night;

mod killed;
mod network;
mod storage;
mod clock;
mod disorder;
mod brokers;
mod simulated;
