//! Of which version the tables are, and bringing them up to date.
//!
//! Guarantees that tables of a newer nightrun, and those of another program, are left alone.

use sqlx::migrate::{Migrate, MigrateError, Migrator};
use sqlx::pool::PoolConnection;
use sqlx::{PgPool, SqlitePool};

use super::{Database, StoreError};

static SQLITE: Migrator = sqlx::migrate!("migrations/sqlite");
static POSTGRES: Migrator = sqlx::migrate!("migrations/postgres");

/// How many tables there are, and whether one of them is where nightrun notes its migrations.
const TABLES: &str = "SELECT count(*), count(*) FILTER (WHERE name = '_sqlx_migrations') FROM sqlite_master \
     WHERE type = 'table'";
const TABLES_POSTGRES: &str = "SELECT count(*), count(*) FILTER (WHERE tablename = '_sqlx_migrations') FROM pg_tables \
     WHERE schemaname = current_schema()";

/// What is done about tables that are older than this nightrun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Older {
    /// They are brought up to date.
    Update,
    /// They are left alone, and the database is refused.
    Refuse,
}

/// Of which version tables were, and are now. 0: there are none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Versions {
    /// Before.
    pub from: i64,
    /// Now.
    pub to: i64,
}

pub(super) async fn of_file(
    pool: &SqlitePool,
    database: &Database,
    older: Older,
) -> Result<Versions, StoreError> {
    let found = sqlx::query_as(TABLES).fetch_one(pool).await?;
    agree(pool.acquire().await?, &SQLITE, found, database, older).await
}

pub(super) async fn of_postgres(
    pool: &PgPool,
    database: &Database,
    older: Older,
) -> Result<Versions, StoreError> {
    let found = sqlx::query_as(TABLES_POSTGRES).fetch_one(pool).await?;
    agree(pool.acquire().await?, &POSTGRES, found, database, older).await
}

async fn agree<E: sqlx::Database<Connection: Migrate>>(
    mut db: PoolConnection<E>,
    migrator: &Migrator,
    (tables, ours): (i64, i64),
    database: &Database,
    older: Older,
) -> Result<Versions, StoreError> {
    let database = || database.clone();
    let db = &mut *db;
    let known = migrator.iter().map(|migration| migration.version).max().unwrap_or_default();
    let from = match (tables, ours) {
        (0, _) => 0,
        (_, 0) => return Err(StoreError::Strange(database())),
        _ => version(db, migrator).await?,
    };
    match older {
        _ if from > known => {
            return Err(StoreError::Newer { database: database(), found: from, known });
        }
        Older::Refuse if from == 0 => return Err(StoreError::Empty(database())),
        Older::Refuse if from < known => {
            return Err(StoreError::Older { database: database(), found: from, known });
        }
        Older::Refuse => {}
        Older::Update => migrator.run_direct(None, db, false).await?,
    }
    Ok(Versions { from, to: known })
}

/// That of the newest migration that has run and that no missing one is before.
async fn version<C: Migrate>(db: &mut C, migrator: &Migrator) -> Result<i64, StoreError> {
    let applied = db.list_applied_migrations(&migrator.table_name).await?;
    let newest = applied.iter().map(|one| one.version).max().unwrap_or_default();
    if !migrator.version_exists(newest) {
        return Ok(newest);
    }
    let mut version = 0;
    for migration in migrator.iter() {
        match applied.iter().find(|one| one.version == migration.version) {
            Some(one) if one.checksum != migration.checksum => {
                return Err(MigrateError::VersionMismatch(one.version).into());
            }
            Some(one) => version = one.version,
            None => break,
        }
    }
    Ok(version)
}
