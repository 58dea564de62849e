//! The database: the only SQL there is.
//!
//! One writer, so that a batch is one transaction and nothing waits for a lock inside it; readers
//! beside it see the last commit. Commits are on the disk when they return (write-ahead log, full
//! synchronisation). Statements are written so that PostgreSQL takes the same text: sets of rows go
//! in as one JSON array, read by `json_each($1)` and `value->>'name'`, which both engines can have.
//! `CROSS JOIN` fixes the order of the loops in SQLite: the few keys first. Decides nothing.

pub mod alerts;
pub mod audit;
pub mod cases;
pub mod daemons;
pub mod evidence;
pub mod imports;
pub mod ledger;
pub mod lock;
pub mod outbox;
pub mod plan;
pub mod registers;
pub mod senders;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{Connection, Sqlite, SqliteConnection, Transaction};

use crate::domain::calendar::Night;
use crate::domain::instant::Instant;
use crate::domain::refs::{BadReference, ContractId};

/// How long a statement waits for another program that has locked the database.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);
/// Pages that a connection keeps in memory: negative, because it is in KiB.
const CACHE_KIB: &str = "-8192";
/// Rows that the database may be ahead of who reads them: a hand-over costs more than a row.
const ROWS_AHEAD: usize = 1_024;
/// Most connections that read at the same time.
const READERS_MAX: u32 = 4;

/// Whether there are tables, and none in which nightrun notes its migrations.
const STRANGE: &str = "SELECT count(*) > 0 AND sum(name = '_sqlx_migrations') = 0 FROM sqlite_master \
                       WHERE type = 'table'";

/// A connection inside a transaction.
pub type Db = SqliteConnection;

/// Why the database did not do it.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The file cannot be opened.
    #[error(
        "cannot open the database {path}: {source}. See that the folder exists, may be written and \
         has room, or set database.url"
    )]
    Open {
        /// The file.
        path: PathBuf,
        /// What the database says.
        source: sqlx::Error,
    },
    /// There is none.
    #[error(
        "there is no database {path}: go to the folder where the daemon runs, or set database.url"
    )]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// It is some other program's.
    #[error(
        "the database {path} is another program's: set database.url to a file of nightrun's own"
    )]
    Strange {
        /// The file.
        path: PathBuf,
    },
    /// The tables cannot be brought up to date.
    #[error(
        "cannot bring the tables of the database up to date: {0}. If a newer nightrun has written \
         it, use that one"
    )]
    Migrate(#[from] sqlx::migrate::MigrateError),
    /// A statement failed.
    #[error("the database failed: {0}{advice}", advice = advice(.0))]
    Failed(#[from] sqlx::Error),
    /// A row holds what nightrun never writes.
    #[error("the database holds what nightrun never writes ({0}): restore it from a backup")]
    Foreign(String),
}

impl From<BadReference> for StoreError {
    fn from(bad: BadReference) -> Self {
        Self::Foreign(bad.to_string())
    }
}

/// What to do about it, where SQLite's result code says what is wrong.
fn advice(failed: &sqlx::Error) -> &'static str {
    let code = failed.as_database_error().and_then(sqlx::error::DatabaseError::code);
    match code.and_then(|code| code.parse::<i32>().ok()).map(|code| code & 0xff) {
        Some(5 | 6) => "; another program has locked it: end that program, or wait for it",
        Some(8 | 14) => "; see that the daemon's user may write the file and its folder",
        Some(10) => "; see whether its disk is full, or failing (dmesg)",
        Some(11 | 26) => "; it is damaged: restore it from a backup",
        Some(13) => "; make room on its disk",
        _ => "",
    }
}

/// The database of one nightrun.
#[derive(Debug, Clone)]
pub struct Store {
    writer: SqlitePool,
    reader: SqlitePool,
}

impl Store {
    /// Opens the file, makes it if it is not there, and brings its tables up to date.
    ///
    /// # Errors
    /// When that cannot be done.
    pub async fn open(path: &Path) -> Result<Self, StoreError> {
        let cannot = |source| StoreError::Open { path: path.to_owned(), source };
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .pragma("cache_size", CACHE_KIB)
            .row_buffer_size(ROWS_AHEAD)
            .busy_timeout(BUSY_TIMEOUT);
        let pool = || {
            // SQLite ends a transaction by itself when the disk fails it; the library cannot end it
            // again, and would count it as open on this connection for ever.
            SqlitePoolOptions::new()
                .before_acquire(|db, _| Box::pin(async { Ok(!db.is_in_transaction()) }))
        };
        let writer =
            pool().max_connections(1).connect_with(options.clone()).await.map_err(cannot)?;
        let strange: bool = sqlx::query_scalar(STRANGE).fetch_one(&writer).await?;
        if strange {
            return Err(StoreError::Strange { path: path.to_owned() });
        }
        sqlx::migrate!("migrations/sqlite").run(&writer).await?;
        let reader = pool()
            .max_connections(READERS_MAX)
            .connect_with(options.read_only(true).create_if_missing(false))
            .await
            .map_err(cannot)?;
        Ok(Self { writer, reader })
    }

    /// Opens a database that must be there already.
    ///
    /// # Errors
    /// When it is not there, or cannot be opened.
    pub async fn open_existing(path: &Path) -> Result<Self, StoreError> {
        if path.try_exists().unwrap_or(false) {
            return Self::open(path).await;
        }
        Err(StoreError::Missing { path: path.to_owned() })
    }

    /// Begins a transaction that writes, and that no other one can get in the way of.
    ///
    /// # Errors
    /// When the database is locked by another program for too long, or fails.
    pub async fn write(&self) -> Result<Transaction<'static, Sqlite>, StoreError> {
        Ok(self.writer.begin_with("BEGIN IMMEDIATE").await?)
    }

    /// Begins a transaction that reads, all from the same moment.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn read(&self) -> Result<Transaction<'static, Sqlite>, StoreError> {
        Ok(self.reader.begin().await?)
    }

    /// Closes all connections, so that the write-ahead log is folded in.
    pub async fn close(&self) {
        self.reader.close().await;
        self.writer.close().await;
    }
}

fn at(micros: i64) -> Instant {
    Instant::from_timestamp_micros(micros).unwrap_or_default()
}

fn night_text(night: Night) -> String {
    night.format("%Y-%m-%d").to_string()
}

fn read_night(text: &str) -> Result<Night, StoreError> {
    text.parse().map_err(|_| StoreError::Foreign(format!("the night {text:?}")))
}

fn read_word<T: std::str::FromStr>(text: &str) -> Result<T, StoreError> {
    text.parse().map_err(|_| StoreError::Foreign(format!("the word {text:?}")))
}

/// Rows as one JSON array, to be read by `json_each($1)`.
fn rows(values: impl IntoIterator<Item = serde_json::Value>) -> String {
    serde_json::Value::Array(values.into_iter().collect()).to_string()
}

/// Contracts as such rows, with their names under `contract`.
fn contract_rows(contracts: &BTreeSet<ContractId>) -> String {
    rows(contracts.iter().map(|contract| serde_json::json!({"contract": contract.as_str()})))
}
