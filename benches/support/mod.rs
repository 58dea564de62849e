//! What the benches have in common: a night, phones that play it, the servers of others, and how
//! what was measured is written down.
#![allow(dead_code, reason = "each bench uses its part of it")]

pub mod archive;
pub mod ceiling;
pub mod daemon;
pub mod database;
pub mod history;
pub mod load;
pub mod mqtt;
pub mod night;
pub mod plan;
pub mod process;
pub mod reader;
pub mod report;
pub mod rig;
pub mod said;
pub mod servers;

/// Runs a bench.
pub fn run(bench: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(bench)
}
