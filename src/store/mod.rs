//! The database: the only SQL there is.
//!
//! A SQLite file has one writer, so that a batch is one transaction and nothing waits for a lock
//! inside it; readers beside it see the last commit. In PostgreSQL several daemons may write: what
//! one reads to change it, it holds ([`hold`]). Commits are on the disk when they return. Statements
//! are one text for both engines wherever these agree ([`sql`]). `CROSS JOIN` fixes the order of the
//! loops in SQLite: the few keys first. Decides nothing.

#![allow(non_camel_case_types, reason = "a row has types that are named as its values are")]

/// A row of a statement's array: its values by their names.
macro_rules! row {
    ($($name:ident: $value:expr),* $(,)?) => {{
        #[derive(serde::Serialize)]
        struct Row<$($name),*> { $($name: $name),* }
        Row { $($name: $value),* }
    }};
}

/// A statement for rows of these columns.
macro_rules! plain {
    ($columns:literal, $($rest:literal),+) => {
        $crate::store::sql::sql(concat!("SELECT ", $columns, " ", $($rest),+))
    };
}

/// The same, for [`sql::Statement::fetch_packed`]. The rows come in any order.
macro_rules! packed {
    ($columns:literal, $($rest:literal),+) => {
        $crate::store::sql::either(
            concat!("SELECT json_group_array(json_array(", $columns, ")) ", $($rest),+),
            concat!("SELECT ", $columns, " ", $($rest),+),
        )
    };
}

pub mod access;
pub mod acts;
pub mod alerts;
pub mod applying;
pub mod audit;
pub mod cases;
pub mod changes;
pub mod copy;
pub mod corrections;
pub mod daemons;
pub mod database;
pub mod evidence;
pub mod hold;
pub mod imports;
pub mod ledger;
mod lines;
pub mod lock;
#[cfg(test)]
mod migrated;
pub mod notifications;
pub mod outbox;
pub mod plan;
pub mod registers;
pub mod senders;
pub mod settled;
pub mod slots;
pub mod sql;
pub mod staging;
pub mod tokens;
pub mod turn;
pub mod versions;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serializer as _;
use sqlx::migrate::MigrateError;
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{ConnectOptions, Connection};

use crate::domain::calendar::Night;
use crate::domain::instant::Instant;
use crate::domain::refs::{BadReference, ContractId};
use crate::mqtt::SlotNumber;
pub use database::Database;
pub use sql::Db;
use sql::Tx;
use turn::Turns;
use versions::{Older, Versions};

/// How long a statement waits for another program that has locked the database.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);
/// Pages that a connection keeps in memory: negative, because it is in KiB.
const CACHE_KIB: &str = "-8192";
/// Pages of the write-ahead log after which it is folded in: a page that was written often meanwhile is
/// folded in once.
const FOLDED_IN_AFTER_PAGES: &str = "16000";
/// Rows that the database may be ahead of who reads them: a hand-over costs more than a row.
const ROWS_AHEAD: usize = 1_024;
/// Most connections that read at the same time.
const READERS_MAX: u32 = 4;

/// Most connections to PostgreSQL.
const CONNECTIONS_MAX: u32 = 8;
/// How long a connection to PostgreSQL may take to be had.
const CONNECT_WITHIN: Duration = Duration::from_secs(3);
/// How PostgreSQL treats each connection. Statements are for few keys each, which come first, and go by
/// the indexes. Whoever is cut off in the middle of a transaction soon holds nothing any more.
const OF_A_CONNECTION: [(&str, &str); 10] = [
    ("join_collapse_limit", "1"),
    // What is taken for empty would be read whole, and gone through for each key.
    ("enable_material", "off"),
    ("enable_hashjoin", "off"),
    ("enable_mergejoin", "off"),
    ("enable_seqscan", "off"),
    ("jit", "off"),
    ("idle_in_transaction_session_timeout", "30s"),
    ("tcp_keepalives_idle", "5"),
    ("tcp_keepalives_interval", "2"),
    ("tcp_keepalives_count", "3"),
];

