//! The database of a test, on either engine: what a story looks up in it, and does to it behind the
//! daemon's back.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use nightrun::store::Store;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, Connection, PgConnection, SqliteConnection};

use super::postgres::Postgres;

/// What keeps a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    Sqlite,
    Postgres,
}

/// The same story on each engine: `on_both_engines!(story);` before `async fn story(engine: Engine)`
/// makes the tests `story::on_sqlite` and `story::on_postgres`.
#[allow(unused_macros, reason = "some tests have an engine of their own")]
macro_rules! on_both_engines {
    ($story:ident) => {
        mod $story {
            use crate::support::engine::Engine;

            #[tokio::test(flavor = "multi_thread")]
            async fn on_sqlite() {
                super::$story(Engine::Sqlite).await;
            }

            #[tokio::test(flavor = "multi_thread")]
            async fn on_postgres() {
                super::$story(Engine::Postgres).await;
            }
        }
    };
}
#[allow(unused_imports, reason = "as above")]
pub(crate) use on_both_engines;

/// One database, which is there as long as the folder or the cluster that holds it.
pub enum Database {
    Sqlite(PathBuf),
    Postgres { server: Arc<Postgres>, name: String },
}

/// What a database was.
pub enum Kept {
    Bytes(Vec<u8>),
    Copy(String),
}

impl Database {
    /// An empty one: in this folder, or in the cluster that this process shares.
    pub fn new(engine: Engine, folder: &Path) -> Self {
        match engine {
            Engine::Sqlite => Self::Sqlite(folder.join("nightrun.db")),
            Engine::Postgres => Self::at(&Postgres::shared()),
        }
    }

    /// An empty one in this cluster.
    pub fn at(server: &Arc<Postgres>) -> Self {
        Self::Postgres { server: Arc::clone(server), name: server.database() }
    }

    /// The address that the daemon is given.
    pub fn url(&self) -> String {
        match self {
            Self::Sqlite(path) => format!("sqlite:{}", path.display()),
            Self::Postgres { server, name } => server.url(name),
        }
    }

    /// Opens it as the daemon does.
    pub async fn open(&self) -> Store {
        let database = self.url().parse().expect("an address");
        Store::open(&database).await.expect("the database")
    }

    /// The number that a query finds.
    pub async fn number(&self, query: &str) -> i64 {
        // PostgreSQL's sums are of another type.
        let query = AssertSqlSafe(format!("SELECT CAST(({query}) AS BIGINT)"));
        let found = match self {
            Self::Sqlite(path) => sqlx::query_scalar(query).fetch_one(&mut file(path).await).await,
            Self::Postgres { .. } => {
                sqlx::query_scalar(query).fetch_one(&mut self.admin().await).await
            }
        };
        found.expect("a number")
    }

    /// The texts that a query finds, or returns of what it changes.
    pub async fn texts(&self, query: &str) -> Vec<String> {
        let query = AssertSqlSafe(query);
        let found = match self {
            Self::Sqlite(path) => sqlx::query_scalar(query).fetch_all(&mut file(path).await).await,
            Self::Postgres { .. } => {
                sqlx::query_scalar(query).fetch_all(&mut self.admin().await).await
            }
        };
        found.expect("texts")
    }

    /// Does this to it, if it lets itself.
    pub async fn try_execute(&self, statements: &str) -> Result<(), sqlx::Error> {
        let statements = sqlx::raw_sql(AssertSqlSafe(statements));
        match self {
            Self::Sqlite(path) => {
                let mut database = file(path).await;
                statements.execute(&mut database).await?;
                database.close().await
            }
            Self::Postgres { .. } => {
                let mut database = self.admin().await;
                statements.execute(&mut database).await?;
                database.close().await
            }
        }
    }

    /// Takes away what keeps it from being changed as nobody should.
    pub async fn lower_its_guard(&self) {
        let guards = match self {
            Self::Sqlite(_) => {
                "SELECT 'DROP TRIGGER ' || name FROM sqlite_master \
                 WHERE type = 'trigger' AND sql LIKE '%RAISE%'"
            }
            Self::Postgres { .. } => {
                "SELECT 'DROP TRIGGER ' || tgname || ' ON ' || tgrelid::regclass FROM pg_trigger \
                 JOIN pg_proc ON pg_proc.oid = tgfoid \
                 WHERE NOT tgisinternal AND prosrc LIKE '%RAISE%' \
                 UNION ALL \
                 SELECT 'ALTER TABLE ' || conrelid::regclass || ' DROP CONSTRAINT ' || conname \
                 FROM pg_constraint WHERE contype = 'f'"
            }
        };
        let guards = self.texts(guards).await;
        assert!(!guards.is_empty(), "there are guards");
        self.try_execute(&guards.join(";")).await.expect("its guards");
    }

    /// What it is now. Nobody else may use it.
    pub fn keep(&self) -> Kept {
        match self {
            Self::Sqlite(path) => Kept::Bytes(std::fs::read(path).expect("the database")),
            Self::Postgres { server, name } => {
                Kept::Copy(server.database_with(&format!("TEMPLATE {name}")))
            }
        }
    }

    /// Makes it what it was. Nobody else may use it.
    pub fn put_back(&self, kept: &Kept) {
        match (self, kept) {
            (Self::Sqlite(path), Kept::Bytes(bytes)) => {
                std::fs::write(path, bytes).expect("the database");
            }
            (Self::Postgres { server, name }, Kept::Copy(copy)) => {
                server.replace(name, copy);
            }
            _ => unreachable!("it is of another engine"),
        }
    }

    /// A connection that may do everything.
    pub async fn admin(&self) -> PgConnection {
        let Self::Postgres { server, name } = self else { unreachable!("it is a file") };
        PgConnection::connect(&server.admin_url(name)).await.expect("the database")
    }
}

async fn file(path: &Path) -> SqliteConnection {
    let options = SqliteConnectOptions::new().filename(path).foreign_keys(false);
    SqliteConnection::connect_with(&options).await.expect("the database")
}
