//! The database of the daemon: the night's plan and registers go in as by `nightrun import`, and
//! what became of it comes out as by `nightrun report`.

use std::sync::Arc;
use std::time::Duration;

use anyhow::bail;
use tokio::time::{Instant as Tick, sleep};

use super::night::Night;
use super::truth::night_of;
use super::verify::Found;
use crate::apply::VISITS;
use crate::cli;
use crate::clock;
use crate::config::Contracts;
use crate::domain::calendar::{plus_days, week_start};
use crate::domain::policy::Contract;
use crate::import::{CHUNK, Import};
use crate::report;
use crate::returns;
use crate::store::{Store, audit};

/// How often the database is asked whether the daemon has done everything.
pub const ASK_EVERY: Duration = Duration::from_millis(100);
/// How often an import is tried again when another one came in between.
const IMPORT_TRIES: u32 = 10;
const OTHER_NIGHT: &str = "the plan of this night is not that of the earlier run of its seed: play \
                           it with the same --visits and --faults, or take another seed";

/// Imports registers and plan. Of a night that was played before, nothing may differ.
///
/// # Errors
/// When the database fails, or it holds another night of this seed.
pub async fn import(
    store: &Store,
    contracts: &Contracts,
    night: &Night,
    played_before: bool,
) -> anyhow::Result<()> {
    if played_before {
        same_plan(store, contracts, night).await?;
    }
    for (kind, rows) in night.registers()? {
        let mut tries = 0;
        loop {
            let mut import = Import::begin(store, contracts, kind, false, clock::now()).await?;
            for chunk in rows.chunks(CHUNK) {
                import.registers(chunk).await?;
            }
            if import.finish().await?.is_some() {
                break;
            }
            once_more(&mut tries)?;
        }
    }
    let mut tries = 0;
    while visits(store, contracts, night, false).await?.is_none() {
        once_more(&mut tries)?;
    }
    Ok(())
}

/// That the plan in the database is this night's.
///
/// # Errors
/// When it is another night's, or the database fails.
async fn same_plan(store: &Store, contracts: &Contracts, night: &Night) -> anyhow::Result<()> {
    let mut tx = store.read().await?;
    let planned = audit::planned(&mut tx, &night.contract, &night.prefix).await?;
    drop(tx);
    let as_many = usize::try_from(planned)? == night.plan().count();
    if !as_many || visits(store, contracts, night, true).await? != Some(0) {
        bail!(OTHER_NIGHT);
    }
    Ok(())
}

/// Imports the plan. How many rows were new; `None`: another import came in between.
async fn visits(
    store: &Store,
    contracts: &Contracts,
    night: &Night,
    dry_run: bool,
) -> anyhow::Result<Option<u64>> {
    let plan: Vec<_> = (1..).zip(night.plan().cloned()).collect();
    let mut import = Import::begin(store, contracts, VISITS, dry_run, clock::now()).await?;
    let mut bad = 0;
    for chunk in plan.chunks(CHUNK) {
        bad += import.visits(chunk.to_vec()).await?.len();
    }
    if bad > 0 {
        import.discard().await?;
        bail!(OTHER_NIGHT);
    }
    Ok(import.finish().await?.map(|counts| counts.changed))
}

fn once_more(tries: &mut u32) -> anyhow::Result<()> {
    *tries += 1;
    if *tries >= IMPORT_TRIES {
        bail!("other imports come in between again and again: wait until they are done");
    }
    Ok(())
}

/// Waits until the night is over and the daemon has drawn every consequence of it.
///
/// # Errors
/// When it has not within `patience` after the night's end.
pub async fn settled(store: &Store, night: &Night, patience: Duration) -> anyhow::Result<()> {
    let began = Tick::now();
    let left = (night.over_at - clock::now()).to_std().unwrap_or_default();
    loop {
        let now = clock::now();
        let mut tx = store.read().await?;
        let unsettled = audit::unsettled(&mut tx, &night.contract, &night.prefix, now).await?;
        drop(tx);
        if unsettled.is_settled() && now > night.over_at {
            return Ok(());
        }
        if began.elapsed() > patience + left {
            bail!(
                "the daemon has still to do: {} imports, {} client nights, {} messages to be \
                 published. Does it run?",
                unsettled.imports,
                unsettled.nights,
                unsettled.outbox
            );
        }
        sleep(ASK_EVERY).await;
    }
}

/// Reads what finance reads, and what was raised.
///
/// # Errors
/// When the database fails, or a row of Schedule 3 does not balance.
pub async fn find(
    store: &Store,
    contracts: &Contracts,
    contract: &Arc<Contract>,
    night: &Night,
) -> anyhow::Result<Found> {
    let nights = || night.visits.iter().map(|visit| night_of(contract.zone, visit.start));
    let (first, last) = (nights().min().unwrap_or_default(), nights().max().unwrap_or_default());
    // A visit may be dated a day after its night.
    let last = plus_days(last, 1);
    let first = week_start(first, contract.policy(first).week_starts_on);
    let last = plus_days(week_start(last, contract.policy(last).week_starts_on), 6);
    let mut tx = store.read().await?;
    let received = audit::received(&mut tx, &contract.id, &night.prefix).await?;
    let alerts = audit::alerts(&mut tx, &contract.id, &night.prefix).await?;
    drop(tx);
    let visits = cli::report::visits(store, contract, first, last).await?;
    let rows = returns::schedule3(store, contracts, contract, (first, last), clock::now()).await?;
    Ok(Found {
        received: received.into_iter().collect(),
        alerts,
        log: report::visits::csv(visits.iter().map(|visit| (&**contract, visit))),
        schedule: report::schedule3::csv(&rows),
    })
}
