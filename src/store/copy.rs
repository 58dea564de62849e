//! Everything from a SQLite file into PostgreSQL.
//!
//! Guarantees that nothing is copied twice or left out, however often it is killed and run again:
//! rows go in the order of their keys, so that the greatest key there says how far it came. No daemon
//! runs on either database meanwhile, and none on the target until both hold the same. Changes
//! nothing in the source.

mod tables;

use std::path::Path;
use std::time::Duration;

use sqlx::pool::PoolConnection;
use sqlx::postgres::PgPool;
use sqlx::sqlite::{SqliteConnectOptions, SqlitePool, SqlitePoolOptions};
use sqlx::{AssertSqlSafe, Postgres};

use self::tables::Table;
use super::lock::{DatabaseLock, LockError};
use super::sql::Tx;
use super::versions::{self, Older};
use super::{CONNECTIONS_MAX, Database, Db, StoreError, postgres_pool};

pub use self::tables::{Summary, TABLES};

/// Most rows of a transaction.
const CHUNK_ROWS: usize = 5_000;
/// A transaction with as many bytes is long enough.
const CHUNK_BYTES: usize = 8 * 1024 * 1024;

/// How long the target may be in use when a copy begins: what a copy that was killed had under way
/// ends within a moment.
const FREE_WITHIN: Duration = Duration::from_secs(5);
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Every connection of a nightrun shares its database; a copy has it alone. Held until the
/// connection ends.
pub(super) const SHARE: &str = "SELECT pg_try_advisory_lock_shared(28274, 100)";
const ALONE: &str = "SELECT pg_try_advisory_lock(28274, 100)";

/// The table that is there until a copy is finished, with what its source was.
const IS_BEGUN: &str = "SELECT to_regclass('unfinished_copy') IS NOT NULL";
const BEGIN: &str = "CREATE TABLE unfinished_copy (source TEXT NOT NULL)";
const FINISH: &str = "DROP TABLE unfinished_copy";

const OF_TARGET: &str = "SELECT tablename::text FROM pg_tables \
     WHERE schemaname = current_schema() AND tablename <> '_sqlx_migrations' ORDER BY 1";

/// Puts each sequence behind the greatest number that it has given.
const SEQUENCES: &str = "SELECT format('SELECT setval(%L, max(%I)) FROM %I HAVING max(%I) > 0', \
     pg_get_serial_sequence(quote_ident(table_name), column_name), column_name, table_name, \
     column_name) FROM information_schema.columns \
     WHERE table_schema = current_schema() AND is_identity = 'YES'";

/// Tables that something happens to when a row comes.
const TRIGGERED: &str = "SELECT EXISTS (SELECT FROM pg_trigger WHERE NOT tgisinternal \
     AND tgtype & 4 <> 0 AND tgrelid = quote_ident($1)::regclass)";

/// Why nothing, or not everything, was copied.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// A daemon serves from the source.
    #[error(transparent)]
    Locked(#[from] LockError),
    /// A database does not do it.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The target is no PostgreSQL.
    #[error("{0} is a SQLite file: name a PostgreSQL database, \"postgres://user@host/name\"")]
    NoPostgres(Database),
    /// The target has been used.
    #[error(
        "{database} is not empty (there are rows in {table}): name a database that is new (createdb)"
    )]
    NotEmpty {
        /// Which.
        database: Database,
        /// One of its tables.
        table: String,
    },
    /// The target is in use.
    #[error("{0} is used by another nightrun: stop that one, a copy needs the database alone")]
    InUse(Database),
    /// The target holds the beginning of another copy.
    #[error(
        "{0} holds the beginning of the copy of another file, or of this one before a daemon or an \
         import changed it: make the database anew (dropdb, createdb), then copy again"
    )]
    OfAnother(Database),
    /// PostgreSQL has no column for what the file has.
    #[error("PostgreSQL has no place for {0}: please report it")]
    NoPlace(String),
    /// A row cannot be kept there.
    #[error(
        "the row {key} of {table} has {what} in {column}, which nightrun never writes and PostgreSQL \
         cannot keep: restore the file from a backup, or correct that row"
    )]
    Odd {
        /// Where.
        table: &'static str,
        /// Which row.
        key: String,
        /// Which of its values.
        column: String,
        /// What it has there.
        what: &'static str,
    },
}

impl From<sqlx::Error> for CopyError {
    fn from(failed: sqlx::Error) -> Self {
        Self::Store(failed.into())
    }
}