/// Statements are planned once for a connection where PostgreSQL knows how large the tables are, and
/// otherwise each time: what it takes for empty it would go on reading whole.
const PLAN_ONCE: &str = "SELECT set_config('plan_cache_mode', \
    CASE WHEN min(reltuples) >= 1000 THEN 'force_generic_plan' ELSE 'force_custom_plan' END, false) \
    FROM pg_class WHERE oid IN (to_regclass('event'), to_regclass('night'), \
    to_regclass('planned_visit'), to_regclass('sender'))";

/// Why the database did not do it.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// It cannot be opened.
    #[error("cannot open the database {database}: {source}{advice}", advice = to_open(database, source))]
    Open {
        /// Which.
        database: Database,
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
    #[error("the database {0} is another program's: set database.url to one of nightrun's own")]
    Strange(Database),
    /// It has no tables yet.
    #[error("the database {0} is empty: import a plan or start the daemon, or set database.url")]
    Empty(Database),
    /// An older nightrun made its tables.
    #[error(
        "the tables of the database {database} are of version {found}, and this nightrun reads \
         version {known}: run `nightrun migrate`, with no daemon of the older version running"
    )]
    Older {
        /// Which.
        database: Database,
        /// The version of its tables.
        found: i64,
        /// This program's.
        known: i64,
    },
    /// A newer nightrun made its tables.
    #[error(
        "the tables of the database {database} are of version {found}, and this nightrun knows \
         only version {known}: use the newer nightrun that has written them"
    )]
    Newer {
        /// Which.
        database: Database,
        /// The version of its tables.
        found: i64,
        /// This program's.
        known: i64,
    },
    /// Not everything has been copied into it.
    #[error(
        "the database {0} holds a copy that is not finished: run the same `nightrun copy` again; \
         or make the database anew (dropdb, createdb)"
    )]
    Unfinished(Database),
    /// The tables cannot be brought up to date.
    #[error(
        "cannot bring the tables of the database up to date: {0}{advice}", advice = to_migrate(.0)
    )]
    Migrate(#[from] MigrateError),
    /// It took too long.
    #[error(
        "the database does not answer: see that it runs, and whether its disk or the network is slow"
    )]
    TooSlow,
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

/// What to do about a database that cannot be opened.
fn to_open(database: &Database, failed: &sqlx::Error) -> &'static str {
    match database {
        Database::File(_) => {
            ". See that the folder exists, may be written and has room, or set database.url"
        }
        Database::Postgres(_) => match advice(failed) {
            "" => {
                ". See that PostgreSQL runs there and that the daemon may use it, or set database.url"
            }
            advice => advice,
        },
    }
}

/// What to do about tables that cannot be brought up to date.
fn to_migrate(failed: &MigrateError) -> &'static str {
    match failed {
        MigrateError::Execute(failed) | MigrateError::ExecuteMigration(failed, _) => advice(failed),
        _ => ". If a newer nightrun has written it, use that one",
    }
}

/// What to do about it, where the engine's code says what is wrong.
fn advice(failed: &sqlx::Error) -> &'static str {
    if matches!(failed, sqlx::Error::PoolTimedOut) {
        return "; PostgreSQL does not answer: see that it runs and can be reached";
    }
    let code = failed.as_database_error().and_then(sqlx::error::DatabaseError::code);
    let code = code.as_deref().unwrap_or_default();
    // PostgreSQL's codes have five characters, and SQLite's are numbers.
    match (code.len(), code) {
        (5, "28P01" | "28000") => "; see database.url, the password, and PostgreSQL's pg_hba.conf",
        (5, "3D000") => "; make the database first (createdb)",
        (5, "42501") => "; the daemon's user must own the tables, and may make them in its schema",
        (5, "53100") => "; make room on PostgreSQL's disk",
        (5, "53200") => "; give PostgreSQL more memory, or a greater max_locks_per_transaction",
        (5, "53300") => "; raise PostgreSQL's max_connections",
        (5, "57P01" | "57P02" | "57P03") => "; PostgreSQL is stopping, or starting",
        (5, "25006") => "; this PostgreSQL only reads: set database.url to the one that writes",
        (5, _) => "",
        (_, code) => match code.parse::<i32>().ok().map(|code| code & 0xff) {
            Some(5 | 6) => "; another program has locked it: end that program, or wait for it",
            Some(8 | 14) => "; see that the daemon's user may write the file and its folder",
            Some(10) => "; see whether its disk is full, or failing (dmesg)",
            Some(11 | 26) => "; it is damaged: restore it from a backup",
            Some(13) => "; make room on its disk",
            _ => "",
        },
    }
}

