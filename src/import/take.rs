//! Taking a file: its rows are read one chunk ahead, staged, and switched in if all are good.

use std::io::{self, BufRead};

use clap::ValueEnum;
use tokio::sync::mpsc;

use super::{CHUNK, Counts, Import};
use crate::config::Contracts;
use crate::domain::instant::Instant;
use crate::domain::plan::{CarerRow, ClientRow, DeviceRow, PlannedVisit, Suspension, TagRow};
use crate::domain::refs::ContractId;
use crate::files::{BadRow, FileRow, Findings, Rows};
use crate::store::registers::RegisterRow;
use crate::store::{Store, StoreError};

/// What a file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// Planned visits.
    Visits,
    /// The client register.
    Clients,
    /// The carer register.
    Carers,
    /// The device register.
    Devices,
    /// The tag register.
    Tags,
    /// Suspensions of clients.
    Suspensions,
}

impl Kind {
    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Visits => crate::apply::VISITS,
            Self::Clients => "clients",
            Self::Carers => "carers",
            Self::Devices => "devices",
            Self::Tags => "tags",
            Self::Suspensions => "suspensions",
        }
    }
}

/// Why a file was not taken.
#[derive(Debug, thiserror::Error)]
pub enum TakeError {
    /// It cannot be read.
    #[error("it cannot be read: {0}")]
    Read(#[from] io::Error),
    /// Another import was switched in first.
    #[error("another import was finished while this one ran; nothing was imported: run it again")]
    Overtaken,
    /// Whoever reads it has died, which is a bug.
    #[error("reading it has failed: please report it; nothing was imported")]
    Died,
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Takes a file of that kind, all of it or, if any row is bad, nothing. Returns what was found in it and,
/// if it was taken, what changed. A dry run only compares.
///
/// # Errors
/// When it cannot be read, another import comes first, or the database fails; then nothing was taken.
pub async fn take(
    input: Box<dyn BufRead + Send>,
    kind: Kind,
    store: &Store,
    contracts: &Contracts,
    dry_run: bool,
    now: Instant,
) -> Result<(Findings, Option<Counts>), TakeError> {
    let mut import = Import::begin(store, contracts, kind.as_str(), dry_run, now).await?;
    let taken = match kind {
        Kind::Visits => visits(input, contracts, &mut import).await,
        Kind::Clients => {
            registers::<ClientRow>(input, contracts, &mut import, RegisterRow::Client).await
        }
        Kind::Carers => {
            registers::<CarerRow>(input, contracts, &mut import, RegisterRow::Carer).await
        }
        Kind::Devices => {
            registers::<DeviceRow>(input, contracts, &mut import, RegisterRow::Device).await
        }
        Kind::Tags => registers::<TagRow>(input, contracts, &mut import, RegisterRow::Tag).await,
        Kind::Suspensions => {
            registers::<Suspension>(input, contracts, &mut import, RegisterRow::Suspension).await
        }
    };
    let findings = match taken {
        Ok(findings) if findings.is_good() => findings,
        not_good => {
            import.discard().await?;
            return not_good.map(|findings| (findings, None));
        }
    };
    let counts = import.finish().await?.ok_or(TakeError::Overtaken)?;
    Ok((findings, Some(counts)))
}

async fn visits(
    input: Box<dyn BufRead + Send>,
    contracts: &Contracts,
    import: &mut Import<'_>,
) -> Result<Findings, TakeError> {
    let mut file = read::<PlannedVisit>(input, contracts);
    let mut bad: Vec<BadRow> = Vec::new();
    while let Some(part) = file.recv().await {
        match part {
            Part::Rows(chunk) => bad.extend(import.visits(chunk).await?),
            Part::End(findings) => {
                let mut findings = findings?;
                for row in bad {
                    findings.bad.push(row);
                }
                return Ok(findings);
            }
        }
    }
    Err(TakeError::Died)
}

async fn registers<T: FileRow + Send + 'static>(
    input: Box<dyn BufRead + Send>,
    contracts: &Contracts,
    import: &mut Import<'_>,
    row: fn(T) -> RegisterRow,
) -> Result<Findings, TakeError> {
    let mut file = read::<T>(input, contracts);
    while let Some(part) = file.recv().await {
        match part {
            Part::Rows(chunk) => {
                let chunk: Vec<RegisterRow> =
                    chunk.into_iter().map(|(_, value)| row(value)).collect();
                import.registers(&chunk).await?;
            }
            Part::End(findings) => return Ok(findings?),
        }
    }
    Err(TakeError::Died)
}

/// What has been read of a file.
enum Part<T> {
    Rows(Vec<(u64, T)>),
    /// There is no more.
    End(io::Result<Findings>),
}

/// Reads the file one chunk ahead, on a thread of its own: the database has the other.
fn read<T: FileRow + Send + 'static>(
    input: Box<dyn BufRead + Send>,
    contracts: &Contracts,
) -> mpsc::Receiver<Part<T>> {
    let contracts = contracts.clone();
    let (parts, receiver) = mpsc::channel(1);
    std::thread::spawn(move || {
        let contracts = |id: &ContractId| contracts.get(id).cloned();
        let mut rows = Rows::<T, _>::new(input, &contracts);
        loop {
            let end = match rows.by_ref().take(CHUNK).collect::<io::Result<Vec<_>>>() {
                Err(failed) => Part::End(Err(failed)),
                Ok(chunk) if chunk.is_empty() => Part::End(Ok(rows.into_findings())),
                Ok(chunk) => {
                    if parts.blocking_send(Part::Rows(chunk)).is_err() {
                        return;
                    }
                    continue;
                }
            };
            let _ = parts.blocking_send(end);
            return;
        }
    });
    receiver
}
