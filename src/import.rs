//! Imports: plan and registers from files into the database.
//!
//! All or nothing: rows are staged in short transactions while the daemon goes on, and switched in
//! by one update. Only rows that differ from what is in force are staged, so the same file twice
//! changes nothing. What follows for nights and events, the daemon draws (see [`crate::apply`]).

pub mod take;

use std::collections::BTreeSet;

use tokio::task::JoinHandle;

use crate::caseload;
use crate::config::Contracts;
use crate::domain::calendar::Night;
use crate::domain::instant::Instant;
use crate::domain::plan::PlannedVisit;
use crate::domain::refs::{ContractId, VisitRef};
use crate::files::BadRow;
use crate::store::cases::CaseKey;
use crate::store::imports::{self, Staging};
use crate::store::registers::{self, RegisterRow};
use crate::store::{Db, Store, StoreError, plan, staging};

/// Rows that are staged in one transaction.
pub const CHUNK: usize = 2_000;

/// What the rows of a file say that is not in force yet.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// Rows that are new, or differ from what is in force.
    pub changed: u64,
    /// Rows that say what is in force.
    pub unchanged: u64,
}

/// An import under way. Drop it, or [`Import::discard`] it, and nothing has happened.
pub struct Import<'a> {
    store: &'a Store,
    contracts: &'a Contracts,
    /// `None`: a dry run, which only compares.
    staging: Option<Staging>,
    now: Instant,
    counts: Counts,
    /// What was staged last, on its way into the database.
    writing: Option<JoinHandle<Result<(), StoreError>>>,
}

impl<'a> Import<'a> {
    /// Begins an import of that kind of file.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn begin(
        store: &'a Store,
        contracts: &'a Contracts,
        kind: &str,
        dry_run: bool,
        now: Instant,
    ) -> Result<Self, StoreError> {
        let mut staging = None;
        if !dry_run {
            let mut tx = store.write().await?;
            staging = Some(imports::begin(&mut tx, kind, now).await?);
            tx.commit().await?;
        }
        Ok(Self { store, contracts, staging, now, counts: Counts::default(), writing: None })
    }

    /// Compares visits with the plan in force and stages those that differ. Returns the rows that
    /// would move a visit that has begun to another night.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn visits(
        &mut self,
        rows: Vec<(u64, PlannedVisit)>,
    ) -> Result<Vec<BadRow>, StoreError> {
        let mut tx = self.store.read().await?;
        let refs: BTreeSet<(ContractId, VisitRef)> = rows
            .iter()
            .map(|(_, visit)| (visit.contract.clone(), visit.visit_ref.clone()))
            .collect();
        let history = plan::of_refs(&mut tx, &refs).await?;
        let mut bad = Vec::new();
        let mut staged = Vec::new();
        for (line, visit) in rows {
            let Some(contract) = self.contracts.get(&visit.contract) else { continue };
            let night = contract.night_of(visit.start);
            let key = (visit.contract.clone(), visit.visit_ref.clone());
            let Some((was_in, row)) = history.get(&key).and_then(|v| plan::in_force(v)) else {
                self.counts.changed += 1;
                staged.push((visit, night));
                continue;
            };
            if *row.visit == visit {
                self.counts.unchanged += 1;
                continue;
            }
            if was_in != night && self.has_begun(&mut tx, &row.visit, was_in).await? {
                bad.push(BadRow {
                    line,
                    column: Some("planned_start".to_owned()),
                    reason: format!(
                        "{} has begun in the night of {was_in} and cannot move to that of {night}: \
                         give a visit of another night a reference of its own",
                        visit.visit_ref
                    ),
                });
                continue;
            }
            self.counts.changed += 1;
            staged.push((visit, night));
        }
        drop(tx);
        if let Some(import) = self.staging.filter(|_| !staged.is_empty()) {
            self.written().await?;
            // The next rows are compared meanwhile: what is staged is not in force.
            let store = self.store.clone();
            self.writing = Some(tokio::spawn(async move {
                let mut tx = store.write().await?;
                staging::visits(&mut tx, import.id, &staged).await?;
                tx.commit().await
            }));
        }
        Ok(bad)
    }

    /// Waits until what was staged last is in the database.
    async fn written(&mut self) -> Result<(), StoreError> {
        match self.writing.take() {
            Some(writing) => match writing.await {
                Ok(written) => written,
                Err(failed) => std::panic::resume_unwind(failed.into_panic()),
            },
            None => Ok(()),
        }
    }

    /// Whether a visit should have begun, or somebody has come.
    async fn has_begun(
        &self,
        db: &mut Db,
        visit: &PlannedVisit,
        night: Night,
    ) -> Result<bool, StoreError> {
        if visit.start <= self.now {
            return Ok(true);
        }
        let (contract, client) = (visit.contract.clone(), visit.client_ref.clone());
        let keys = BTreeSet::from([CaseKey { contract, night, client }]);
        let caseload = caseload::load(db, self.contracts, &keys).await?;
        Ok(caseload.values().any(|case| {
            let visits = case.reconcile(self.now).visits;
            visits
                .iter()
                .any(|other| other.visit_ref == visit.visit_ref && !other.attendances.is_empty())
        }))
    }

    /// Stages register rows that differ from what is in force.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn registers(&mut self, rows: &[RegisterRow]) -> Result<(), StoreError> {
        // A dry run stages too, in a transaction that is never committed.
        let mut tx = self.store.write().await?;
        let staging = match self.staging {
            Some(staging) => staging,
            None => imports::begin(&mut tx, "dry run", self.now).await?,
        };
        let changed = registers::stage(&mut tx, staging.id, rows).await?;
        if self.staging.is_some() {
            tx.commit().await?;
        }
        self.counts.changed += changed;
        self.counts.unchanged += u64::try_from(rows.len()).unwrap_or(u64::MAX) - changed;
        Ok(())
    }

    /// Switches the import in. `None`: another import came in between; nothing was done.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn finish(mut self) -> Result<Option<Counts>, StoreError> {
        self.written().await?;
        let Some(staging) = self.staging else { return Ok(Some(self.counts)) };
        if self.counts.changed == 0 {
            let counts = self.counts;
            self.discard().await?;
            return Ok(Some(counts));
        }
        let mut tx = self.store.write().await?;
        let in_force = imports::commit(&mut tx, staging, crate::clock::now()).await?;
        tx.commit().await?;
        if in_force {
            return Ok(Some(self.counts));
        }
        self.discard().await?;
        Ok(None)
    }

    /// Takes back what was staged.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn discard(mut self) -> Result<(), StoreError> {
        // It is taken back: whether it came to be there does not matter.
        let _ = self.written().await;
        if let Some(staging) = self.staging {
            let mut tx = self.store.write().await?;
            imports::discard(&mut tx, staging.id).await?;
            tx.commit().await?;
        }
        Ok(())
    }
}