impl StoreError {
    /// Whether it failed only because another daemon wrote the same at the same time: done again at
    /// once, it works.
    #[must_use]
    pub fn is_collision(&self) -> bool {
        let Self::Failed(failed) = self else { return false };
        let code = failed.as_database_error().and_then(sqlx::error::DatabaseError::code);
        // Not serializable, a deadlock, or a row that was not there yet and now is.
        matches!(code.as_deref(), Some("40001" | "40P01" | "23505"))
    }
}

/// The database of one nightrun, or of several that work together.
#[derive(Debug, Clone)]
pub struct Store(Pools);

#[derive(Debug, Clone)]
enum Pools {
    Sqlite { writer: SqlitePool, turns: Turns, reader: SqlitePool },
    Postgres(PgPool),
}

impl Store {
    /// Opens the database, makes the file if it is one and not there, and brings the tables up to
    /// date.
    ///
    /// # Errors
    /// When that cannot be done.
    pub async fn open(database: &Database) -> Result<Self, StoreError> {
        Ok(Self::open_with(database, CONNECTIONS_MAX, Older::Update).await?.0)
    }

    /// The same, with one connection to PostgreSQL, which nobody else takes, and whose commits do not
    /// wait for the disk.
    ///
    /// # Errors
    /// When that cannot be done.
    pub async fn open_apart(database: &Database) -> Result<Self, StoreError> {
        Ok(Self::open_with(&database.clone().in_haste(), 1, Older::Update).await?.0)
    }

    /// Opens a database that must be there already, with tables of this version: they may be a
    /// running daemon's of another.
    ///
    /// # Errors
    /// When it is not there, its tables are of another version, or it cannot be opened.
    pub async fn open_existing(database: &Database) -> Result<Self, StoreError> {
        database.must_exist()?;
        Ok(Self::open_with(database, CONNECTIONS_MAX, Older::Refuse).await?.0)
    }

    /// Brings the tables of a database up to date.
    ///
    /// # Errors
    /// When it is not there, or that cannot be done.
    pub async fn migrate(database: &Database) -> Result<Versions, StoreError> {
        database.must_exist()?;
        let (store, versions) = Self::open_with(database, CONNECTIONS_MAX, Older::Update).await?;
        store.close().await;
        Ok(versions)
    }

    async fn open_with(
        database: &Database,
        connections: u32,
        older: Older,
    ) -> Result<(Self, Versions), StoreError> {
        let (pools, versions) = match database {
            Database::File(path) => {
                let options = SqliteConnectOptions::new().filename(path);
                Self::open_file(options, path, database, older).await?
            }
            Database::Postgres(options) => {
                let options = (**options).clone();
                Self::open_postgres(options, connections, database, older).await?
            }
        };
        Ok((Self(pools), versions))
    }

    async fn open_file(
        options: SqliteConnectOptions,
        path: &Path,
        database: &Database,
        older: Older,
    ) -> Result<(Pools, Versions), StoreError> {
        let cannot = |source| StoreError::Open { database: database.clone(), source };
        let options = options
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .pragma("cache_size", CACHE_KIB)
            .pragma("wal_autocheckpoint", FOLDED_IN_AFTER_PAGES)
            .row_buffer_size(ROWS_AHEAD)
            .busy_timeout(BUSY_TIMEOUT)
            .disable_statement_logging();
        let pool = || {
            // SQLite ends a transaction by itself when the disk fails it; the library cannot end it
            // again, and would count it as open on this connection for ever.
            SqlitePoolOptions::new()
                .before_acquire(|db, _| Box::pin(async { Ok(!db.is_in_transaction()) }))
        };
        let writer =
            pool().max_connections(1).connect_with(options.clone()).await.map_err(cannot)?;
        let versions = versions::of_file(&writer, database, older).await?;
        let turns = Turns::of(path).map_err(|failed| cannot(failed.into()))?;
        let reader = pool()
            .max_connections(READERS_MAX)
            .connect_with(options.read_only(true).create_if_missing(false))
            .await
            .map_err(cannot)?;
        Ok((Pools::Sqlite { writer, turns, reader }, versions))
    }