/// A table, in both databases.
#[derive(Debug)]
pub struct Compared {
    /// Which.
    pub table: &'static str,
    /// The source's rows.
    pub source: Summary,
    /// The target's.
    pub target: Summary,
}

impl Compared {
    /// Whether both hold the same.
    #[must_use]
    pub fn is_same(&self) -> bool {
        self.source == self.target
    }
}

/// A copy under way.
#[derive(Debug)]
pub struct Copy {
    source: SqlitePool,
    target: PgPool,
    tables: Vec<Table>,
    /// How many rows there are.
    pub rows: u64,
    /// How many of them have been copied.
    pub copied: u64,
    /// Keeps others away from the target.
    _alone: PoolConnection<Postgres>,
    /// Keeps a daemon away from the source.
    _lock: DatabaseLock,
}

impl Copy {
    /// Begins a copy, or goes on with one that was begun.
    ///
    /// # Errors
    /// When a daemon has either database, the source is not of this version, or the target holds
    /// anything but the beginning of this copy.
    pub async fn begin(from: &Path, to: &Database) -> Result<Self, CopyError> {
        let Database::Postgres(options) = to else {
            return Err(CopyError::NoPostgres(to.clone()));
        };
        let file = Database::file(from);
        file.must_exist()?;
        let lock = DatabaseLock::take(from)?;
        let source = SqlitePoolOptions::new()
            .max_connections(1)
            .connect_with(SqliteConnectOptions::new().filename(from).read_only(true))
            .await
            .map_err(|source| StoreError::Open { database: file.clone(), source })?;
        let version = versions::of_file(&source, &file, Older::Refuse).await?.to;
        let target = postgres_pool((**options).clone(), CONNECTIONS_MAX, to, false).await?;
        let alone = alone(&target, to).await?;
        let is_begun: bool = sqlx::query_scalar(IS_BEGUN).fetch_one(&target).await?;
        if !is_begun {
            must_be_empty(&target, to).await?;
            versions::of_postgres(&target, to, Older::Update).await?;
        }
        let (mut file, mut postgres) = (read_file(&source).await?, read_target(&target).await?);
        let (mut tables, mut rows, mut copied) = (Vec::new(), 0, 0);
        for name in TABLES {
            let table = Table::find(name, &mut file, &mut postgres).await?;
            rows += table.count(&mut file).await?;
            copied += table.count(&mut postgres).await?;
            tables.push(table);
        }
        drop(postgres);
        let what = what_it_is(version, &tables, &mut file).await?;
        drop(file);
        if !is_begun {
            let mut tx = target.begin().await?;
            sqlx::query(BEGIN).execute(&mut *tx).await?;
            let note = sqlx::query("INSERT INTO unfinished_copy VALUES ($1)").bind(&what);
            note.execute(&mut *tx).await?;
            tx.commit().await?;
        } else if what != begun_of(&target).await? {
            return Err(CopyError::OfAnother(to.clone()));
        }
        Ok(Self { source, target, tables, rows, copied, _alone: alone, _lock: lock })
    }

    /// Copies what has not been copied, and tells of each chunk how many rows it had.
    ///
    /// # Errors
    /// When a database fails, or a row cannot be kept.
    pub async fn run(&self, mut each: impl FnMut(u64)) -> Result<(), CopyError> {
        let mut file = read_file(&self.source).await?;
        for table in &self.tables {
            let mut postgres = read_target(&self.target).await?;
            let mut after = table.greatest(&mut postgres).await?;
            drop(postgres);
            let triggered = sqlx::query_scalar(TRIGGERED).bind(table.name);
            let triggered: bool = triggered.fetch_one(&self.target).await?;
            let (mut lines, mut rows) = (Vec::new(), 0);
            loop {
                let page = table.page(&mut file, after.as_ref()).await?;
                for row in &page {
                    table.write(row, &mut lines)?;
                }
                rows += page.len();
                after = page.last().map(|last| table.key_of(last));
                if rows > 0 && (after.is_none() || rows >= CHUNK_ROWS || lines.len() >= CHUNK_BYTES)
                {
                    self.write(table, &lines, triggered).await?;
                    each(rows as u64);
                    lines.clear();
                    rows = 0;
                }
                if after.is_none() {
                    break;
                }
            }
        }
        let sequences: Vec<String> = sqlx::query_scalar(SEQUENCES).fetch_all(&self.target).await?;
        for sequence in sequences {
            sqlx::query(AssertSqlSafe(sequence)).execute(&self.target).await?;
        }
        // Who plans by what PostgreSQL knows of empty tables reads all of them.
        sqlx::query("ANALYZE").execute(&self.target).await?;
        Ok(())
    }

