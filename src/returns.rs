//! The council's return from the database: settled nights as they are kept, the others by their
//! evidence.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::sync::Arc;

use chrono::NaiveDate;
use tokio::task::spawn_blocking;

use crate::book;
use crate::caseload;
use crate::config::Contracts;
use crate::domain::calendar::plus_days;
use crate::domain::instant::Instant;
use crate::domain::policy::Contract;
use crate::domain::schedule3::{Counted, Row, RowKey, Schedule3, Unbalanced};
use crate::store::cases::CaseKey;
use crate::store::settled::{JudgedBy, Nights};
use crate::store::{Db, Store, StoreError, imports, settled};

/// Clients whose rows are made at once.
const CLIENTS_AT_ONCE: i64 = 1_000;
/// Client nights that are judged by their evidence at once.
const NIGHTS_AT_ONCE: usize = 500;

/// Why there is no return.
#[derive(Debug, thiserror::Error)]
pub enum ReturnError {
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A row does not balance.
    #[error(transparent)]
    Unbalanced(#[from] Unbalanced),
}

/// The rows of Schedule 3 for the visits that are dated from `first` to `last` (R4), as the evidence has
/// them at `now`.
///
/// # Errors
/// When the database fails, or a row does not balance.
pub async fn schedule3(
    store: &Store,
    contracts: &Contracts,
    contract: &Arc<Contract>,
    (first, last): (NaiveDate, NaiveDate),
    now: Instant,
) -> Result<Vec<Row>, ReturnError> {
    let mut db = store.read().await?;
    if imports::to_apply(&mut db).await?.is_some() {
        // Nights that it touches may not be known yet.
        let mut schedule3 = Schedule3::default();
        for visit in book::visits(&mut db, contract, (first, last), now).await? {
            schedule3.add(contract, &visit);
        }
        return Ok(schedule3.rows()?);
    }
    // A visit may be dated a day after its night.
    let nights = (plus_days(first, -2), plus_days(last, 1));
    let of = &contract.id;
    let mut page = settled::of_clients(&mut db, of, nights, None, CLIENTS_AT_ONCE).await?;
    let mut rows = Vec::new();
    while let Some(last_client) = page.last() {
        let after = last_client.client().clone();
        let contract = Arc::clone(contract);
        let counting = spawn_blocking(move || count_settled(&contract, &page, (first, last), now));
        page = settled::of_clients(&mut db, of, nights, Some(&after), CLIENTS_AT_ONCE).await?;
        let (mut counted, open) = match counting.await {
            Ok(counted) => counted?,
            Err(failed) => std::panic::resume_unwind(failed.into_panic()),
        };
        for keys in open.chunks(NIGHTS_AT_ONCE) {
            let visits = by_evidence(&mut db, contracts, keys, now).await?;
            for visit in visits {
                counted.add(visit);
            }
        }
        rows.extend(counted.rows.rows()?);
    }
    rows.sort_by(|one, other| one.key.cmp(&other.key));
    Ok(rows)
}

/// The rows of the visits of certain dates.
struct OfDates {
    contract: Arc<Contract>,
    dates: RangeInclusive<NaiveDate>,
    rows: Schedule3,
}

impl OfDates {
    fn add(&mut self, visit: Counted) {
        if self.dates.contains(&self.contract.dated(visit.night, visit.start)) {
            self.rows.count(&self.contract, visit);
        }
    }
}

/// Counts what is kept of these clients' nights. Returns the others as well.
fn count_settled(
    contract: &Arc<Contract>,
    clients: &[Nights],
    (first, last): (NaiveDate, NaiveDate),
    now: Instant,
) -> Result<(OfDates, Vec<CaseKey>), StoreError> {
    let rows = Schedule3::default();
    let mut counted = OfDates { contract: Arc::clone(contract), dates: first..=last, rows };
    let mut judged_by = JudgedBy::new(contract);
    let mut open = Vec::new();
    for of_client in clients {
        let (settled, unsettled) = of_client.read(&mut judged_by, now)?;
        for visit in settled {
            counted.add(visit);
        }
        let key = |night| CaseKey {
            contract: contract.id.clone(),
            night,
            client: of_client.client().clone(),
        };
        open.extend(unsettled.into_iter().map(key));
    }
    Ok((counted, open))
}

async fn by_evidence(
    db: &mut Db,
    contracts: &Contracts,
    keys: &[CaseKey],
    now: Instant,
) -> Result<Vec<Counted>, StoreError> {
    let keys: BTreeSet<CaseKey> = keys.iter().cloned().collect();
    let caseload = caseload::read(db, contracts, &keys).await?;
    Ok(caseload
        .values()
        .flat_map(|case| {
            let visits = case.reconcile(now).visits;
            visits.into_iter().map(|visit| Counted::of(&case.contract, &visit))
        })
        .collect())
}

/// One row of Schedule 3, as the evidence has it at `now`; `None` if the visits of that client and week
/// make none.
///
/// # Errors
/// When the database fails, or the row does not balance.
pub async fn row(
    db: &mut Db,
    contracts: &Contracts,
    contract: &Arc<Contract>,
    wanted: &RowKey,
    now: Instant,
) -> Result<Option<Row>, ReturnError> {
    let (first, last) = (wanted.start_date, plus_days(wanted.start_date, 6));
    let key = |days| CaseKey {
        contract: contract.id.clone(),
        night: plus_days(first, days),
        client: wanted.client.clone(),
    };
    // A visit may be dated a day after its night.
    let keys: Vec<CaseKey> = (-2..=6).map(key).collect();
    let rows = Schedule3::default();
    let mut counted = OfDates { contract: Arc::clone(contract), dates: first..=last, rows };
    for visit in by_evidence(db, contracts, &keys, now).await? {
        counted.add(visit);
    }
    Ok(counted.rows.rows()?.into_iter().find(|row| row.key == *wanted))
}