    async fn open_postgres(
        options: PgConnectOptions,
        connections: u32,
        database: &Database,
        older: Older,
    ) -> Result<(Pools, Versions), StoreError> {
        let pool = postgres_pool(options, connections, database, true).await?;
        if !copy::is_free(&pool).await? {
            return Err(StoreError::Unfinished(database.clone()));
        }
        let versions = versions::of_postgres(&pool, database, older).await?;
        Ok((Pools::Postgres(pool), versions))
    }

    /// Begins a transaction that writes. In a SQLite file no other one can get in its way.
    ///
    /// # Errors
    /// When the database is locked by another program for too long, or fails.
    pub async fn write(&self) -> Result<Db, StoreError> {
        self.write_for(0).await
    }

    /// The same, in the name of a slot: what is to be published is published by that.
    ///
    /// # Errors
    /// As above.
    pub async fn write_for(&self, slot: SlotNumber) -> Result<Db, StoreError> {
        let tx = match &self.0 {
            Pools::Sqlite { writer, turns, .. } => {
                let _turn = turns.take().await.map_err(sqlx::Error::Io)?;
                Tx::Sqlite(writer.begin_with("BEGIN IMMEDIATE").await?)
            }
            Pools::Postgres(pool) => Tx::Postgres { tx: pool.begin().await?, writes: true, slot },
        };
        Ok(tx.into())
    }

    /// Begins a transaction that reads, all from the same moment.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn read(&self) -> Result<Db, StoreError> {
        const BEGIN: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
        let tx = match &self.0 {
            Pools::Sqlite { reader, .. } => Tx::Sqlite(reader.begin().await?),
            Pools::Postgres(pool) => {
                Tx::Postgres { tx: pool.begin_with(BEGIN).await?, writes: false, slot: 0 }
            }
        };
        Ok(tx.into())
    }

    /// Closes all connections; a SQLite file's write-ahead log is folded in.
    pub async fn close(&self) {
        match &self.0 {
            Pools::Sqlite { writer, reader, .. } => {
                reader.close().await;
                writer.close().await;
            }
            Pools::Postgres(pool) => pool.close().await,
        }
    }
}

/// Connections to PostgreSQL; while one that shares is there, nobody begins a copy.
async fn postgres_pool(
    options: PgConnectOptions,
    connections: u32,
    database: &Database,
    shares: bool,
) -> Result<PgPool, StoreError> {
    PgPoolOptions::new()
        .after_connect(move |db, _| {
            Box::pin(async move {
                if shares {
                    sqlx::query(copy::SHARE).execute(&mut *db).await?;
                }
                sqlx::query(PLAN_ONCE).execute(db).await?;
                Ok(())
            })
        })
        .max_connections(connections)
        .acquire_timeout(CONNECT_WITHIN)
        .connect_with(options.options(OF_A_CONNECTION).disable_statement_logging())
        .await
        .map_err(|source| StoreError::Open { database: database.clone(), source })
}

fn at(micros: i64) -> Instant {
    Instant::from_timestamp_micros(micros).unwrap_or_default()
}

fn night_text(night: Night) -> String {
    night.to_string()
}

fn read_night(text: &str) -> Result<Night, StoreError> {
    text.parse().map_err(|_| StoreError::Foreign(format!("the night {text:?}")))
}

fn read_word<T: std::str::FromStr>(text: &str) -> Result<T, StoreError> {
    text.parse().map_err(|_| StoreError::Foreign(format!("the word {text:?}")))
}

/// Rows as one JSON array, to be read by `jsonb_each($1)`.
fn rows<T: serde::Serialize>(values: impl IntoIterator<Item = T>) -> String {
    let mut text = Vec::new();
    // What is written here are numbers and texts by their names: that does not fail.
    let _ = serde_json::Serializer::new(&mut text).collect_seq(values);
    String::from_utf8(text).unwrap_or_default()
}

/// Contracts as such rows, with their names under `contract`.
fn contract_rows(contracts: &BTreeSet<ContractId>) -> String {
    rows(contracts.iter().map(|contract| row! { contract: contract.as_str() }))
}