    /// Makes lines rows. What is done when one comes was done in the source.
    async fn write(&self, table: &Table, lines: &[u8], triggered: bool) -> Result<(), CopyError> {
        let mut tx = self.target.begin().await?;
        let triggers = |what| {
            sqlx::query(AssertSqlSafe(format!(
                "ALTER TABLE \"{}\" {what} TRIGGER USER",
                table.name
            )))
        };
        if triggered {
            triggers("DISABLE").execute(&mut *tx).await?;
        }
        let mut copy = tx.copy_in_raw(&table.begin_copy()).await?;
        match copy.send(lines).await {
            Ok(_) => copy.finish().await?,
            Err(failed) => return Err(failed.into()),
        };
        if triggered {
            triggers("ENABLE").execute(&mut *tx).await?;
        }
        tx.commit().await?;
        Ok(())
    }

    /// Reads everything again on both sides, and compares.
    ///
    /// # Errors
    /// When a database fails.
    pub async fn check(&self) -> Result<Vec<Compared>, CopyError> {
        let (mut file, mut postgres) =
            (read_file(&self.source).await?, read_target(&self.target).await?);
        let mut compared = Vec::new();
        for table in &self.tables {
            let (source, target) =
                tokio::try_join!(table.digest(&mut file), table.digest(&mut postgres))?;
            compared.push(Compared { table: table.name, source, target });
        }
        Ok(compared)
    }

    /// Lets daemons have the target. Only if both hold the same.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn finish(self) -> Result<(), CopyError> {
        sqlx::query(FINISH).execute(&self.target).await?;
        Ok(())
    }
}

/// What tells a file from others, and from itself before a daemon or an import wrote in it.
async fn what_it_is(version: i64, tables: &[Table], file: &mut Db) -> Result<String, CopyError> {
    let mut what = vec![version.to_string()];
    for table in tables.iter().filter(|table| matches!(table.name, "import" | "daemon")) {
        what.push(table.digest(file).await?.sha256);
    }
    Ok(what.join(" "))
}

/// Whether the database is not a copy's, finished or not, that has it alone. Asked by who shares it.
pub(super) async fn is_free(target: &PgPool) -> Result<bool, StoreError> {
    let shared: bool = sqlx::query_scalar(SHARE).fetch_one(target).await?;
    let is_begun: bool = sqlx::query_scalar(IS_BEGUN).fetch_one(target).await?;
    Ok(shared && !is_begun)
}

async fn begun_of(target: &PgPool) -> Result<String, CopyError> {
    Ok(sqlx::query_scalar("SELECT source FROM unfinished_copy").fetch_one(target).await?)
}

async fn alone(
    target: &PgPool,
    database: &Database,
) -> Result<PoolConnection<Postgres>, CopyError> {
    let mut connection = target.acquire().await?;
    let mut waited = Duration::ZERO;
    while !sqlx::query_scalar::<_, bool>(ALONE).fetch_one(&mut *connection).await? {
        if waited >= FREE_WITHIN {
            return Err(CopyError::InUse(database.clone()));
        }
        tokio::time::sleep(LOOK_EVERY).await;
        waited += LOOK_EVERY;
    }
    Ok(connection)
}

async fn must_be_empty(target: &PgPool, database: &Database) -> Result<(), CopyError> {
    let tables: Vec<String> = sqlx::query_scalar(OF_TARGET).fetch_all(target).await?;
    for table in tables {
        let any = format!("SELECT EXISTS (SELECT FROM \"{table}\")");
        if sqlx::query_scalar(AssertSqlSafe(any)).fetch_one(target).await? {
            return Err(CopyError::NotEmpty { database: database.clone(), table });
        }
    }
    Ok(())
}

async fn read_file(pool: &SqlitePool) -> Result<Db, StoreError> {
    Ok(Tx::Sqlite(pool.begin().await?).into())
}

async fn read_target(pool: &PgPool) -> Result<Db, StoreError> {
    let tx = pool.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
    Ok(Tx::Postgres { tx, writes: false, slot: 0 }.into())
}
